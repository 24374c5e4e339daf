"""The streams that are open: how many each principal has, and what ends them before their jobs do."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import Context
from typing import Literal, Protocol, TypeAlias, TypeVar

from ..errors import TooManyStreamsError
from ..runtime.loops import Loop
from .exchange import ClientLeftError

__all__ = ["Ending", "Open", "Stream", "Streams"]

T = TypeVar("T")

Ending: TypeAlias = Literal["left", "draining", "age"]
"""Why a stream ends whose job has not: its reader left, the server is about to stop, or it has been open for long."""

FAREWELL = 1.0
"""Seconds in which a reader has to take the last words of a server that stops."""


class Open(Protocol):
    """What is open, as far as it is told of its end."""

    def end(self, ending: Ending) -> None:
        """Have it end, with its last words."""

    def abandon(self) -> None:
        """Have it end now."""


class Streams:
    """The open streams of an app, on whichever event loops their requests came.

    Args:
        limit: How many a principal may have open.
        longest: Seconds that one may be open.
        until_draining: Returns when the server was told to stop; on any loop.
        total: How many all together may have open; ``None`` for as many as they like.
    """

    def __init__(
        self, limit: int, longest: float, until_draining: Callable[[], Awaitable[None]], total: int | None = None
    ) -> None:
        self._limit, self._longest, self._until_draining, self._total = limit, longest, until_draining, total
        self.forget()

    def forget(self) -> None:
        """Begin from nothing, as in a forked child: what is open is the parent's."""
        self._lock = threading.Lock()
        self._open: Counter[str | None] = Counter()
        self._shores: dict[Loop, _Shore] = {}

    def __len__(self) -> int:
        """How many are open."""
        return self._open.total()

    def check(self, owner: str | None) -> None:
        """Raise ``TooManyStreamsError`` if ``owner`` cannot open another."""
        if self._open[owner] >= self._limit:
            raise TooManyStreamsError(limit=self._limit)
        if self._total is not None and len(self) >= self._total:
            raise TooManyStreamsError(limit=self._total, everybody=True)

    def open(self, owner: str | None, left: Callable[[], Awaitable[None]]) -> Stream:
        """A stream in the running task, open while a ``with`` block runs.

        Args:
            owner: Whose it is; ``None`` for all whom nobody knows.
            left: Returns when its reader has left.

        Raises:
            TooManyStreamsError: ``owner`` has as many as are allowed, or all together have.
        """
        with self._lock:
            self.check(owner)
            self._open[owner] += 1
        return Stream(self, owner, left)

    @contextmanager
    def holding(self, held: Open, owner: str | None) -> Iterator[None]:
        """``held`` is open while the block runs, and told of the server's end: a WebSocket. Raises as ``open`` does."""
        with self._lock:
            self.check(owner)
            self._open[owner] += 1
        loop = asyncio.get_running_loop()
        self._enter(held, loop)
        try:
            yield
        finally:
            self._leave(held, loop, owner)

    def _enter(self, stream: Open, loop: Loop) -> float:
        """It is open; until when, by the loop's clock."""
        if (shore := self._shores.get(loop)) is None:
            shore = self._shores[loop] = _Shore(loop, self._until_draining)
        shore.streams.add(stream)
        return loop.time() + self._longest

    def _leave(self, stream: Open, loop: Loop, owner: str | None) -> None:
        if (shore := self._shores.get(loop)) is not None:
            shore.streams.discard(stream)
            if not shore.streams:
                shore.close()
                del self._shores[loop]
        with self._lock:
            self._open[owner] -= 1
            if self._open[owner] <= 0:
                del self._open[owner]


class _Shore:
    """The streams on one loop. One task for all of them waits for the server's end."""

    def __init__(self, loop: Loop, until_draining: Callable[[], Awaitable[None]]) -> None:
        self.streams: set[Open] = set()
        self._task = loop.create_task(self._watch(until_draining), context=Context())

    def close(self) -> None:
        """The last one was closed."""
        self._task.cancel()

    async def _watch(self, until_draining: Callable[[], Awaitable[None]]) -> None:
        await until_draining()
        for stream in tuple(self.streams):
            stream.end("draining")
        await asyncio.sleep(FAREWELL)
        for stream in tuple(self.streams):
            stream.abandon()


class Stream:
    """A response that is open, seen from its own task. All belongs to its loop.

    That a reader leaves is told by the server, through ``receive``, and to whoever waits there: so a task of its own
    waits, 0.7 KiB for each stream. To wait there without one, the coroutine would have to be driven from this task,
    and those that middleware puts around it may hold a cancel scope, which belongs to the task that has entered it.

    A block that is left because the reader has gone is left quietly.

    Attributes:
        ending: Why it is to end before its job does, if it is.
    """

    __slots__ = ("_asked", "_left", "_owner", "_silent", "_stopped", "_streams", "_task", "_until", "_watch", "ending")

    _watch: asyncio.Future[None]

    def __init__(self, streams: Streams, owner: str | None, left: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - narrows for the type checker; a coroutine opens it
        self._streams, self._owner, self._left = streams, owner, left
        self._task, self._asked = task, task.cancelling()
        self._silent = self._stopped = False
        self.ending: Ending | None = None

    def __enter__(self) -> Stream:
        self._until = self._streams._enter(self, self._task.get_loop())
        self._watch = asyncio.ensure_future(self._left())
        self._watch.add_done_callback(self._has_left)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        self._watch.remove_done_callback(self._has_left)
        self._watch.cancel()
        self._streams._leave(self, self._task.get_loop(), self._owner)
        if self._is_ours():
            return kind is not None and issubclass(kind, asyncio.CancelledError)
        if isinstance(error, ClientLeftError):
            self.ending = self.ending or "left"
            return True
        return False

    def end(self, ending: Ending) -> None:
        """Have it end: at once where it is silent, else when its reader has taken what is being written."""
        if self.ending is None:
            self.ending = ending
            if self._silent:
                self._stop()

    def abandon(self) -> None:
        """Have it end now: nobody reads."""
        self.ending = self.ending or "left"
        self._stop()

    async def hear(self, ask: Callable[[float], Awaitable[T]], silence: float) -> T | None:
        """What ``ask(seconds)`` gives, which waits no longer than ``silence``; ``None`` when the stream is to end."""
        left = self._until - self._task.get_loop().time()
        if left <= 0:
            self.end("age")
        if self.ending is not None:
            return None
        self._silent = True
        try:
            return await ask(min(left, silence))
        except asyncio.CancelledError:
            if not self._is_ours():
                raise
            return None
        finally:
            self._silent = False

    def _has_left(self, watch: asyncio.Future[None]) -> None:
        if not watch.cancelled():
            watch.exception()  # a server that raises there tells of no reader, either
        self.abandon()

    def _stop(self) -> None:
        if not self._stopped:
            self._stopped = True
            self._task.cancel()

    def _is_ours(self) -> bool:
        """Whether it was us who cancelled the task, and nobody else; asked once for each time."""
        if not self._stopped:
            return False
        self._stopped = False
        return self._task.uncancel() <= self._asked
