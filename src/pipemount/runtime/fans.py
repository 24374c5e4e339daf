"""Maps at run time: one step, or one pipeline, for each item of a list, in the order of the list.

Workers take the items from one iterator, so an item costs the same however many there are. On the loop a worker goes on
to the next item while items end at once, and another joins in when one waits. In the threads a worker keeps its thread
for some items in a row, then lets others have it.
"""

from __future__ import annotations

import asyncio
import functools
import math
import threading
import time
from collections.abc import Callable, Coroutine, Generator, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..pipelines.snapshot import StepSpec
from .crew import Crew
from .performer import Performer, tell, try_in_thread
from .run import Run
from .turn import Turn, is_timed_or_hooked

__all__ = ["Work", "perform_all", "repeat"]

SLICE = 0.01
"""Seconds that a worker goes on before it lets others have the loop, or its thread."""


class Work(NamedTuple):
    """What is done for each item.

    Attributes:
        name: The map's own, for ``progress``.
        items: In order. An iterator that runs no Python code: threads take from it, too.
        total: How many there are.
        turn: What is performed for an item, from its index and itself.
        limit: How many may run at the same time; ``None`` for no limit but the threads'.
    """

    name: str
    items: Iterable[Any]
    total: int
    turn: Callable[[int, Any], Turn]
    limit: int | None = None


async def perform_all(performer: Performer, run: Run, step: StepSpec, work: Work) -> list[Any]:
    """Perform ``step``, which is that of all turns, for each item; the values in the order of the items.

    Raises:
        RunError: What the first failing item failed with; the others are cancelled.
    """
    places = work.limit or math.inf
    if step.kind == "thread":
        places = min(places, performer.threads.size)
        if not is_timed_or_hooked(step):
            return await _InThreads(performer, run, work).results(int(min(places, work.total)))
    return await _OnLoop(run, work, performer.perform).results(places)


async def repeat(
    run: Run, work: Work, perform: Callable[[Run, Turn], Coroutine[Any, Any, Any]], places: float
) -> list[Any]:
    """Await ``perform(part of run, turn)`` for each item, ``places`` of them at a time; as ``perform_all``."""
    return await _OnLoop(run, work, perform).results(places)


class _Items:
    """The items of a map in flight, and what came of them.

    Attributes:
        run: The part of the run that they belong to; it stops with the first failure.
        taken: Index and item of each that nobody has taken yet.
    """

    def __init__(self, run: Run, work: Work) -> None:
        self.run, self._work = run.part(), work
        self._values: list[Any] = [None] * work.total
        self.taken = enumerate(work.items)
        self._done, self._counting = 0, threading.Lock()

    def turn(self, index: int, item: Any) -> Turn:
        return self._work.turn(index, item)

    def has_ended(self, index: int, value: Any) -> None:
        self._values[index] = value
        if self.run.recorder is not None:
            with self._counting:  # the counts are told in their order
                self._done += 1
                tell(self.run, "progress", self._work.name, None, done=self._done, total=self._work.total)

    async def _all(self, crew: Crew) -> list[Any]:
        await crew.wait()
        return self._values


class _OnLoop(_Items):
    """Items that the loop awaits."""

    def __init__(self, run: Run, work: Work, perform: Callable[[Run, Turn], Coroutine[Any, Any, Any]]) -> None:
        super().__init__(run, work)
        self._perform = perform
        self._workers, self._left = 0, work.total

    async def results(self, places: float) -> list[Any]:
        self._places, self._crew = places, Crew(self.run)
        self._join()
        return await self._all(self._crew)

    def _join(self) -> None:
        if self._workers < self._places and self._left > 0:
            self._workers += 1
            self._crew.start(self._go)

    async def _go(self) -> None:
        until = time.perf_counter() + SLICE
        for index, item in self.taken:
            self._left -= 1
            value = await _Watched(self._perform(self.run, self.turn(index, item)), self._waits)
            self.has_ended(index, value)
            if time.perf_counter() > until:
                await asyncio.sleep(0)
                until = time.perf_counter() + SLICE

    def _waits(self) -> None:
        """An item is suspended: two more workers join in, so that all are at work after a few turns of the loop."""
        self._join()
        self._join()


class _Watched:
    """Awaits a coroutine in place; tells when it is suspended for the first time, if it is."""

    __slots__ = ("_coroutine", "_suspended")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], suspended: Callable[[], None]) -> None:
        self._coroutine, self._suspended = coroutine, suspended

    def __await__(self) -> Generator[Any, Any, Any]:
        coroutine = self._coroutine
        try:
            awaited = coroutine.send(None)
            self._suspended()
            while True:
                try:
                    sent = yield awaited
                except BaseException as error:  # thrown on into the coroutine, whatever it is
                    awaited = coroutine.throw(error)
                else:
                    awaited = coroutine.send(sent)
        except StopIteration as stop:
            return stop.value


@dataclass(frozen=True, slots=True)
class _Failed:
    """An item whose last attempt failed."""

    index: int
    turn: Turn
    attempt: int
    error: BaseException


class _InThreads(_Items):
    """Items that threads call."""

    def __init__(self, performer: Performer, run: Run, work: Work) -> None:
        super().__init__(run, work)
        self._performer = performer

    async def results(self, workers: int) -> list[Any]:
        crew = Crew(self.run)
        for _ in range(workers):
            crew.start(self._go)
        return await self._all(crew)

    async def _go(self) -> None:
        run_in_thread, retry_or_raise = self._performer.threads.run, self._performer.retry_or_raise
        failed: _Failed | None = None
        more = True
        while more:
            more, failed = await run_in_thread(functools.partial(self._slice, failed))
            if failed is not None:
                await asyncio.sleep(retry_or_raise(self.run, failed.turn, failed.attempt, failed.error))

    def _slice(self, failed: _Failed | None) -> tuple[bool, _Failed | None]:
        """In a thread: items for a while, the failed one first; whether more may be left, and what failed now."""
        until = time.perf_counter() + SLICE
        if failed is not None:
            failed = self._try(failed.index, failed.turn, failed.attempt + 1)
        while failed is None:
            index, item = next(self.taken, (-1, None))
            if index < 0:
                return False, None
            failed = self._try(index, self.turn(index, item), 1)
            if time.perf_counter() > until:
                break
        return True, failed

    def _try(self, index: int, turn: Turn, attempt: int) -> _Failed | None:
        value, error = try_in_thread(self.run, turn, attempt)
        if error is not None:
            return _Failed(index, turn, attempt, error)
        self.has_ended(index, value)
        return None
