"""Readers of a run's events: each with a bounded buffer of its own, and none that the run waits for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from .buffer import LIMIT, LIMIT_BYTES, Buffer
from .events import TERMINAL, Event

__all__ = ["Feed", "Inbox", "reading"]

T = TypeVar("T")

TURN = 0.05
"""Seconds that a thread waits at most until the reader's loop had its turn."""


class Inbox:
    """A buffer with its lock, filled from any thread and emptied on the loop that made it.

    A producer may ask whether it is ``crowded``, and give the reader's loop a turn: then whoever reads as fast as it
    can gets all. It is asked once for each time that the reader took something, so a reader that stands still costs
    a run one turn.
    """

    def __init__(self, limit: int = LIMIT, limit_bytes: int = LIMIT_BYTES) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._lock = threading.RLock()  # re-entered where a finaliser tells something just now
        self._buffer = Buffer(limit, limit_bytes)
        self._reading = True
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
        """Whether it is half full and its reader reads: a turn would help."""
        return self._reading and self._buffer.crowded

    async def turn(self) -> None:
        """Let the reader's loop run once."""
        self._reading = False
        here = asyncio.get_running_loop()
        if here is self._loop:
            await asyncio.sleep(0)
            return
        passed = here.create_future()
        with suppress(RuntimeError):  # the reader's loop is closed
            self._after_turn(lambda: _settle_on(here, passed))
            await asyncio.wait([passed], timeout=TURN)

    def wait_for_turn(self) -> None:
        """``turn``, in a thread that runs no loop."""
        self._reading = False
        passed = threading.Event()
        with suppress(RuntimeError):  # the reader's loop is closed
            self._after_turn(passed.set)
            passed.wait(TURN)

    def _after_turn(self, passed: Callable[[], object]) -> None:
        """Call ``passed`` on the reader's loop, after a reader that was woken before has run."""
        self._loop.call_soon_threadsafe(self._loop.call_soon, passed)

    def _wake(self) -> None:
        """See that the reader looks. With the lock held, from any thread."""
        raise NotImplementedError


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


@asynccontextmanager
async def reading(feed: Feed, run: Awaitable[T]) -> AsyncIterator[asyncio.Task[T]]:
    """``run``, which fills ``feed``, as a task for as long as the block reads: it is cancelled when the block ends."""
    task = asyncio.ensure_future(run)
    task.add_done_callback(lambda _: feed.close())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _settle_on(loop: asyncio.AbstractEventLoop, future: asyncio.Future[None]) -> None:
    with suppress(RuntimeError):  # the run's loop is closed
        loop.call_soon_threadsafe(_settle, future)
