"""The app's own threads: sync steps run here, never in the host's pool."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

from .failures import SIGNALS

__all__ = ["Errand", "Job", "Owner", "ThreadPool", "in_pool", "standing_aside"]

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
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._started = 0
        self._spare = 0
        """Threads that wait for a job, less the jobs that wait for a thread."""
        self._stand_ins = 0
        self._closed = False

    async def run(self, function: Callable[[], T], owner: Owner | None = None) -> T:
        """Call ``function`` in a thread, under a copy of the caller's context variables.

        Must be awaited on an event loop. A waiter that is cancelled before a thread took the call withdraws it; where
        it comes too late for that, ``owner`` is told that the function goes on.
        """
        job = Job(asyncio.get_running_loop(), function)
        self._submit(job)
        found: T = await job.outcome(owner)
        return found

    def close(self) -> None:
        """Let idle threads end now and busy ones when their function returns."""
        with self._lock:
            self._closed = True
            for _ in self._threads:
                self._jobs.put(None)

    def _submit(self, job: Job) -> None:
        with self._lock:
            if self._closed:
                raise RuntimeError("the thread pool is closed; its app was stopped")
            self._jobs.put(job)
            self._spare -= 1
            self._grow()

    def _grow(self) -> None:
        """With the lock held: one thread more, if a job waits for one and there may be more."""
        if self._spare >= 0 or len(self._threads) >= self.size + self._stand_ins:
            return
        thread = threading.Thread(target=self._work, name=f"{self.name}-{self._started + 1}", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system gives no more: those that there are take the work
            if not self._threads:
                raise
        else:
            self._threads.add(thread)
            self._started += 1
            self._spare += 1

    def _work(self) -> None:
        _own.pool = self
        while (job := self._jobs.get()) is not None:
            value, error = job.call()
            goes_on = self._goes_on()  # before the answer is given: who asks again at once finds this thread
            job.answer(value, error)
            del job, value, error
            if not goes_on:
                break

    def _goes_on(self) -> bool:
        """In a thread that has done its job: whether it takes another, or was one too many."""
        with self._lock:
            if len(self._threads) > self.size + self._stand_ins and not self._closed:
                self._threads.discard(threading.current_thread())
                return False
            self._spare += 1
            return True

    def _vary(self, stand_ins: int) -> None:
        with self._lock:
            self._stand_ins += stand_ins
            if not self._closed:
                self._grow()


_own = threading.local()


@contextmanager
def standing_aside() -> Iterator[None]:
    """Around a wait for other work: a thread of a pool lets another take its place meanwhile.

    Without it a step that waits for a run whose steps need a thread could wait for the thread that it has itself.
    """
    pool: ThreadPool | None = getattr(_own, "pool", None)
    if pool is None:
        yield
        return
    pool._vary(1)
    try:
        yield
    finally:
        pool._vary(-1)


def in_pool() -> bool:
    """Whether this thread is a pool's, and so nobody else's: not the host's, not the one that asked."""
    return getattr(_own, "pool", None) is not None


class Owner(Protocol):
    """Whoever a function in a thread belongs to."""

    def keep(self, errand: Errand) -> None:
        """Nobody waits for ``errand`` any more, and it still runs; ``errand.tell`` lets one hear of its end."""


class Errand:
    """What a thread does for a loop: whether it has begun, and whether it has ended."""

    __slots__ = ("_begun", "_ended", "_told")

    def __init__(self) -> None:
        self._begun = self._ended = False
        self._told: list[Callable[[Errand], None]] = []

    def begin(self) -> None:
        """In the thread, which looks only then whether it is still wanted: one of the two sees the other."""
        self._begun = True

    def end(self) -> None:
        """In the thread."""
        self._ended = True
        for callback in self._told:
            callback(self)

    def given_up(self, owner: Owner | None) -> None:
        """On the loop: nobody waits for it any more, and who it belongs to hears of it if it goes on all the same."""
        if owner is not None and self._begun and not self._ended:
            owner.keep(self)

    def tell(self, callback: Callable[[Errand], None]) -> None:
        """Call ``callback`` when it has ended, there and then; perhaps twice."""
        self._told.append(callback)
        if self._ended:
            callback(self)


class Job(Errand):
    """A call for another thread, made on the loop that is to be told what came of it."""

    __slots__ = ("_context", "_function", "_future", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, function: Callable[[], Any]) -> None:
        super().__init__()
        self._loop, self._function = loop, function
        self._future: asyncio.Future[Any] = loop.create_future()
        self._context = contextvars.copy_context()

    async def outcome(self, owner: Owner | None) -> Any:
        """On the loop: the value, or what was raised."""
        try:
            return await self._future
        except asyncio.CancelledError:
            self.given_up(owner)
            raise

    def perform(self) -> None:
        """In that thread: call, and answer."""
        self.answer(*self.call())

    def call(self) -> tuple[Any, BaseException | None]:
        """In that thread: the value or what was raised; nothing is called where nobody waits any more."""
        self.begin()
        if self._future.cancelled():
            return None, None
        try:
            return self._context.run(self._function), None
        except BaseException as error:  # handed to whoever waits, whatever it is
            return None, error

    def answer(self, value: Any, error: BaseException | None) -> None:
        """Tell whoever waits, from any thread."""
        self.end()
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(_settle, self._future, value, error)


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
