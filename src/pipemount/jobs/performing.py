"""Performing a job that is claimed: its run, its events, and what comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from time import monotonic, time
from typing import TypeAlias

from pydantic import ValidationError
from pydantic_core import from_json

from ..adapters.protocol import overrides_of
from ..errors import InvalidInputsError, PipelineChangedError, RunSuspendedError
from ..pipelines.schema import describe_errors
from ..runtime.call import Call
from ..runtime.events import TERMINAL, Event
from ..runtime.feed import Feed, reading
from ..service import Service
from ..settings import Settings
from .alone import Alone
from .checkpoints import JobCheckpoints
from .encoding import encode
from .models import JobEvent, JobRequest, Lease
from .outcomes import Performed, outcome_of
from .retrying import failure_of, pause_before_retry, retrying
from .rounds import persistently
from .store import Store
from .work import Work

__all__ = ["Perform", "Performing", "perform_run"]

Perform: TypeAlias = Callable[[Service, Work, Feed], Awaitable[Performed]]
"""How jobs of one kind are performed: the events go into the feed, the result comes back as JSON."""

MOMENT = 0.01
"""Seconds for which the first events of a run wait for others, and for its end."""

AT_ONCE = 64
"""Events that wait at most."""

LOST = "another runner has it"


class Told:
    """What a run told.

    Attributes:
        last: Its last event.
        left: Those that are not kept yet, but for the one that ends the run.
    """

    __slots__ = ("last", "left")

    def __init__(self) -> None:
        self.last: Event | None = None
        self.left: list[JobEvent] = []

    def add(self, event: Event) -> None:
        """One more."""
        self.last = event
        if event.kind not in TERMINAL:
            self.left.append(encode(event))

    @property
    def over(self) -> bool:
        """Whether the run has ended."""
        return self.last is not None and self.last.kind in TERMINAL


class Performing:
    """Performs claimed jobs and writes down what comes of them.

    Args:
        store: Where the jobs are.
        settings: Of the app.
        alone: Performs a job in a process of its own; ``None`` where that cannot be.

    Attributes:
        performers: By kind of job; ``"run"`` is known.
        stopping: Whether the runner stops: what the store does not take at once is given up.
        worker: Who performs them.
    """

    def __init__(self, store: Store, settings: Settings, alone: Alone | None) -> None:
        self._store, self._settings, self.alone = store, settings, alone
        self.performers: dict[str, Perform] = {"run": perform_run}
        self.stopping = False
        self.worker = ""

    async def perform(self, lease: Lease, work: Work, service: Service) -> float | None:
        """Perform the job; when it is to be begun again, in seconds since the epoch, if it is."""
        work.job, work.lease = lease.job, lease
        if lease.job.crashes and self.alone is not None:
            if self.alone.target is not None:
                await self._perform_alone(self.alone, lease, work)
                return None
            if not await self._write(partial(self._store.hand_over, lease, self.worker), lease):
                return None
        work.checkpoints = kept = await self._checkpoints(lease, work) if self._store.durable else None
        feed = Feed(self._settings.max_event_buffer, self._settings.max_event_bytes)
        async with reading(feed, self._performed(service, work, feed)) as run:
            work.runs(run)
            told = await self._keep(lease, work, feed, kept)
            await asyncio.wait([run])
        return await self._settle(lease, work, run, told, kept)

    async def give_back(
        self, lease: Lease, *, pause: float | None = None, crashed: bool = False, cut_short: bool = False
    ) -> bool:
        """Let others have the job; one that is to be cancelled is then. ``False``: the lease is lost.

        Args:
            lease: Of the job.
            pause: Seconds in which nobody is to have it.
            crashed: As for ``Store.requeue``.
            cut_short: The same.
        """
        run_at = None if pause is None else time() + pause
        requeue = partial(self._store.requeue, lease, run_at, crashed=crashed, cut_short=cut_short)
        return await self._write(requeue, lease)

    async def _checkpoints(self, lease: Lease, work: Work) -> JobCheckpoints:
        found: Mapping[str, bytes] = {}
        if lease.fence > 1:
            read = partial(self._store.read_steps, lease)
            found = await persistently(read, lambda: not self.stopping, f"job {lease.job.id}")

        async def save(key: str, value: bytes) -> bool:
            return await self._write(partial(self._store.save_step, lease, key, value), lease)

        return JobCheckpoints(found, save, partial(work.cancel, LOST))

    async def _performed(self, service: Service, work: Work, feed: Feed) -> Performed:
        request, current = work.job.request, service.compiled.info.fingerprint
        if request.fingerprint not in ("", current) and self._settings.changed_pipelines == "fail":
            raise PipelineChangedError(pipeline=service.name, fingerprint=request.fingerprint, current=current)
        return await self.performers[request.kind](service, work, feed)

    async def _perform_alone(self, alone: Alone, lease: Lease, work: Work) -> None:
        ended = await alone.perform(lease, work)
        if ended == "unable" and not work.let_go:
            await self.give_back(lease, pause=alone.pause)
        elif ended != "done":
            await self.give_back(lease, crashed=not work.let_go, cut_short=work.cut_short)

    async def _settle(
        self, lease: Lease, work: Work, run: asyncio.Future[Performed], told: Told, kept: JobCheckpoints | None
    ) -> float | None:
        """Write down what came of a run that is done; when to try again, if there is another attempt."""
        error = failure_of(run)
        if error is not None and kept is not None and not await kept.keep_all():
            return None
        if error is not None and work.cut_short:
            await self._write(partial(self._store.requeue, lease, None, told.left, cut_short=True), lease)
            return None
        if isinstance(error, RunSuspendedError) and error.question is not None:
            await self._write(partial(self._store.suspend, lease, error.question, told.left), lease)
            return None
        pause = None if error is None or work.let_go else pause_before_retry(lease.job, error, self._settings)
        if error is not None and pause is not None:
            run_at, event = time() + pause, retrying(lease.job, error, told.last, pause)
            again = await self._write(partial(self._store.requeue, lease, run_at, [*told.left, event]), lease)
            return run_at if again else None
        outcome, event = outcome_of(lease.job, run, work.reason, told.last)
        await self._write(partial(self._store.finish, lease, outcome, [*told.left, event]), lease)
        return None

    async def _keep(self, lease: Lease, work: Work, feed: Feed, kept: JobCheckpoints | None) -> Told:
        """Have the events kept as they come, but for the last ones, which are kept with what came of the run.

        Those of the first moment share a write, so that a run that is over by then is one. What a step gave is kept
        before it is told that the step has ended.
        """
        told = Told()
        if kept is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(MOMENT):
                    async for event in feed:
                        told.add(event)
                        if len(told.left) >= AT_ONCE:
                            break
            await self._append(lease, work, told, kept)
        async for event in feed:
            found: Event | None = event
            while found is not None:
                told.add(found)
                found = feed.take()
            await self._append(lease, work, told, kept)
        return told

    async def _append(self, lease: Lease, work: Work, told: Told, kept: JobCheckpoints | None) -> None:
        """Have kept what the run told so far, unless it is over."""
        if not told.left or told.over:
            return
        left, told.left = told.left, []
        holds = kept is None or await kept.keep_all()
        if not (holds and await self._write(partial(self._store.append, lease, left), lease)):
            work.cancel(LOST)

    async def _write(self, write: Callable[[], Awaitable[bool]], lease: Lease) -> bool:
        """Jobs that outlive the process outlive a store that cannot be reached for a while."""
        if not self._store.durable:
            return await write()
        return await persistently(write, lambda: not self.stopping, f"job {lease.job.id}")


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
    call.checkpoints = work.checkpoints
    work.stopping = call.cancel
    began = monotonic()
    try:
        _, outputs = await service.invoke(call, listeners=(feed,), after=work.job.last_event)
    except InvalidInputsError as error:  # found only when the run began, e.g. in a Static value
        raise _in_request(error) from error
    except (asyncio.CancelledError, RunSuspendedError):
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
