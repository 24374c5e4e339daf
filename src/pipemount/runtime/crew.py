"""Work side by side: tasks of one run, of which the first that fails ends all."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Final

from ..errors import RunError
from .run import Run

__all__ = ["OWN_CANCELLATION", "Crew", "Workers"]

OWN_CANCELLATION: Final = "a step cancelled the task that runs it; return or raise to end a step"

SLICE = 0.01
"""Seconds that a worker goes on before it lets others have the loop, or its thread."""


class Crew:
    """Tasks that belong to a run, or to a part of one, and to the task that waits for them.

    The first failure stops the run and cancels the other tasks; cancelling who waits does the same. Unlike with
    ``asyncio.TaskGroup`` nobody is cancelled to be told of a failure, and what failed is raised as it is.
    """

    __slots__ = ("_closed", "_failure", "_loop", "_run", "_tasks", "_waiter")

    def __init__(self, run: Run) -> None:
        self._run = run
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiter: asyncio.Future[None] | None = None
        self._failure: BaseException | None = None
        self._closed = False

    def start(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Await ``work()`` in a task of its own; ignored once a failure or a cancellation ends the crew.

        ``work`` raises nothing: it hands that to ``fail``.
        """
        if self._closed:
            return
        task = self._loop.create_task(work())
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def fail(self, error: BaseException) -> None:
        """End the crew; ``wait`` raises ``error`` if it is the first. A cancellation that nobody asked for counts."""
        if isinstance(error, GeneratorExit):  # the loop is gone
            raise error
        if not self._closed:
            own = isinstance(error, asyncio.CancelledError) and not self._run.cancelled
            self._failure = RunError(OWN_CANCELLATION) if own else error
            self._close()

    async def wait(self) -> None:
        """Return when all tasks have ended. Raises what the first failed with, or this task's own cancellation."""
        cancellation: asyncio.CancelledError | None = None
        while self._tasks:
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            except asyncio.CancelledError as error:
                cancellation = error
                self._close()
        reason = self._failure or cancellation
        if reason is not None:
            try:
                raise reason
            finally:
                del reason, cancellation, self._failure  # the traceback leads here: without it, no cycle

    def _close(self) -> None:
        self._run.stopped = self._closed = True  # threads learn it before the tasks that wait for them are cancelled
        for task in self._tasks:
            task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not self._tasks and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Workers(ABC):
    """Tasks that take one job after the other: on while jobs end at once, joined by more when one has to wait.

    So as many jobs are in flight as if each had a task, and quick ones do not pay for one.

    Args:
        run: What is stopped by the first failure.
        places: The most jobs at the same time.
    """

    __slots__ = ("_count", "_crew", "_places")

    def __init__(self, run: Run, places: float) -> None:
        self._crew, self._places, self._count = Crew(run), places, 0

    @abstractmethod
    def more(self) -> bool:
        """Whether there is a job to take."""

    @abstractmethod
    def take(self) -> tuple[int, Coroutine[Any, Any, Any]]:
        """The next job, and its number."""

    @abstractmethod
    def ended(self, number: int, value: Any) -> None:
        """A job has ended; there may be more now."""

    async def work(self) -> None:
        """Take jobs until none is left or under way. Raises what the first failing one raised."""
        self._join()
        await self._crew.wait()

    def _join(self) -> None:
        if self._count < self._places and self.more():
            self._count += 1
            self._crew.start(self._go)

    def waits(self) -> None:
        """A job is suspended: two workers join, so that all are at work after a few turns of the loop."""
        self._join()
        self._join()

    async def _go(self) -> None:
        try:
            until = time.perf_counter() + SLICE
            while self.more():
                number, job = self.take()
                self.ended(number, await _Watched(job, self))
                if time.perf_counter() > until:
                    await asyncio.sleep(0)
                    until = time.perf_counter() + SLICE
            self._count -= 1
        except BaseException as error:  # raised where somebody waits
            self._crew.fail(error)


class _Watched:
    """Awaits a job in place; tells the workers when it is suspended for the first time, if it is."""

    __slots__ = ("_job", "_workers")

    def __init__(self, job: Coroutine[Any, Any, Any], workers: Workers) -> None:
        self._job, self._workers = job, workers

    def __await__(self) -> Generator[Any, Any, Any]:
        job = self._job
        try:
            awaited = job.send(None)
            self._workers.waits()
            while True:
                try:
                    sent = yield awaited
                except BaseException as error:  # thrown on into the job, whatever it is
                    awaited = job.throw(error)
                else:
                    awaited = job.send(sent)
        except StopIteration as stop:
            return stop.value
