"""Who may run now, who waits, and who is told to come back. Safe from any loop and thread."""

from __future__ import annotations

import asyncio
import math
import threading
from collections import deque
from contextlib import suppress

from ..errors import OverloadedError

__all__ = ["Admission"]


class Admission:
    """Places for runs: ``limit`` at the same time, ``queue`` that wait in the order they came.

    ``enter`` takes a place or raises; each ``enter`` is followed by one ``leave``. A free place is a token in a deque,
    whose ``pop`` and ``append`` are atomic: taking one while some are free needs no lock.
    """

    def __init__(self, limit: int, queue: int) -> None:
        self.limit, self.queue = limit, queue
        self.forget()

    def forget(self) -> None:
        """Begin from nothing, as in a forked child: the runs that are under way are the parent's."""
        self.rejected = 0
        self._free: deque[None] = deque([None] * self.limit)
        self._waiting: deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = deque()
        self._drains: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._lock = threading.Lock()
        self._mean = 0.1

    @property
    def active(self) -> int:
        """Runs that have a place."""
        return self.limit - len(self._free)

    @property
    def queued(self) -> int:
        """Runs that wait for a place."""
        return len(self._waiting)

    def try_enter(self) -> bool:
        """Take a free place, without waiting; raises ``OverloadedError`` when the queue is full too."""
        if not self._waiting and self._take():
            return True
        with self._lock:
            if len(self._waiting) >= self.queue:
                self.rejected += 1
                raise OverloadedError(retry_after=self._retry_after())
        return False

    @property
    def spare(self) -> int:
        """Places that nobody has and nobody waits for."""
        return 0 if self._waiting else len(self._free)

    def try_spare(self) -> bool:
        """Take a place that nobody waits for, if there is one; never waits, never refuses."""
        return not self._waiting and self._take()

    def _take(self) -> bool:
        try:
            self._free.pop()
        except IndexError:
            return False
        return True

    async def enter(self) -> None:
        """Take a place, waiting for one if need be. Raises ``OverloadedError``."""
        if self.try_enter():
            return
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._lock:
            self._waiting.append((loop, future))
        self._hand_on()  # a place may have come free since we looked
        try:
            await future
        except asyncio.CancelledError:
            self._withdraw(loop, future)
            raise

    def leave(self, duration: float) -> None:
        """Give the place back; ``duration`` is what the run took, in seconds."""
        self._mean += (duration - self._mean) * 0.05
        self._give_back()

    def _give_back(self) -> None:
        self._free.append(None)
        if self._waiting:
            self._hand_on()
        if self._drains:
            self._tell_drained()

    def _tell_drained(self) -> None:
        with self._lock:
            told, self._drains = ([], self._drains) if self.active or self._waiting else (self._drains, [])
        for loop, future in told:
            with suppress(RuntimeError):  # that loop is closed: nobody waits there any more
                loop.call_soon_threadsafe(_wake_once, future)

    async def drained(self) -> None:
        """Return when nothing runs and nothing waits."""
        with self._lock:
            if not self.active and not self._waiting:
                return
            loop = asyncio.get_running_loop()
            future: asyncio.Future[None] = loop.create_future()
            self._drains.append((loop, future))
        try:
            await future
        finally:
            with suppress(ValueError):  # already told
                self._drains.remove((loop, future))

    def _hand_on(self) -> None:
        with self._lock:
            while self._waiting and self._take():
                loop, future = self._waiting.popleft()
                try:
                    loop.call_soon_threadsafe(self._wake, future)
                except RuntimeError:  # that loop is closed, its waiter is gone
                    self._free.append(None)

    def _wake(self, future: asyncio.Future[None]) -> None:
        if future.done():  # withdrawn in the meantime
            self._give_back()
        else:
            future.set_result(None)

    def _withdraw(self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[None]) -> None:
        with self._lock, suppress(ValueError):
            self._waiting.remove((loop, future))
            return
        if future.done() and not future.cancelled():  # granted in the same tick
            self._give_back()

    def _retry_after(self) -> int:
        """Seconds until a place in the queue is likely free, from the mean duration of recent runs."""
        rounds = (len(self._waiting) + 1) / self.limit
        return min(60, max(1, math.ceil(self._mean * rounds)))


def _wake_once(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
