"""Event loops and the way between them: a loop in a thread of its own, and calls handed over from loop to loop.

A call that is handed over behaves as if it were awaited in place: context variables are carried along, the caller's
cancellation reaches the call, and the caller ends only when the call has ended. It costs about 0.1 ms. A loop that ends
before it comes to a call answers nothing: so those who wait look, now and then, whether it still runs.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from contextvars import Context, copy_context
from typing import Any, Final, TypeAlias, TypeVar

from ..errors import UnavailableError

__all__ = [
    "Loop",
    "LoopThread",
    "call_from_loop",
    "call_from_thread",
    "failure_within",
    "gone",
    "has_ended",
    "new_outcome",
    "result_within",
    "run_apart",
    "running_loop",
    "spawn",
]

LOOK: Final = 0.5
"""Seconds after which who waits for a call looks whether the loop that it waits for still runs."""

T = TypeVar("T")
Loop: TypeAlias = asyncio.AbstractEventLoop


class LoopThread:
    """An event loop in a daemon thread, running from construction until ``stop``.

    The loop is what ``asyncio.new_event_loop`` gives, so a process that chose uvloop by policy gets uvloop here, too.

    Attributes:
        loop: The running loop.
        ended: Done when tasks were cancelled, the loop closed, and the thread is about to end.
    """

    def __init__(self, name: str) -> None:
        self.loop: Loop = asyncio.new_event_loop()
        self.ended: Future[Any] = new_outcome()
        self._stopped = asyncio.Event()
        try:
            threading.Thread(target=self._run, name=name, daemon=True).start()
        except RuntimeError:  # Python 3.12 starts no threads once the main thread has ended
            self.loop.close()
            raise

    def stop(self) -> Future[Any]:
        """Asks the loop to end, from any thread; returns ``ended``. Asking again changes nothing."""
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._stopped.set)
        return self.ended

    def _run(self) -> None:
        try:
            with suppress(SystemExit):  # a task that lets it out ends the loop; whoever waits for the task gets it
                self.loop.run_until_complete(self._stopped.wait())
        finally:
            self.loop.run_until_complete(_end_tasks())
            self.loop.close()
            self.ended.set_result(None)


async def _end_tasks() -> None:
    """Leaves a loop ready to be closed. The default executor is not waited for, as ``asyncio.Runner`` would."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()


def new_outcome() -> Future[Any]:
    """A future that any loop or thread can wait for, and no waiter can cancel."""
    outcome: Future[Any] = Future()
    outcome.set_running_or_notify_cancel()
    return outcome


async def result_within(outcome: Future[T], seconds: float) -> T:
    """The result of ``outcome``; giving up, also by cancellation, leaves it to others. Raises ``TimeoutError``."""
    if not outcome.done():
        async with asyncio.timeout(seconds):
            await asyncio.wrap_future(outcome)
    return outcome.result()


async def failure_within(work: Callable[[], Awaitable[None]], seconds: float | None) -> BaseException | None:
    """What ``work()`` raises, also ``SystemExit``; ``TimeoutError`` if it takes longer, for which it is cancelled."""
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            await work()
    except BaseException as error:
        return TimeoutError(f"not done within {seconds:g} s") if seconds and limit.expired() else error
    return None


def running_loop() -> Loop | None:
    """The loop that this thread runs, if any."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def has_ended(loop: Loop) -> bool:
    """Whether ``loop``, which ran when it was given something to do, does nothing any more."""
    return loop.is_closed() or not loop.is_running()


def gone() -> UnavailableError:
    """What a caller is told whose call ended with the loop, or would never begin."""
    return UnavailableError("stopped before the run ended; use another instance", code="draining")


def run_apart(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs ``work()`` on a loop made for it, and waits for its end, even in a thread that runs a loop."""
    if running_loop() is None:
        asyncio.run(work())
    else:
        thread = threading.Thread(target=lambda: asyncio.run(work()), daemon=True)
        thread.start()
        thread.join()


_tasks: set[asyncio.Task[Any]] = set()


def spawn(loop: Loop, work: Callable[[], Awaitable[Any]], context: Context) -> None:
    """Starts a task on ``loop`` from any thread, and keeps it from being collected while it runs."""

    def begin() -> None:
        task = loop.create_task(_awaiting(work), context=context)
        _tasks.add(task)
        task.add_done_callback(_tasks.discard)

    loop.call_soon_threadsafe(begin, context=context)


