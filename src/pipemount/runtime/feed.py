"""Readers of a run's events: each with a bounded buffer of its own, and none that the run waits for."""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from time import monotonic
from typing import Generic, TypeVar

from .buffer import LIMIT, LIMIT_BYTES, Buffer
from .events import TERMINAL, Event

__all__ = ["Feed", "Inbox", "reading"]

T = TypeVar("T")


class Inbox(ABC):
    """A buffer with its lock, filled from any thread and emptied on the loop that made it.

    A producer asks whether it is ``crowded`` before it says something, and gives the reader's loop turns as long as it
    is: then whoever reads as fast as it can gets all. A reader that took nothing in its turn gets no other before it
    does, so one that stands still costs a run one turn.
    """

    patience = 0.05
    """Seconds that a turn takes at most, should the reader's loop be busy."""

    def __init__(self, limit: int = LIMIT, limit_bytes: int = LIMIT_BYTES) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._lock = threading.RLock()  # re-entered where a finaliser tells something just now
        self._buffer = Buffer(limit, limit_bytes)
        self._reading = True
        self._passing: asyncio.Future[None] | None = None
        self._turn: threading.Event | None = None
        self._turn_ends = 0.0
        self._closed = False

    def put(self, event: Event) -> None:
        """Take ``event`` in, if this is still open. From any thread; returns at once."""
        with self._lock:
            if self._closed:
                return
            self._buffer.put(event)
            self._closed = event.kind in TERMINAL
            self._wake()

    def take(self) -> Event | None:
        """The next event, or ``None``. On the loop that made this."""
        with self._lock:
            event = self._buffer.take()
        self._reading = self._reading or event is not None
        return event

    @property
    def crowded(self) -> bool:
        """Whether it is half full and its reader reads, or may do so in the turn that it has: another would help."""
        return self._buffer.crowded and (self._reading or monotonic() < self._turn_ends)

    async def turn(self) -> None:
        """Let the reader's loop run once."""
        here = asyncio.get_running_loop()
        if here is not self._loop:
            await self._turn_elsewhere(here)
            return
        if self._passing is None:  # else the tasks that come while one waits wait for the same
            self._reading, self._turn_ends = False, monotonic() + self.patience
            self._passing = here.create_future()
            here.call_soon(self._end_turn, self._passing)
        await asyncio.wait([self._passing])

    def _end_turn(self, passing: asyncio.Future[None]) -> None:
        self._passing, self._turn_ends = None, 0.0
        passing.set_result(None)

    async def _turn_elsewhere(self, here: asyncio.AbstractEventLoop) -> None:
        self._reading = False
        passed = here.create_future()
        with suppress(RuntimeError):  # the reader's loop is closed
            self._after_turn(lambda: _settle_on(here, passed))
            await asyncio.wait([passed], timeout=self.patience)

    def wait_for_turn(self) -> None:
        """``turn``, in a thread that runs no loop; those that come while one waits wait for the same."""
        with self._lock:
            begun, turn = self._turn is not None, self._turn or threading.Event()
            if not begun:
                self._turn, self._reading, self._turn_ends = turn, False, monotonic() + self.patience
        if not begun:
            try:
                self._after_turn(self._pass_turn)
            except RuntimeError:  # the reader's loop is closed
                self._pass_turn()
        turn.wait(max(0.0, self._turn_ends - monotonic()))

    def _pass_turn(self) -> None:
        with self._lock:
            turn, self._turn, self._turn_ends = self._turn, None, 0.0
        if turn is not None:
            turn.set()

    def _after_turn(self, passed: Callable[[], object]) -> None:
        """Call ``passed`` on the reader's loop, after a reader that was woken before has run."""
        self._loop.call_soon_threadsafe(self._loop.call_soon, passed)

    @abstractmethod
    def _wake(self) -> None:
        """See that the reader looks. With the lock held, from any thread."""


class Feed(Inbox):
    """A run's events for one reader: ``async for event in feed``, on the loop that made it.

    Hand it over as a run's listener. It ends after the event that ends the run. See ``Buffer`` for what a reader gets
    that is slower than the run.
    """

    def __init__(self, limit: int = LIMIT, limit_bytes: int = LIMIT_BYTES) -> None:
        super().__init__(limit, limit_bytes)
        self._sleeper: asyncio.Future[None] | None = None
        self._read = False

    __call__ = Inbox.put

    def close(self) -> None:
        """Take nothing in any more; what is there can still be read. From any thread."""
        with self._lock:
            self._closed = True
            self._wake()

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        if self._read:
            raise RuntimeError("somebody reads this feed already; give the run a feed for each reader")
        self._read = True
        try:
            while True:
                with self._lock:
                    if (event := self.take()) is not None:
                        return event
                    if self._closed:
                        raise StopAsyncIteration
                    sleeper = self._sleeper = self._loop.create_future()
                await sleeper
        finally:
            self._read = False

    def _wake(self) -> None:
        sleeper, self._sleeper = self._sleeper, None
        if sleeper is None:
            return
        if threading.get_ident() == self._thread:
            _settle(sleeper)
        else:
            with suppress(RuntimeError):  # the reader's loop is closed
                self._loop.call_soon_threadsafe(_settle, sleeper)


class reading(Generic[T]):  # noqa: N801 - reads like the function that it stands for
    """``run``, which fills ``feed``, as a task for as long as the block reads: it is cancelled when the block ends.

    No generator: a loop that ends closes all generators side by side, this one while the block in one is being left.
    """

    def __init__(self, feed: Feed, run: Awaitable[T]) -> None:
        self._feed, self._run = feed, run

    async def __aenter__(self) -> asyncio.Future[T]:
        self._task: asyncio.Future[T] = asyncio.ensure_future(self._run)
        self._task.add_done_callback(lambda _: self._feed.close())
        return self._task

    async def __aexit__(self, *error: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _settle_on(loop: asyncio.AbstractEventLoop, future: asyncio.Future[None]) -> None:
    with suppress(RuntimeError):  # the run's loop is closed
        loop.call_soon_threadsafe(_settle, future)
