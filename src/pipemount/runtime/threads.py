"""The app's own threads: sync steps run here, never in the host's pool."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeVar

from .failures import SIGNALS

__all__ = ["Job", "ThreadPool", "in_pool"]

T = TypeVar("T")


class ThreadPool:
    """A bounded pool of daemon threads, grown only when work waits and no thread is idle.

    No thread starts before the first ``run``, so a pool may be made before a fork. A function that is already
    running cannot be stopped: whoever waits for it is released at once, its thread when it returns.

    Args:
        size: The most threads that run at the same time.
        name: Prefix of the threads' names.
    """

    def __init__(self, size: int, name: str = "pipemount") -> None:
        self.size, self.name = size, name
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._idle: SimpleQueue[None] = SimpleQueue()
        self._growing = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._closed = False

    async def run(self, function: Callable[[], T]) -> T:
        """Call ``function`` in a thread, under a copy of the caller's context variables.

        Must be awaited on an event loop. A waiter that is cancelled before a thread took the call withdraws it.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._submit(Job(loop, future, contextvars.copy_context(), function))
        return await future

    def close(self) -> None:
        """Let idle threads end now and busy ones when their function returns."""
        with self._growing:
            self._closed = True
            for _ in self._threads:
                self._jobs.put(None)

    def _submit(self, job: Job) -> None:
        if self._closed:
            raise RuntimeError("the thread pool is closed; its app was stopped")
        self._jobs.put(job)
        try:
            self._idle.get_nowait()
        except Empty:
            self._grow()

    def _grow(self) -> None:
        with self._growing:
            if self._closed or len(self._threads) >= self.size:
                return
            name = f"{self.name}-{len(self._threads) + 1}"
            thread = _Worker(target=self._work, name=name, daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the system gives no more: those that there are take the work
                if not self._threads:
                    raise
            else:
                self._threads.append(thread)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            value, error = job.call()
            self._idle.put(None)  # before the answer is given: who asks again at once finds this thread
            job.answer(value, error)
            del job, value, error


class _Worker(threading.Thread):
    """A thread of a pool."""


def in_pool() -> bool:
    """Whether this thread is a pool's, and so nobody else's: not the host's, not the one that asked."""
    return isinstance(threading.current_thread(), _Worker)


class Job(NamedTuple):
    """A call for another thread, and the future on ``loop`` that is told what came of it."""

    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    context: contextvars.Context
    function: Callable[[], Any]

    def perform(self) -> None:
        """In that thread: call, and answer."""
        self.answer(*self.call())

    def call(self) -> tuple[Any, BaseException | None]:
        """In that thread: the value or what was raised; nothing is called where nobody waits any more."""
        if self.future.cancelled():
            return None, None
        try:
            return self.context.run(self.function), None
        except BaseException as error:  # handed to whoever waits, whatever it is
            return None, error

    def answer(self, value: Any, error: BaseException | None) -> None:
        """Tell whoever waits, from any thread."""
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self.loop.call_soon_threadsafe(_settle, self.future, value, error)


_UNFIT = (StopIteration, *SIGNALS)
"""What a future refuses (PEP 479), and what the loop would take for its own."""


def _settle(future: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(value)
    elif isinstance(error, _UNFIT):
        unfit = RuntimeError(f"a function in a thread raised {type(error).__name__}")
        unfit.__cause__ = error
        future.set_exception(unfit)
    else:
        future.set_exception(error)
