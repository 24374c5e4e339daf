"""Performs one step: its attempts and the pauses between them, its timeout, its hooks, its events."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
import time
from collections.abc import Coroutine, Sequence
from typing import Any, NoReturn

from ..errors import RunCancelledError, RunError, StepFailedError, StepTimeoutError, WorkerLostError
from ..pipelines.specs import Hooks, StepSpec
from .context import CURRENT, StepContext
from .elsewhere import Connections, perform_elsewhere
from .events import EventKind
from .failures import SIGNALS, as_run_error, blame, is_signal, suspends
from .hooks import call_hook, observe
from .lending import RequestThread
from .run import Run
from .scheduler import retry_delay
from .steps import affinity_of, call_in_thread, call_on_loop
from .suspending import Suspension
from .threads import ThreadPool
from .turn import NO_HOOKS, Turn

__all__ = ["Performer", "call_start_hook", "fail", "tell", "tell_completed", "tell_started", "try_in_thread"]


class Performer:
    """Performs steps for any number of runs, side by side. Its methods belong to the home loop.

    Attributes:
        keeps: Whether what each step gave is kept, for which the loop has to see it.
    """

    keeps = False

    def __init__(self, threads: ThreadPool, connections: Connections | None = None) -> None:
        self.threads, self.connections = threads, connections or Connections(threads)

    def perform(self, run: Run, turn: Turn) -> Coroutine[Any, Any, Any]:
        """One step with its attempts, between its hooks; its value. To be awaited. Raises ``RunError``."""
        hooks = turn.step.hooks
        return self._attempts(run, turn) if hooks is NO_HOOKS or hooks == NO_HOOKS else self._hooked(run, turn, hooks)

    async def perform_chain(self, run: Run, turns: Sequence[Turn], slots: Sequence[int]) -> None:
        """A chain of sync steps: one hop to a thread, and one more for each retry. Its values go to ``slots``."""
        start, attempt = 0, 1
        while True:
            work = functools.partial(_walk_chain, run, turns, slots, start, attempt)
            position, error = await self.threads_for(run, turns[start].step).run(work, run.call)
            if error is None:
                return
            if position != start:
                start, attempt = position, 1
            await asyncio.sleep(self.retry_or_raise(run, turns[position], attempt, error))
            attempt += 1

    def keep(self, run: Run, turn: Turn, value: Any) -> bool:
        """What a step gave is to be kept; whether it can be. Only where it ``keeps``."""
        return True

    async def settle(self, run: Run) -> None:
        """Return when all is kept that steps have given: before hooks are called, which may take their time."""

    def threads_for(self, run: Run, step: StepSpec) -> ThreadPool | RequestThread:
        """Where a sync step is performed: in the thread that asked, if step or app wants that and there is one."""
        asked = run.call.asked
        if asked is None or not (asked.takes_all or affinity_of(run, step) == "request"):
            return self.threads
        return asked

    def retry_or_raise(self, run: Run, turn: Turn, attempt: int, error: BaseException) -> float:
        """The delay before the next attempt; raises the run's error if the failure stands."""
        if run.cancelled:  # whatever the step made of that
            raise asyncio.CancelledError from error
        judged = blame(error) if isinstance(blame(error), SIGNALS) else error  # a thread's are wrapped, the loop's not
        retry = None if isinstance(error, Suspension | WorkerLostError) else turn.step.retry
        delay = retry_delay(retry, attempt, judged, random.random())  # noqa: S311 - no secret
        if delay is None:
            fail(run, turn, attempt, error)
        tell(run, "step_retrying", turn.name, attempt, delay=delay, error=type(error).__name__)
        return delay

    async def _hooked(self, run: Run, turn: Turn, hooks: Hooks) -> Any:
        context = StepContext(run, turn.name, 1)
        token = CURRENT.set(context)
        try:
            await self._begin(run, turn, hooks)
            value = await self._attempts(run, turn, context)
            await self.settle(run)
        except (Exception, asyncio.CancelledError) as error:
            if not suspends(error):
                await observe(hooks.on_failure, self.threads, blame(error))
            raise
        else:
            await observe(hooks.on_success, self.threads, value)
            return value
        finally:
            await observe(hooks.on_end, self.threads)
            CURRENT.reset(token)

    async def _begin(self, run: Run, turn: Turn, hooks: Hooks) -> None:
        """``on_start``, with which the step fails before its first attempt."""
        try:
            await call_start_hook(hooks, self.threads, turn.name)
        except RunError as error:
            error.step = error.step or turn.name
            tell(run, "step_failed", turn.name, 1, error=str(error))
            raise

    async def _attempts(self, run: Run, turn: Turn, shown: StepContext | None = None) -> Any:
        """Attempts until one succeeds or the failure stands; ``shown`` is told which it is."""
        step, name = turn.step, turn.name
        bare = step.timeout is None and step.kind != "thread" and step.executor is None
        attempt = 1
        while True:
            context = StepContext(run, name, attempt)
            started = tell_started(run, name, attempt)
            try:
                value = await (call_on_loop(run, turn, context) if bare else self._apart(run, turn, context))
                if run.cancelled:  # and the step kept its cancellation to itself
                    raise asyncio.CancelledError
            except BaseException as error:
                context._abandon()
                if is_signal(error):
                    raise
                await asyncio.sleep(self.retry_or_raise(run, turn, attempt, error))
            else:
                if self.keeps and not self.keep(run, turn, value):
                    tell_completed(run, name, attempt, started, kept=False)
                else:
                    tell_completed(run, name, attempt, started)
                return value
            attempt += 1
            if shown is not None:
                shown.attempt = attempt

    async def _apart(self, run: Run, turn: Turn, context: StepContext) -> Any:
        """An attempt that takes more than a call on the loop."""
        if turn.step.executor is not None:
            lost = functools.partial(_tell_loss, run, turn, context)
            return await perform_elsewhere(self.connections, run, turn, context, lost)
        if turn.step.timeout is not None:
            return await self._timed(run, turn, context, turn.step.timeout)
        work = functools.partial(call_in_thread, run, turn, context)
        return await self.threads_for(run, turn.step).run(work, run.call)

    async def _timed(self, run: Run, turn: Turn, context: StepContext, timeout: float) -> Any:
        """An attempt under its timeout, which counts from when a thread takes it: waiting for one is no fault."""
        loop = asyncio.get_running_loop()
        threads = self.threads_for(run, turn.step) if turn.step.kind == "thread" else None

        def in_thread() -> Any:
            loop.call_soon_threadsafe(_begin_timeout, limit, timeout)
            return call_in_thread(run, turn, context)

        value = None
        try:
            async with asyncio.timeout(timeout if threads is None else None) as limit:
                value = await (
                    call_on_loop(run, turn, context) if threads is None else threads.run(in_thread, run.call)
                )
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise StepTimeoutError(step=turn.name, timeout=timeout) from error
        if limit.expired():  # it was cancelled, and kept that to itself
            raise StepTimeoutError(step=turn.name, timeout=timeout)
        return value


