"""Acts: walks a plan, on the home loop and in the app's threads, as the scheduler decides."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar

from ..errors import InvalidOutputsError, RunCancelledError, RunError, StepFailedError, StepTimeoutError
from ..pipelines.snapshot import Hooks, Snapshot
from .call import Call
from .context import CURRENT, StepContext
from .failures import SIGNALS, as_run_error, blame, is_signal
from .hooks import call_hook, observe
from .plan import PlannedNode, Segment, build_plan
from .recorder import Recorder
from .run import Run
from .scheduler import Scheduler, retry_delay
from .steps import call_in_thread, call_on_loop
from .threads import ThreadPool

__all__ = ["Executor"]

T = TypeVar("T")


class Executor:
    """Runs one snapshot, any number of times side by side.

    All methods belong to the home loop. A run belongs to the task that awaits it: cancelling that task cancels
    the run; sync steps that are already in a thread are told through ``StepContext.cancelled``.
    """

    def __init__(self, snapshot: Snapshot, threads: ThreadPool) -> None:
        self._plan = build_plan(snapshot)
        self._threads = threads
        self._hooks = None if snapshot.hooks == Hooks() else snapshot.hooks

    async def run(self, call: Call, seal: Callable[[Mapping[str, Any]], T], recorder: Recorder | None = None) -> T:
        """Run the pipeline and return ``seal(outputs)``.

        Args:
            call: What to run; its inputs are an instance of the snapshot's input model.
            seal: Validates and serialises the outputs; what it raises fails the run.
            recorder: Told the steps' events, if anybody listens.

        Raises:
            RunError: The run failed; ``step`` and ``run_id`` are set where they are known.
        """
        run = Run(call, self._plan.snapshot.name, self._plan.size, recorder)
        try:
            if self._hooks is not None:
                return await self._run_hooked(run, seal, self._hooks)
            await self._walk(run)
            return seal(self._outputs(run))
        except RunError as error:
            error.run_id = call.run_id
            raise
        finally:
            call.cancelled = True  # whatever is still in a thread works for nobody

    @property
    def swift(self) -> bool:
        """Whether ``run_swiftly`` may stand in for ``run``."""
        return self._plan.swift is not None and self._hooks is None

    async def run_swiftly(self, call: Call, seal: Callable[[Mapping[str, Any]], T]) -> T:
        """As ``run``, for bare steps in a row that nobody listens to: the same calls without the layers around."""
        run = Run(call, self._plan.snapshot.name, self._plan.size, None)
        values, inputs = run.values, run.inputs
        try:
            for planned, slot, node, function, awaited, context_parameter, getters in self._plan.swift or ():
                context = StepContext(run, node, 1)
                token = CURRENT.set(context)
                try:
                    arguments = {name: get(values, inputs) for name, get in getters}
                    if context_parameter is not None:
                        arguments[context_parameter] = context
                    result = function(**arguments)
                    values[slot] = await result if awaited else result
                except BaseException as error:
                    if is_signal(error):
                        raise
                    self._retry_or_raise(run, planned, 1, error)
                finally:
                    CURRENT.reset(token)
                if call.cancelled:  # and the step kept its cancellation to itself
                    raise asyncio.CancelledError
            return seal(self._outputs(run))
        finally:
            call.cancelled = True

    async def _run_hooked(self, run: Run, seal: Callable[[Mapping[str, Any]], T], hooks: Hooks) -> T:
        """``run`` between the pipeline's own hooks; each may ask for the context, the state and the run's name."""
        token = CURRENT.set(StepContext(run, "", 1))
        try:
            if hooks.on_start is not None:
                await self._start_hook(hooks, "")
            await self._walk(run)
            sealed = seal(self._outputs(run))
        except (Exception, asyncio.CancelledError) as error:
            await observe(hooks.on_failure, self._threads, blame(error))
            raise
        else:
            await observe(hooks.on_success, self._threads)
            return sealed
        finally:
            await observe(hooks.on_end, self._threads)
            CURRENT.reset(token)

    async def _start_hook(self, hooks: Hooks, step: str) -> None:
        if hooks.on_start is None:
            return
        try:
            await call_hook(hooks.on_start, self._threads)
        except BaseException as error:
            if isinstance(error, RunError) or is_signal(error):
                raise
            raise StepFailedError(step=step or "on_start", cause=error) from error

    # -------------------------------------------------------------------------------------- the graph

    async def _walk(self, run: Run) -> None:
        if self._plan.linear:
            for segment in self._plan.segments:
                await self._segment(run, segment)
            return
        try:
            async with asyncio.TaskGroup() as group:
                scheduler, ended = Scheduler(self._plan), asyncio.Event()
                for index in scheduler.start():
                    group.create_task(self._follow(run, scheduler, group, ended, index))
                # Before 3.13 a group that fails while it is being left leaves its task counted as cancelled: so stay.
                try:
                    await ended.wait()
                except asyncio.CancelledError:
                    run.call.cancelled = True
                    raise
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from failures.exceptions[0].__cause__

    async def _follow(
        self, run: Run, scheduler: Scheduler, group: asyncio.TaskGroup, ended: asyncio.Event, index: int
    ) -> None:
        """Perform a segment, then go on with what it made ready: one in this task, the others in their own."""
        while True:
            try:
                await self._segment(run, self._plan.segments[index])
            except BaseException as error:
                if isinstance(error, asyncio.CancelledError) and not run.call.cancelled:
                    error = RunError("a step cancelled the task that runs it; return or raise to end a step")
                run.call.cancelled = True  # siblings in threads learn it before the group cancels their waiters
                raise error
            ready = scheduler.completed(index)
            if not ready:
                if scheduler.ended:
                    ended.set()
                return
            index, *others = ready
            for other in others:
                group.create_task(self._follow(run, scheduler, group, ended, other))

    async def _segment(self, run: Run, segment: Segment) -> None:
        if segment.threaded and not segment.nodes[0].alone:
            await self._thread_chain(run, segment.nodes)
            return
        for planned in segment.nodes:
            run.values[planned.index] = await self._perform(run, planned)

    def _outputs(self, run: Run) -> dict[str, Any]:
        try:
            return {name: get(run.values, run.inputs) for name, get in self._plan.results}
        except (AttributeError, KeyError, IndexError, TypeError) as error:
            raise InvalidOutputsError(f"an output is not where the pipeline looks for it: {error}") from error
        except Exception as error:  # a field may be a property, which runs code of the author's
            raise InvalidOutputsError(f"reading an output raised {type(error).__name__}") from error

    # ---------------------------------------------------------------------------------- steps on the loop

    async def _perform(self, run: Run, planned: PlannedNode) -> Any:
        """One step with its attempts, between its hooks."""
        hooks = planned.node.step.hooks
        if hooks == _NO_HOOKS:
            return await self._attempts(run, planned)
        context = StepContext(run, planned.node.id, 1)
        token = CURRENT.set(context)
        try:
            await self._start_hook(hooks, planned.node.id)
            value = await self._attempts(run, planned, context)
        except (Exception, asyncio.CancelledError) as error:
            await observe(hooks.on_failure, self._threads, blame(error))
            raise
        else:
            await observe(hooks.on_success, self._threads, value)
            return value
        finally:
            await observe(hooks.on_end, self._threads)
            CURRENT.reset(token)

    async def _attempts(self, run: Run, planned: PlannedNode, shown: StepContext | None = None) -> Any:
        """Attempts until one succeeds or the failure stands; ``shown`` is told which it is."""
        attempt = 1
        while True:
            started = _tell_started(run, planned, attempt)
            try:
                value = await self._attempt(run, planned, StepContext(run, planned.node.id, attempt))
            except BaseException as error:
                if is_signal(error):
                    raise
                await asyncio.sleep(self._retry_or_raise(run, planned, attempt, error))
            else:
                _tell_completed(run, planned, attempt, started)
                return value
            attempt += 1
            if shown is not None:
                shown.attempt = attempt

    async def _attempt(self, run: Run, planned: PlannedNode, context: StepContext) -> Any:
        timeout = planned.node.step.timeout
        try:
            if timeout is not None:
                value = await self._timed(run, planned, context, timeout)
            elif planned.threaded:
                value = await self._threads.run(functools.partial(call_in_thread, run, planned, context))
            else:
                value = await call_on_loop(run, planned, context)
        except BaseException:
            context._abandon()
            raise
        if run.call.cancelled:  # and the step kept its cancellation to itself
            raise asyncio.CancelledError
        return value

    async def _timed(self, run: Run, planned: PlannedNode, context: StepContext, timeout: float) -> Any:
        """An attempt under its timeout, which counts from when a thread takes it: waiting for one is no fault."""
        loop = asyncio.get_running_loop()

        def in_thread() -> Any:
            loop.call_soon_threadsafe(_begin_timeout, limit, timeout)
            return call_in_thread(run, planned, context)

        value = None
        try:
            async with asyncio.timeout(None if planned.threaded else timeout) as limit:
                call = self._threads.run(in_thread) if planned.threaded else call_on_loop(run, planned, context)
                value = await call
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise StepTimeoutError(step=planned.node.id, timeout=timeout) from error
        if limit.expired():  # it was cancelled, and kept that to itself
            raise StepTimeoutError(step=planned.node.id, timeout=timeout)
        return value

    # ---------------------------------------------------------------------------------- steps in a thread

    async def _thread_chain(self, run: Run, nodes: tuple[PlannedNode, ...]) -> None:
        """A chain of sync steps: one hop to a thread, and one more for each retry."""
        start, attempt = 0, 1
        while True:
            position, error = await self._threads.run(functools.partial(_walk_chain, run, nodes, start, attempt))
            if error is None:
                return
            if position != start:
                start, attempt = position, 1
            await asyncio.sleep(self._retry_or_raise(run, nodes[position], attempt, error))
            attempt += 1

    # ------------------------------------------------------------------------------------------- failures

    def _retry_or_raise(self, run: Run, planned: PlannedNode, attempt: int, error: BaseException) -> float:
        """The delay before the next attempt; raises the run's error if the failure stands."""
        if run.call.cancelled:  # whatever the step made of that
            raise asyncio.CancelledError from error
        judged = blame(error) if isinstance(blame(error), SIGNALS) else error  # a thread's are wrapped, the loop's not
        delay = retry_delay(planned.node.step.retry, attempt, judged, random.random())  # noqa: S311 - no secret
        if delay is None:
            self._fail(run, planned, attempt, error)
        _tell(run, "step_retrying", planned, attempt, delay=delay, error=type(error).__name__)
        return delay

    def _fail(self, run: Run, planned: PlannedNode, attempt: int, error: BaseException) -> NoReturn:
        failure = as_run_error(error, planned.node.id, planned.node.step)
        _tell(run, "step_failed", planned, attempt, error=str(failure))
        if failure is error:
            raise failure
        raise failure from error


