"""The runner of this process: jobs are performed on the app's home loop, in the places that its limits give."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextvars import Context
from functools import partial
from time import monotonic
from typing import TypeAlias

from pydantic import ValidationError
from pydantic_core import from_json

from ..adapters.protocol import overrides_of
from ..errors import InvalidInputsError
from ..pipelines.schema import describe_errors
from ..runtime.call import Call
from ..runtime.events import TERMINAL, Event
from ..runtime.feed import Feed, reading
from ..runtime.stragglers import Stragglers
from ..service import Service
from ..settings import Settings
from .encoding import encode
from .models import Job, JobEvent, JobRequest, Lease
from .outcomes import Performed, outcome_of
from .store import Store

__all__ = ["Local", "Perform", "Work"]

logger = logging.getLogger("pipemount")

WORKER = "local"


class Work:
    """A job that this process has taken on: it stands in line, or is performed.

    Attributes:
        job: As it was when it was submitted.
        stopping: Called before the run is cancelled, for whom a cancellation does not reach: threads.
        reason: Why it is cancelled, once it is.
        stragglers: Functions of it that still run in threads when it has ended, if there are any.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.stopping: Callable[[], None] | None = None
        self.reason: str | None = None
        self.stragglers: Stragglers | None = None
        self.task: asyncio.Task[None] | None = None
        self._run: asyncio.Future[Performed] | None = None
        self._claimed = False

    def claimed(self) -> None:
        """It stands in line no more."""
        self._claimed = True

    def runs(self, run: asyncio.Future[Performed]) -> None:
        """It is performed; if it was cancelled just now, not for long."""
        self._run = run
        if self.reason is not None:
            run.cancel()

    @property
    def waits(self) -> bool:
        """Whether it has no place yet."""
        return not self._claimed

    def cancel(self, reason: str) -> None:
        """Let go of it. Once: what cleans up is not cancelled again."""
        if self.reason is not None:
            return
        self.reason = reason
        if self.stopping is not None:
            self.stopping()
        if self._run is not None:
            self._run.cancel()
        elif self.waits and self.task is not None:
            self.task.cancel()


Perform: TypeAlias = Callable[[Service, Work, Feed], Awaitable[Performed]]
"""How jobs of one kind are performed: the events go into the feed, the result comes back as JSON."""


class Local:
    """Performs the jobs of an app in its process; see ``Runner`` for the verbs.

    A job stands in the same line for a place as those who wait for their answer. While it runs, one task reads its
    events as they come and has them kept, several at once if they come quickly.

    Args:
        store: Where the jobs are.
        services: The app's pipelines.
        settings: Of the app.

    Attributes:
        performers: By kind of job; ``"run"`` is known.
    """

    def __init__(self, store: Store, services: Mapping[str, Service], settings: Settings) -> None:
        self._store, self._services, self._settings = store, services, settings
        self.performers: dict[str, Perform] = {"run": perform_run}
        self._works: dict[str, Work] = {}

    async def start(self) -> None:
        self._works = {}

    async def dispatch(self, job: Job) -> None:
        work = self._works[job.id] = Work(job)
        # Not in the context of the request: that would be kept alive, and lends its thread only while it lasts.
        task = asyncio.get_running_loop().create_task(self._work(work), context=Context())
        work.task = task
        task.add_done_callback(partial(self._done, work))
        await asyncio.sleep(0)  # by now it has a place or stands in line, if there is room in it
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            raise error

    async def revoke(self, job_id: str, reason: str) -> None:
        if (work := self._works.get(job_id)) is not None:
            work.cancel(reason)

    async def drain(self, reason: str) -> None:
        await self._cancel(reason, [work for work in self._works.values() if work.waits])

    async def stop(self, reason: str) -> None:
        works = list(self._works.values())
        await self._cancel(reason, works)
        if tasks := [work.task for work in works if work.task is not None]:
            await asyncio.wait(tasks, timeout=self._settings.cleanup_timeout / 2)

    async def _cancel(self, reason: str, works: list[Work]) -> None:
        for work in works:
            logger.warning("job %s of %s is cancelled: %s", work.job.id, work.job.request.pipeline, reason)
            await self._store.request_cancel(work.job.id, reason)
            work.cancel(reason)

    def _done(self, work: Work, task: asyncio.Task[None]) -> None:
        if self._works.get(work.job.id) is work:
            del self._works[work.job.id]
        if not task.cancelled():
            task.exception()  # told to whoever dispatched it, or logged

    # ----------------------------------------------------------------------------------- performing

    async def _work(self, work: Work) -> None:
        service = self._services[work.job.request.pipeline]
        request = work.job.request
        await service.admission.enter(service.name, request.principal)
        began = monotonic()
        work.claimed()
        try:
            lease = await self._store.claim_job(work.job.id, WORKER)
            if lease is not None:
                await self._perform(lease, work, service)
        except Exception:
            logger.exception("job %s could not be performed to its end", work.job.id)
        finally:
            service.admission.leave_behind(work.stragglers, began, service.name, request.principal)

    async def _perform(self, lease: Lease, work: Work, service: Service) -> None:
        feed = Feed(self._settings.max_event_buffer, self._settings.max_event_bytes)
        perform = self.performers[lease.job.request.kind]
        async with reading(feed, perform(service, work, feed)) as run:
            work.runs(run)
            last = await self._keep(lease, work, feed)
            await asyncio.wait([run])
        outcome, event = outcome_of(lease.job, run, work.reason, last)
        await self._store.finish(lease, outcome, [event])

    async def _keep(self, lease: Lease, work: Work, feed: Feed) -> Event | None:
        """Have the events kept as they come; the last one that came, which is kept with the outcome if it ends it."""
        last: Event | None = None
        async for event in feed:
            batch: list[JobEvent] = []
            found: Event | None = event
            while found is not None:
                last = found
                if found.kind not in TERMINAL:
                    batch.append(encode(found))
                found = feed.take()
            if batch and not await self._store.append(lease, batch):
                work.cancel("another runner has it")
        return last


async def perform_run(service: Service, work: Work, feed: Feed) -> Performed:
    """Run the pipeline once."""
    request = work.job.request
    call = Call(
        _inputs(service, request),
        request.job_id,
        request.run_name,
        request.timeout,
        None if request.overrides is None else _overrides(service, request.overrides),
        request.principal,
        request.trace,
    )
    work.stopping = call.cancel
    began = monotonic()
    try:
        _, outputs = await service.invoke(call, listeners=(feed,))
    except InvalidInputsError as error:  # found only when the run began, e.g. in a Static value
        raise _in_request(error) from error
    except asyncio.CancelledError:
        if call.stragglers is not None:  # until they return the job is cancelling
            await call.stragglers.gone()
        raise
    finally:
        work.stragglers = call.stragglers
    return Performed(outputs, monotonic() - began, call.run_index, call.run_name)


def _inputs(service: Service, request: JobRequest) -> object:
    try:
        return service.compiled.input.adapter.validate_json(request.inputs)
    except ValidationError as error:  # they were valid when they were sent: a default, or a validator, has changed
        raise _in_request(InvalidInputsError(errors=describe_errors(error))) from None


def _overrides(service: Service, sent: bytes) -> Mapping[str, object] | None:
    schema = overrides_of(service.compiled)
    found: Mapping[str, object] = from_json(sent) if schema is None else schema.adapter.validate_json(sent)
    return found or None


def _in_request(error: InvalidInputsError) -> InvalidInputsError:
    """Faults in the inputs as those of the request's body."""
    return InvalidInputsError(errors=[{**fault, "loc": ["parameters", *fault["loc"]]} for fault in error.errors])
