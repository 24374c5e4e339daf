"""Many runs that were asked for at once: a few at a time, and an outcome for each."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from time import monotonic
from typing import NamedTuple, TypeAlias

from .errors import DeadlineExceededError, OverloadedError, PipemountError, RunCancelledError
from .runtime.admission import Admission
from .runtime.call import Call
from .service import Sealed, Service

__all__ = ["Batch", "Done", "Outcome", "Place"]

SLICE = 0.005
"""Seconds that runs which never wait may keep the loop from everybody else."""

RETRY = 0.05
"""Seconds until a batch asks again for a place in a queue that filled up in the very moment that it gave way."""

logger = logging.getLogger("pipemount")


class Done(NamedTuple):
    """A run of a batch that completed.

    Attributes:
        call: What was run.
        sealed: What it gave.
        seconds: How long it took; where several were run as one, how long that took.
    """

    call: Call
    sealed: Sealed
    seconds: float


Outcome: TypeAlias = Done | PipemountError


class Place:
    """The place that a batch was given, as any request is. Between two runs those go first who wait for one."""

    def __init__(self, admission: Admission) -> None:
        self._admission, self._held, self._began = admission, True, monotonic()

    async def give_way(self) -> None:
        """If somebody waits: leave the place to them, and wait for another behind them."""
        while self._admission.queued or not self._held:
            self.leave()
            try:
                await self._admission.enter()
            except OverloadedError:
                await asyncio.sleep(RETRY)
            else:
                self._held, self._began = True, monotonic()
                return

    def leave(self) -> None:
        """Give it back, if it is held."""
        if self._held:
            self._held = False
            self._admission.leave(monotonic() - self._began)


class Batch:
    """Runs of one pipeline, to be performed once, on the home loop.

    One of them after the other is performed in the batch's own ``place``. Further ones, up to ``width`` at a time, take
    places that are free while nobody waits, and give each back after one run: so a batch uses a server that has nothing
    else to do, and on a busy one it is one request among others.

    A pipeline that can judge many inputs at once (``run_batch``) is asked to do so first. If that fails, for whatever
    reason, each is run by itself: so one of them fails alone.

    Args:
        service: The pipeline.
        calls: What to run; or why that cannot be run, which is its outcome then.
        place: Taken before, left by whoever took it; ``None`` where the batch may keep its place to its end.
        width: Runs at the same time.
        timeout: Seconds that all of them together may take, as the error names them.
        deadline: When that is over, on ``time.monotonic()``.
    """

    def __init__(
        self,
        service: Service,
        calls: Sequence[Call | PipemountError],
        *,
        place: Place | None,
        width: int,
        timeout: float,
        deadline: float,
    ) -> None:
        self._service, self._calls, self._place = service, calls, place
        self._timeout, self._deadline = timeout, deadline
        self._outcomes: dict[int, Outcome] = {
            index: call for index, call in enumerate(calls) if isinstance(call, PipemountError)
        }
        self._idle = width - 1
        self._todo: Iterator[tuple[int, Call]] = iter(())
        self._left = 0

    async def perform(self) -> list[Outcome]:
        """Run them all; what came of each, in order. Cancelling this cancels those that run, and begins no more."""
        todo = [(index, call) for index, call in enumerate(self._calls) if isinstance(call, Call)]
        for _, call in todo:
            call.timeout, call.deadline = self._timeout, self._deadline
        if len(todo) > 1 and self._service.runs_together and await self._run_together(todo):
            todo = []
        self._todo, self._left = iter(todo), len(todo)
        async with asyncio.TaskGroup() as helpers:
            await self._lead(helpers)
        stopped = RunCancelledError("stopped before it was run")
        return [self._outcomes.get(index, stopped) for index in range(len(self._calls))]

    async def _run_together(self, todo: Sequence[tuple[int, Call]]) -> bool:
        calls = [call for _, call in todo]
        began = monotonic()
        try:
            sealed = await self._service.invoke_together(calls)
        except DeadlineExceededError as error:
            self._outcomes.update((index, error) for index, _ in todo)
        except RunCancelledError:
            raise
        except Exception as error:
            logger.info(
                "%d runs of %s at once failed; they are run one by one: %r", len(todo), self._service.name, error
            )
            for call in calls:
                call.cancelled = False
            return False
        else:
            seconds = monotonic() - began
            self._outcomes.update((i, Done(call, one, seconds)) for (i, call), one in zip(todo, sealed, strict=True))
        return True

    # ---------------------------------------------------------------------------------------- one by one

    async def _lead(self, helpers: asyncio.TaskGroup) -> None:
        """Run one after the other in the batch's own place."""
        since = monotonic()
        while self._left:
            self._recruit(helpers)
            await self._run_next()
            if self._place is not None:
                await self._place.give_way()
            if monotonic() - since > SLICE:
                await asyncio.sleep(0)
                since = monotonic()

    def _recruit(self, helpers: asyncio.TaskGroup) -> None:
        """See that as many run at the same time as may, and as there are places for."""
        spare = self._service.admission.spare
        while self._idle and spare > 0 and self._left > 1:
            self._idle, spare = self._idle - 1, spare - 1
            helpers.create_task(self._help())

    async def _help(self) -> None:
        """Run one after the other, each in a place that nobody else wants."""
        admission = self._service.admission
        try:
            while self._left and admission.try_spare():
                began = monotonic()
                try:
                    await self._run_next()
                finally:
                    admission.leave(monotonic() - began)
                await asyncio.sleep(0)
        finally:
            self._idle += 1

    async def _run_next(self) -> None:
        if (found := next(self._todo, None)) is not None:
            self._left -= 1
            index, call = found
            self._outcomes[index] = await self._outcome(call)

    async def _outcome(self, call: Call) -> Outcome:
        call.began = monotonic()
        if call.began >= self._deadline:
            return DeadlineExceededError(timeout=self._timeout)
        try:
            sealed = await self._service.invoke(call)
        except PipemountError as error:
            return error
        except Exception as error:  # a fault of ours is one run's, too
            logger.error("an unexpected error in a run of %s", self._service.name, exc_info=error)
            return PipemountError("an unexpected error; see the log")
        return Done(call, sealed, monotonic() - call.began)