def _tell_loss(run: Run, turn: Turn, context: StepContext) -> None:
    tell(run, "step_retrying", turn.name, context.attempt, delay=0.0, error=WorkerLostError.__name__)


def _begin_timeout(limit: asyncio.Timeout, timeout: float) -> None:
    with contextlib.suppress(RuntimeError):  # the attempt has ended meanwhile
        limit.reschedule(asyncio.get_running_loop().time() + timeout)


async def call_start_hook(hooks: Hooks, threads: ThreadPool, step: str) -> None:
    """Call ``on_start``; what it raises fails the run."""
    if hooks.on_start is None:
        return
    try:
        await call_hook(hooks.on_start, threads)
    except BaseException as error:
        if isinstance(error, RunError) or is_signal(error):
            raise
        raise StepFailedError(step=step or "on_start", cause=error) from error


def fail(run: Run, turn: Turn, attempt: int, error: BaseException) -> NoReturn:
    """Raise what the run fails with because ``turn`` raised ``error``, and tell it."""
    failure = as_run_error(error, turn.name, turn.step)
    if not suspends(failure):  # it told so where it asked
        tell(run, "step_failed", turn.name, attempt, error=str(failure))
    if failure is error:
        raise failure
    raise failure from error


# ---------------------------------------------------------------------------------------- in a thread


def _walk_chain(
    run: Run, turns: Sequence[Turn], slots: Sequence[int], start: int, attempt: int
) -> tuple[int, BaseException | None]:
    """Perform ``turns[start:]``; answers where it stopped and why, or ``None`` at the end."""
    for position in range(start, len(turns)):
        value, error = try_in_thread(run, turns[position], attempt)
        if error is not None:
            return position, error
        run.values[slots[position]] = value
        attempt = 1
    return len(turns), None


def try_in_thread(run: Run, turn: Turn, attempt: int) -> tuple[Any, BaseException | None]:
    """One attempt at a sync step: its value, or what it raised, to be judged on the loop."""
    if run.cancelled or run.call.late:
        return None, RunCancelledError("the run was cancelled before this step", step=turn.name)
    started = tell_started(run, turn.name, attempt)
    try:
        value = call_in_thread(run, turn, StepContext(run, turn.name, attempt))
    except BaseException as error:  # judged on the loop
        return None, error
    tell_completed(run, turn.name, attempt, started)
    return value, None


# ---------------------------------------------------------------------------------------------- events


def tell(run: Run, kind: EventKind, step: str, attempt: int | None, **data: Any) -> None:
    """Tell an event of a step, if anybody listens."""
    if run.recorder is not None:
        run.recorder.emit(kind, step, attempt, **data)


def tell_started(run: Run, step: str, attempt: int) -> float:
    """Tell that a step starts; what to hand to ``tell_completed``."""
    if run.recorder is None:
        return 0.0
    run.recorder.emit("step_started", step, attempt)
    return time.perf_counter()


def tell_completed(run: Run, step: str, attempt: int, started: float, **data: Any) -> None:
    """Tell that a step has a value, and how long it took."""
    if run.recorder is not None:
        run.recorder.emit("step_completed", step, attempt, duration=time.perf_counter() - started, **data)
