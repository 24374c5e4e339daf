"""Work side by side: tasks of one run, of which the first that fails ends all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from ..errors import RunError
from .run import Run

__all__ = ["OWN_CANCELLATION", "Crew"]

OWN_CANCELLATION: Final = "a step cancelled the task that runs it; return or raise to end a step"


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

    def start(self, work: Callable[..., Awaitable[None]], *args: Any) -> None:
        """Await ``work(*args)`` in a task of its own; ignored once a failure or a cancellation ends the crew."""
        if self._closed:
            return
        task = self._loop.create_task(self._perform(work, args))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

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

    async def _perform(self, work: Callable[..., Awaitable[None]], args: tuple[Any, ...]) -> None:
        try:
            await work(*args)
        except GeneratorExit:  # the loop is gone
            raise
        except BaseException as error:  # raised where somebody waits
            if not self._closed:
                own = isinstance(error, asyncio.CancelledError) and not self._run.cancelled
                self._failure = RunError(OWN_CANCELLATION) if own else error
                self._close()

    def _close(self) -> None:
        self._run.stopped = self._closed = True  # threads learn it before the tasks that wait for them are cancelled
        for task in self._tasks:
            task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not self._tasks and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