async def call_from_loop(home: Loop, function: Callable[[], Awaitable[T]]) -> T:
    """Awaits ``function()`` on ``home`` from a coroutine on another loop.

    Raises:
        UnavailableError: ``home`` ended without an answer.
    """
    call = _Call(home, function)
    answer: _Answer[T] = _Answer(call)
    call.tell = answer.take
    call.send()
    answer.look()
    return await answer


def _result(home: Loop, answer: Future[T]) -> T:
    while not answer.done():
        with suppress(TimeoutError):  # perhaps the answer's own
            return answer.result(LOOK)
        if has_ended(home) and not answer.done():
            raise gone()
    return answer.result()


def call_from_thread(
    home: Loop, function: Callable[[], Awaitable[T]], result: Callable[[Loop, Future[T]], T] = _result
) -> T:
    """Runs ``function()`` on ``home`` from a thread that waits for it; must not be the thread of ``home``.

    Args:
        home: The loop.
        function: What is awaited there.
        result: How the thread waits: the result of a future that is settled on the loop.

    Raises:
        UnavailableError: ``home`` ended without an answer.
    """
    call = _Call(home, function)
    answer: Future[T] = Future()
    call.tell = lambda ended: _settle(answer, ended)
    try:
        call.send()
        return result(home, answer)
    except BaseException:
        if not answer.done():  # sending or waiting was interrupted, e.g. by Ctrl-C
            call.cancel()
        raise


class _Call:
    """One call on its way to ``home``, and the means to cancel it there."""

    __slots__ = ("_context", "_function", "_home", "_task", "tell")

    tell: Callable[[asyncio.Task[Any]], None]

    def __init__(self, home: Loop, function: Callable[[], Awaitable[Any]]) -> None:
        self._home, self._function, self._context = home, function, copy_context()
        self._task: asyncio.Task[Any] | None = None

    @property
    def lost(self) -> bool:
        return has_ended(self._home)

    def send(self) -> None:
        try:
            self._home.call_soon_threadsafe(self._begin, context=self._context)
        except RuntimeError:
            if not self._home.is_closed():
                raise
            raise gone() from None

    def cancel(self) -> None:
        with suppress(RuntimeError):  # the loop is closed
            self._home.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if self._task is not None:  # callbacks keep their order: there is no task only if sending was interrupted
            self._task.cancel()

    def _begin(self) -> None:
        self._task = self._home.create_task(_awaiting(self._function), context=self._context)
        self._task.add_done_callback(self.tell)


class _Answer(asyncio.Future[T]):
    """What a caller on another loop awaits. Cancelling it cancels the call, as with an awaited task.

    ``Task.cancel`` cancels the future that the task waits for, and leaves it to that future to end: so the caller
    goes on only when the call has ended, with whatever the call made of the cancellation.
    """

    def __init__(self, call: _Call) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self._call = call
        self._timer: asyncio.TimerHandle | None = None

    def look(self) -> None:
        """Again and again, on the caller's loop: whether there will be an answer."""
        if self.done():
            return
        if self._timer is not None and self._call.lost:
            self._call.cancel()
            self.set_exception(gone())
        else:
            self._timer = self.get_loop().call_later(LOOK, self.look)

    def cancel(self, msg: Any | None = None) -> bool:
        if self.done():
            return False
        self._call.cancel()
        return True

    def take(self, ended: asyncio.Task[T]) -> None:
        """Called on the home loop; wakes the caller on its own, unless that is gone."""
        if not self.get_loop().is_closed():
            self.get_loop().call_soon_threadsafe(self._end, ended)

    def _end(self, ended: asyncio.Task[T]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self.done():
            return
        if ended.cancelled():
            super().cancel()
        elif (error := ended.exception()) is not None:
            self.set_exception(error)
        else:
            self.set_result(ended.result())


def _settle(answer: Future[T], ended: asyncio.Task[T]) -> None:
    if ended.cancelled():
        answer.cancel()
    elif (error := ended.exception()) is not None:
        answer.set_exception(error)
    else:
        answer.set_result(ended.result())


async def _awaiting(function: Callable[[], Awaitable[T]]) -> T:
    return await function()
