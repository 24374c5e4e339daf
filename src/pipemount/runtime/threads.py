"""The app's own threads: sync steps run here, never in the host's pool."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

__all__ = ["ThreadPool"]

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
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
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
        context = contextvars.copy_context()

        def job() -> None:
            if not future.cancelled():
                _deliver(loop, future, *_attempt(context, function))

        self._submit(job)
        return await future

    def close(self) -> None:
        """Let idle threads end now and busy ones when their function returns."""
        with self._growing:
            self._closed = True
            for _ in self._threads:
                self._jobs.put(None)

    def _submit(self, job: Callable[[], None]) -> None:
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
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            del job
            self._idle.put(None)


def _attempt(context: contextvars.Context, function: Callable[[], T]) -> tuple[T | None, BaseException | None]:
    try:
        return context.run(function), None
    except BaseException as error:
        return None, error


def _deliver(
    loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any], value: Any, error: BaseException | None
) -> None:
    try:
        loop.call_soon_threadsafe(_settle, future, value, error)
    except RuntimeError:
        return  # the loop is closed: nobody waits any more


def _settle(future: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(value)
    elif isinstance(error, StopIteration):  # a future refuses it (PEP 479)
        future.set_exception(RuntimeError("a function in a thread raised StopIteration"))
    else:
        future.set_exception(error)
