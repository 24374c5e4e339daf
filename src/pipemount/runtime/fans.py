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
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..pipelines.specs import StepSpec
from . import crew
from .crew import Crew, Workers
from .performer import Performer, tell, try_in_thread
from .run import Run
from .turn import Turn, is_timed_or_hooked

__all__ = ["Work", "perform_all", "repeat"]


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
    if step.executor is not None:
        patient = step.retry is not None
        places = work.limit or await performer.connections.places((step.executor,), patient=patient)
    elif step.kind == "thread":
        places = min(places, performer.threads_for(run, step).size)
        if not (performer.keeps or is_timed_or_hooked(step)):
            return await _InThreads(performer, run, step, work).results(int(min(places, work.total)))
    return await _OnLoop(run, work, performer.perform, places).results()


async def repeat(
    run: Run, work: Work, perform: Callable[[Run, Turn], Coroutine[Any, Any, Any]], places: float
) -> list[Any]:
    """Await ``perform(part of run, turn)`` for each item, ``places`` of them at a time; as ``perform_all``."""
    return await _OnLoop(run, work, perform, places).results()


class _Results:
    """What came of the items of a map in flight, and how many have ended."""

    def __init__(self, run: Run, work: Work) -> None:
        self.values: list[Any] = [None] * work.total
        self._run, self._name, self._total = run, work.name, work.total
        self._done, self._counting = 0, threading.Lock()

    def add(self, index: int, value: Any) -> None:
        """From any thread."""
        self.values[index] = value
        if self._run.recorder is not None:
            with self._counting:  # the counts are told in their order
                self._done += 1
                tell(self._run, "progress", self._name, None, done=self._done, total=self._total)


class _OnLoop(Workers):
    """Items that the loop awaits."""

    __slots__ = ("_left", "_part", "_perform", "_results", "_taken", "_turn")

    def __init__(
        self, run: Run, work: Work, perform: Callable[[Run, Turn], Coroutine[Any, Any, Any]], places: float
    ) -> None:
        self._part = run.part()
        super().__init__(self._part, places)
        self._perform, self._turn = perform, work.turn
        self._taken, self._left = enumerate(work.items), work.total
        self._results = _Results(run, work)

    async def results(self) -> list[Any]:
        await self.work()
        return self._results.values

    def more(self) -> bool:
        return self._left > 0

    def take(self) -> tuple[int, Coroutine[Any, Any, Any]]:
        self._left -= 1
        index, item = next(self._taken)
        return index, self._perform(self._part, self._turn(index, item))

    def ended(self, number: int, value: Any) -> None:
        self._results.add(number, value)


@dataclass(frozen=True, slots=True)
class _Failed:
    """An item whose last attempt failed."""

    index: int
    turn: Turn
    attempt: int
    error: BaseException


class _InThreads:
    """Items that threads call."""

    def __init__(self, performer: Performer, run: Run, step: StepSpec, work: Work) -> None:
        self._part, self._turn = run.part(), work.turn
        self._run_in_thread, self._retry_or_raise = performer.threads_for(run, step).run, performer.retry_or_raise
        self._crew, self._taken = Crew(self._part), enumerate(work.items)
        self._results = _Results(run, work)

    async def results(self, workers: int) -> list[Any]:
        for _ in range(workers):
            self._crew.start(self._go)
        await self._crew.wait()
        return self._results.values

    async def _go(self) -> None:
        failed: _Failed | None = None
        more = True
        try:
            while more:
                more, failed = await self._run_in_thread(functools.partial(self._slice, failed), self._part.call)
                if failed is not None:
                    await asyncio.sleep(self._retry_or_raise(self._part, failed.turn, failed.attempt, failed.error))
        except BaseException as error:  # raised where somebody waits
            self._crew.fail(error)

    def _slice(self, failed: _Failed | None) -> tuple[bool, _Failed | None]:
        """In a thread: items for a while, the failed one first; whether more may be left, and what failed now."""
        until = time.perf_counter() + crew.SLICE
        while True:
            if failed is not None:
                failed = self._try(failed.index, failed.turn, failed.attempt + 1)
            else:
                index, item = next(self._taken, (-1, None))
                if index < 0:
                    return False, None
                failed = self._try(index, self._turn(index, item), 1)
            if failed is not None or time.perf_counter() > until:
                return True, failed

    def _try(self, index: int, turn: Turn, attempt: int) -> _Failed | None:
        value, error = try_in_thread(self._part, turn, attempt)
        if error is not None:
            return _Failed(index, turn, attempt, error)
        self._results.add(index, value)
        return None
