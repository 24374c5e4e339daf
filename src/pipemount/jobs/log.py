"""The events of one job that are kept in memory, and those who wait for more."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Sequence
from operator import attrgetter

from ..runtime.buffer import PATIENCE
from ..runtime.events import PASSING, TERMINAL
from .models import JobEvent

__all__ = ["Log"]


class Log:
    """A job's events in order: one list, from which every reader reads at its own pace.

    Of the ``PASSING`` events ``limit`` are kept, and ``limit_bytes`` of them; the oldest make way. Of the others
    ``PATIENCE`` times as much is kept, for a run may have no end. The event that ends a run is always kept, and so is
    the youngest one, however large it is. No lock: all belongs to the home loop.
    """

    __slots__ = ("_kept", "_limit", "_limit_bytes", "_passing", "_waiting", "closed", "events", "first", "last", "size")

    def __init__(self, limit: int, limit_bytes: int) -> None:
        self._limit, self._limit_bytes = limit, limit_bytes
        self._passing, self._kept = [0, 0], [0, 0]  # events and their bytes
        self._waiting: dict[asyncio.Future[bool], int] = {}
        self.events: list[JobEvent] = []
        self.first, self.last, self.size = 1, 0, 0
        self.closed = False

    def append(self, events: Sequence[JobEvent]) -> None:
        """Keep ``events``; those who wait for them are woken."""
        for event in events:
            self.events.append(event)
            self._count(event, 1)
            self.last = event.sequence
            if event.kind == "missed":  # the run told more than could be taken: those before did not come at all
                self.first = max(self.first, event.sequence + 1)
        self._prune(self._passing, 1, _is_passing)
        self._prune(self._kept, PATIENCE, _may_be_missed)
        self._wake()

    def read(self, after: int, limit: int) -> Sequence[JobEvent]:
        """At most ``limit`` of the events behind number ``after``."""
        begin = bisect_right(self.events, after, key=_sequence)
        return self.events[begin : begin + limit]

    def close(self) -> None:
        """There will be no more: nobody need wait."""
        self.closed = True
        self._wake()

    async def wait(self, after: int, timeout: float) -> bool:
        """Return when there is an event behind ``after``, or will be none; ``False`` after ``timeout`` seconds."""
        if self.last > after or self.closed:
            return True
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bool] = loop.create_future()
        self._waiting[future] = after
        timer = loop.call_later(timeout, _settle, future, False)
        try:
            return await future
        finally:
            timer.cancel()
            self._waiting.pop(future, None)

    @property
    def awaited(self) -> bool:
        """Whether somebody waits."""
        return bool(self._waiting)

    def _wake(self) -> None:
        for future, after in self._waiting.items():
            if self.closed or self.last > after:
                _settle(future, True)

    def _count(self, event: JobEvent, by: int) -> None:
        tally = self._passing if _is_passing(event) else self._kept
        tally[0] += by
        tally[1] += by * len(event.body)
        self.size += by * len(event.body)

    def _prune(self, tally: list[int], factor: int, goes: Callable[[JobEvent], bool]) -> None:
        """When there is too much: the oldest go, until a quarter is free again."""
        limit, limit_bytes = factor * self._limit, factor * self._limit_bytes
        if tally[0] <= limit and tally[1] <= limit_bytes:
            return
        left: list[JobEvent] = []
        for event in self.events:
            full = tally[0] * 4 > limit * 3 or tally[1] * 4 > limit_bytes * 3
            if full and goes(event) and event.sequence != self.last:
                self._count(event, -1)
                self.first = max(self.first, event.sequence + 1)
            else:
                left.append(event)
        self.events = left


_sequence = attrgetter("sequence")


def _is_passing(event: JobEvent) -> bool:
    return event.kind in PASSING


def _may_be_missed(event: JobEvent) -> bool:
    return event.kind not in TERMINAL and event.kind not in PASSING


def _settle(future: asyncio.Future[bool], value: bool) -> None:
    if not future.done():
        future.set_result(value)
