"""The thread that asked: while it waits for the answer, it lends itself to the run.

A host that handles each request in a thread of its own keeps there what belongs to the request: an open transaction, a
database connection, a session. Steps with ``affinity="request"`` are performed in that thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import ContextVar, copy_context
from queue import SimpleQueue
from threading import Lock, get_ident
from typing import Any, Protocol, TypeVar

from ..errors import RunCancelledError
from .loops import running_loop
from .threads import Job, Owner

__all__ = ["REQUEST_THREAD", "InlineThread", "NotInlineError", "RequestThread", "WaitingThread", "asked_by", "drive"]

T = TypeVar("T")


class RequestThread(Protocol):
    """A thread that handles a request and lends itself to the run that it asked for."""

    @property
    def size(self) -> int:
        """How many functions it performs at a time: one."""

    @property
    def takes_all(self) -> bool:
        """Whether all sync steps are performed there, and not only those that ask for it."""

    @property
    def is_here(self) -> bool:
        """Whether this is asked in that thread, or when it lends itself no more: a run asked for here is not its."""

    async def run(self, function: Callable[[], T], owner: Owner | None = None) -> T:
        """Call ``function`` there, under a copy of the caller's context variables; as ``ThreadPool.run``."""


REQUEST_THREAD: ContextVar[RequestThread | None] = ContextVar("pipemount_request_thread", default=None)
"""Set by whoever asks for a run; carried along to the loop that the run is on."""


def asked_by() -> RequestThread | None:
    """The thread that asked for the run that begins here, if it lends itself.

    A thread that drives a run itself may have code in it that asks for another one on a loop: not of that one.
    """
    asked = REQUEST_THREAD.get()
    return None if asked is not None and asked.takes_all and running_loop() is not None else asked


class NotInlineError(Exception):
    """A request that was driven without a loop turns out to need one. Nothing was read and nothing sent."""


class InlineThread:
    """The thread that drives the run itself: what is lent to it is called at once.

    Args:
        takes_all: Whether steps that may run in any thread are called there, too.
    """

    size = 1
    is_here = True

    def __init__(self, *, takes_all: bool = True) -> None:
        self.takes_all = takes_all

    async def run(self, function: Callable[[], T], owner: Owner | None = None) -> T:
        """Call ``function`` here and now; never suspends."""
        return copy_context().run(function)


class WaitingThread:
    """The asking thread's way to wait: messages for it come through a queue, and so does work for it.

    Made in the thread that will wait. ``put`` and ``run`` may be called from anywhere.
    """

    size = 1
    takes_all = False

    def __init__(self) -> None:
        self._items: SimpleQueue[Any] = SimpleQueue()
        self._lock = Lock()
        self._closed = False
        self._thread = get_ident()

    @property
    def is_here(self) -> bool:
        """Whether this is asked in the thread itself, or when that waits no more."""
        return self._closed or self._thread == get_ident()

    def put(self, item: object) -> None:
        """A message for the thread."""
        self._items.put(item)

    def get(self, timeout: float | None = None) -> Any:
        """In the thread: the next message; work that comes before it is performed.

        Args:
            timeout: Seconds without a message or work; ``queue.Empty`` is raised then.
        """
        while isinstance(item := self._items.get(timeout=timeout), Job):
            item.perform()
        return item

    async def run(self, function: Callable[[], T], owner: Owner | None = None) -> T:
        """Call ``function`` in the thread. Raises ``RunCancelledError`` where that waits no more."""
        job = Job(asyncio.get_running_loop(), function)
        with self._lock:
            if self._closed:
                raise _gone()
            self._items.put(job)
        found: T = await job.outcome(owner)
        return found

    def close(self) -> None:
        """The thread goes on: work that it has not performed fails."""
        with self._lock:
            self._closed = True
        while not self._items.empty():
            if isinstance(item := self._items.get(), Job):
                item.answer(None, _gone())


def _gone() -> RunCancelledError:
    return RunCancelledError("the request that asked for the run has ended, and its thread with it")


def drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends, in this thread and without a loop.

    Raises:
        RuntimeError: It suspended.
    """
    try:
        coroutine.send(None)
    except StopIteration as ended:
        value: T = ended.value
        return value
    coroutine.close()
    raise RuntimeError("a coroutine that was driven without a loop waits for one")
