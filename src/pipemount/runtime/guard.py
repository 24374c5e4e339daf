"""Awaiting a coroutine under a deadline and a watch, at no cost while it does not suspend."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from time import monotonic
from typing import Any, Generic, TypeVar

from ..errors import DeadlineExceededError, RunCancelledError

__all__ = ["Guarded", "guard"]

T = TypeVar("T")

GRACE = 0.05
"""Seconds that a coroutine may be suspended before somebody starts to watch whether its caller left."""


async def guard(
    coroutine: Coroutine[Any, Any, T],
    timeout: float | None,
    left: Callable[[], Awaitable[None]] | None = None,
    stopping: Callable[[], None] | None = None,
    deadline: float | None = None,
) -> T:
    """The coroutine's value, or the reason why it was cancelled.

    It runs in the awaiting task, so that context variables and cancel scopes are the caller's. Timer and watch start
    only once it suspends: a pipeline that answers at once pays for neither.

    Args:
        coroutine: What is awaited.
        timeout: Seconds that it may take, as the error names them; ``None`` leaves the deadline to somebody else.
        left: Awaited in a task of its own while the coroutine is suspended; when it returns, the caller has
            left and the coroutine is cancelled.
        stopping: Called when the coroutine is about to be cancelled for either reason, for whom it reaches
            without a cancellation: threads, and coroutines that keep theirs to themselves.
        deadline: When it is cancelled, on ``time.monotonic()``; without it ``timeout`` seconds after it suspended.

    Raises:
        DeadlineExceededError: The deadline passed.
        RunCancelledError: ``left`` returned.
    """
    try:
        suspended = coroutine.send(None)
    except StopIteration as stop:
        value: T = stop.value
        return value
    return await Guarded(coroutine, suspended, timeout, left, stopping, deadline)


class Guarded(Generic[T]):
    """A coroutine that has suspended, with what it yielded, under its timer and its watch; see ``guard``."""

    __slots__ = (
        "_asked",
        "_coroutine",
        "_deadline",
        "_left",
        "_reason",
        "_stopping",
        "_suspended",
        "_task",
        "_timeout",
        "_timer",
        "_watch",
    )

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, T],
        suspended: Any,
        timeout: float | None,
        left: Callable[[], Awaitable[None]] | None,
        stopping: Callable[[], None] | None = None,
        deadline: float | None = None,
    ) -> None:
        self._coroutine, self._suspended, self._timeout, self._left = coroutine, suspended, timeout, left
        self._stopping, self._deadline = stopping, deadline
        self._reason: DeadlineExceededError | RunCancelledError | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._watch: asyncio.Task[None] | None = None
        self._task: asyncio.Task[Any] | None = None

    def __await__(self) -> Generator[Any, Any, T]:
        suspended = self._suspended
        self._arm()
        try:
            while True:
                try:
                    sent = yield suspended
                except BaseException as error:  # thrown on into the coroutine, whatever it is
                    suspended = self._coroutine.throw(error)
                else:
                    suspended = self._coroutine.send(sent)
        except StopIteration as stop:
            value: T = stop.value
            return value
        except asyncio.CancelledError:
            self._explain()
            raise
        finally:
            self._disarm()

    # ------------------------------------------------------------------------------- timer and watch

    def _arm(self) -> None:
        self._task = asyncio.current_task()
        self._asked = self._task.cancelling() if self._task is not None else 0
        within = self._timeout if self._deadline is None else self._deadline - monotonic()
        if self._left is not None and (within is None or within > GRACE):
            self._timer = asyncio.get_running_loop().call_later(GRACE, self._look, within)
        else:
            self._time(within, 0.0)

    def _time(self, within: float | None, passed: float) -> None:
        self._timer = None
        if within is not None:
            self._timer = asyncio.get_running_loop().call_later(within - passed, self._expire)

    def _look(self, within: float | None) -> None:
        self._time(within, GRACE)
        self._watch = asyncio.get_running_loop().create_task(self._until_left())

    async def _until_left(self) -> None:
        assert self._left is not None  # noqa: S101 - narrows for the type checker; _arm looked
        await self._left()
        self._stop(RunCancelledError("the caller left before the run ended"))

    def _expire(self) -> None:
        assert self._timeout is not None  # noqa: S101 - narrows for the type checker; a deadline has one
        self._stop(DeadlineExceededError(timeout=self._timeout))

    def _stop(self, reason: DeadlineExceededError | RunCancelledError) -> None:
        if self._reason is None and self._task is not None:
            self._reason = reason
            if self._stopping is not None:
                self._stopping()
            self._task.cancel()

    def _explain(self) -> None:
        """Raise the reason instead of the cancellation, unless somebody else cancelled the task as well."""
        reason, self._reason = self._reason, None
        if reason is not None and self._task is not None and self._task.uncancel() <= self._asked:
            raise reason from None

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()
        if self._reason is not None and self._task is not None:
            self._task.uncancel()  # cancelled by us, yet it ended otherwise: its own outcome stands