_NO_HOOKS = Hooks()


def _walk_chain(run: Run, nodes: tuple[PlannedNode, ...], start: int, attempt: int) -> tuple[int, BaseException | None]:
    """In a thread: perform ``nodes[start:]``; answers where it stopped and why, or ``None`` at the end."""
    for position in range(start, len(nodes)):
        planned = nodes[position]
        if run.call.cancelled:
            return position, RunCancelledError("the run was cancelled before this step", step=planned.node.id)
        started = _tell_started(run, planned, attempt)
        try:
            run.values[planned.index] = call_in_thread(run, planned, StepContext(run, planned.node.id, attempt))
        except BaseException as error:  # judged on the loop
            return position, error
        _tell_completed(run, planned, attempt, started)
        attempt = 1
    return len(nodes), None


def _begin_timeout(limit: asyncio.Timeout, timeout: float) -> None:
    with contextlib.suppress(RuntimeError):  # the attempt has ended meanwhile
        limit.reschedule(asyncio.get_running_loop().time() + timeout)


# ---------------------------------------------------------------------------------------------- events


def _tell(run: Run, kind: Any, planned: PlannedNode, attempt: int, **data: Any) -> None:
    if run.recorder is not None:
        run.recorder.emit(kind, planned.node.id, attempt, **data)


def _tell_started(run: Run, planned: PlannedNode, attempt: int) -> float:
    if run.recorder is None:
        return 0.0
    run.recorder.emit("step_started", planned.node.id, attempt)
    return time.perf_counter()


def _tell_completed(run: Run, planned: PlannedNode, attempt: int, started: float) -> None:
    if run.recorder is not None:
        run.recorder.emit("step_completed", planned.node.id, attempt, duration=time.perf_counter() - started)
