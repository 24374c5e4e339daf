"""Jobs in the team's own code: asked for, cancelled, retried and followed from any loop and any thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import closing
from typing import Any, TypeVar

from pydantic_core import PydanticSerializationError, to_json

from .caller import App, Caller, LentThread, stopped, told_in_thread
from .errors import ConfigurationError, InvalidInputsError
from .jobs.desk import cancel_reason
from .jobs.encoding import decode
from .jobs.models import Idempotency, Job, JobQuery, JobStatus, Page
from .pipelines.options import checked_job
from .pipelines.steps import KEEP
from .runtime.acting import acting_principal, as_principal
from .runtime.events import Event
from .terms import Terms
from .types import Principal

__all__ = ["OWN", "Calls", "JobVerbs"]

T = TypeVar("T")

SILENCE = 60.0
"""Seconds between two looks at a job that says nothing; who reads is woken when it does."""

OWN = Principal("", frozenset({"admin"}), "own")
"""The team's own code where nobody is acting: it sees all jobs."""


class JobVerbs:
    """What can be asked of jobs, each verb async and, as ``…_sync``, for threads.

    All are asked on behalf of whoever is acting (see ``acting_as``), who sees the jobs that are that one's; where
    nobody is, by the team's own code, which sees all. ``calling(principal=…)`` says otherwise.
    """

    def _asks(self) -> tuple[App, Terms]:
        """The app, and on which terms it is asked."""
        raise NotImplementedError

    async def get(self, job: Job | str) -> Job:
        """A job's record, as it is now.

        Raises:
            NotFoundError: There is no such job, or it is somebody else's.
        """
        return await self._asked(self._get(job))

    def get_sync(self, job: Job | str) -> Job:
        """As ``get``, for code that is not async."""
        return self._at_hand(self._get(job))

    async def list(
        self, *status: JobStatus, pipeline: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page:
        """Some of the jobs, the youngest first.

        ::

            page = await pipelines.list("failed", "cancelled", pipeline="weather")
            more = await pipelines.list("failed", "cancelled", pipeline="weather", cursor=page.cursor)

        Args:
            *status: Only those that have one of these.
            pipeline: Only those of this one.
            limit: At most so many.
            cursor: Where an earlier page ended.

        Raises:
            InvalidInputsError: There is no such status, the limit is below 1, or no page ended at ``cursor``.
        """
        return await self._asked(self._list(JobQuery(pipeline=pipeline, status=status, limit=limit, cursor=cursor)))

    def list_sync(
        self, *status: JobStatus, pipeline: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page:
        """As ``list``, for code that is not async."""
        return self._at_hand(self._list(JobQuery(pipeline=pipeline, status=status, limit=limit, cursor=cursor)))

    async def cancel(self, job: Job | str, reason: str | None = None) -> Job:
        """End a job early; one that was cancelled before stays so. The record as it is then.

        Args:
            job: The job, or its id.
            reason: What its record says; by default on whose request it was.

        Raises:
            NotFoundError: As ``get``.
            JobEndedError: It has succeeded or failed.
        """
        return await self._asked(self._cancel(job, reason))

    def cancel_sync(self, job: Job | str, reason: str | None = None) -> Job:
        """As ``cancel``, for code that is not async."""
        return self._at_hand(self._cancel(job, reason))

    async def resume(self, job: Job | str, answer: Any) -> Job:
        """Answer what a suspended job asks (``job.question``); it goes on as soon as there is a place.

        ::

            await pipelines.resume(job_id, True)

        Args:
            job: The job, or its id.
            answer: What JSON can say. One that does not fit is asked for again.

        Raises:
            NotFoundError: As ``get``.
            JobNotSuspendedError: It asks nothing, or somebody has answered before.
            InvalidInputsError: It asks for something else.
        """
        return await self._asked(self._resume(job, answer))

    def resume_sync(self, job: Job | str, answer: Any) -> Job:
        """As ``resume``, for code that is not async."""
        return self._at_hand(self._resume(job, answer))

    async def retry(self, job: Job | str) -> Job:
        """A new job, of what was asked for with one that failed or was cancelled; it belongs to the same one.

        Raises:
            NotFoundError: As ``get``.
            JobNotEndedError: It has not ended.
            JobEndedError: It has succeeded.
            OverloadedError, UnavailableError: As over HTTP.
        """
        return await self._asked(self._retry(job))

    def retry_sync(self, job: Job | str) -> Job:
        """As ``retry``, for code that is not async."""
        return self._at_hand(self._retry(job))

    def events(self, job: Job | str, *, after: int = 0) -> AsyncGenerator[Event, None]:
        """What happens, and has happened, in a job, to its end; leaving the loop early changes nothing for it.

        Args:
            job: The job, or its id.
            after: The ``sequence`` of the last event that is known.

        Raises:
            NotFoundError: As ``get``, when the first event is asked for.
            EventsPrunedError: The events behind ``after`` are no longer kept.
        """
        app, viewer, job_id = *self._asking(), checked_job(job)
        if not isinstance(after, int) or isinstance(after, bool):
            raise ConfigurationError(f"after={after!r}: give the sequence of an event, a whole number")

        async def told() -> AsyncGenerator[Event, None]:
            subscription = await _at_home(app, lambda: app.jobs.subscribe(job_id, viewer, after))
            while not subscription.ended:
                for event in await _at_home(app, lambda: subscription.next(SILENCE)):
                    yield decode(event)

        return told()

    def events_sync(self, job: Job | str, *, after: int = 0) -> Generator[Event, None, None]:
        """As ``events``, for code that is not async."""
        app, _ = self._asks()
        told = self.events(job, after=after)
        return told_in_thread(lambda: _home(app), lambda: told)

    # ---------------------------------------------------------------------------------------- asking

    def _get(self, job: Job | str) -> Callable[[App, Principal | None], Awaitable[Job]]:
        return lambda app, viewer: app.jobs.get(checked_job(job), viewer)

    def _list(self, query: JobQuery) -> Callable[[App, Principal | None], Awaitable[Page]]:
        return lambda app, viewer: app.jobs.list(query, viewer)

    def _cancel(self, job: Job | str, reason: str | None) -> Callable[[App, Principal | None], Awaitable[Job]]:
        if not isinstance(reason, str | None):
            raise ConfigurationError(f"reason={reason!r}: write a text")
        return lambda app, viewer: app.jobs.cancel(checked_job(job), viewer, reason or cancel_reason(viewer))

    def _resume(self, job: Job | str, answer: Any) -> Callable[[App, Principal | None], Awaitable[Job]]:
        try:
            written = to_json(answer)
        except PydanticSerializationError:
            fault = {"loc": ["body"], "msg": "Input should be what JSON can say", "type": "json_type"}
            raise InvalidInputsError(errors=[fault]) from None
        return lambda app, viewer: app.jobs.resume(checked_job(job), written, viewer)

    def _retry(self, job: Job | str) -> Callable[[App, Principal | None], Awaitable[Job]]:
        _, terms = self._asks()
        key, job_id = terms.idempotency_key, checked_job(job)

        async def retry(app: App, viewer: Principal | None) -> Job:
            same = None if key is None else Idempotency.of(viewer, job_id, "retry", key=key)
            return (await app.jobs.retry(job_id, viewer, idempotency=same)).job

        return retry

    def _asking(self) -> tuple[App, Principal | None]:
        """In the thread, and under the context variables, of whoever calls."""
        app, terms = self._asks()
        if terms.principal is KEEP:
            return app, acting_principal(app.users) or OWN
        return app, as_principal(terms.principal, "host")

    async def _asked(self, verb: Callable[[App, Principal | None], Awaitable[T]]) -> T:
        app, viewer = self._asking()
        return await _at_home(app, lambda: verb(app, viewer))

    def _at_hand(self, verb: Callable[[App, Principal | None], Awaitable[T]]) -> T:
        app, viewer = self._asking()
        home = _home(app)
        with closing(LentThread()) as lent:
            return lent.call(home, lambda: verb(app, viewer))


class Calls(Caller, JobVerbs):
    """Calls the pipelines of an app, and asks for its jobs, on the terms given; see ``PipelineApp.calling``."""

    def _asks(self) -> tuple[App, Terms]:
        return self._app, self._terms


def _home(app: App) -> asyncio.AbstractEventLoop:
    return app.lifecycle.home_for_thread(app.settings.startup_budget)


async def _at_home(app: App, function: Callable[[], Awaitable[T]]) -> T:
    """Starts the app if nobody did, and waits for that as long as a server would."""
    await app.lifecycle.ensure_ready(app.settings.startup_budget)
    try:
        return await app.lifecycle.call(function)
    except asyncio.CancelledError as error:
        raise stopped(error) from None
