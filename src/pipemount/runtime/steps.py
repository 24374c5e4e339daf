"""Calling one step once: its arguments, its context, its deltas, its value. Nothing here waits or retries."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any

from ..errors import InvalidOutputsError, RunCancelledError, StepFailedError
from ..pipelines.specs import Affinity, StepSpec
from .context import CURRENT, StepContext
from .failures import SIGNALS
from .run import Run
from .turn import Turn

__all__ = ["affinity_of", "call_in_thread", "call_on_loop"]


async def call_on_loop(run: Run, turn: Turn, context: StepContext) -> Any:
    """Call an ``async`` or ``loop`` step and wait for its value. On the home loop."""
    step = turn.step
    token = CURRENT.set(context)
    try:
        result = step.function(**_arguments(run, turn, context))
        if step.generator:
            result = (
                await _drain_async(step, result, context) if step.kind == "async" else _drain(step, result, context)
            )
        elif step.kind == "async":
            result = await result
    finally:
        CURRENT.reset(token)
    return result if len(step.outputs) <= 1 else _several(turn, result)


def call_in_thread(run: Run, turn: Turn, context: StepContext) -> Any:
    """Call a ``thread`` step and return its value. In one of the app's threads, under copied context variables."""
    CURRENT.set(context)
    environment = run.call.environment
    if environment is None or (run.call.asked is not None and affinity_of(run, turn.step) == "request"):
        # The thread that asked has an environment of its own, and that is what the step wants.
        return _called(run, turn, context)
    with environment(context):
        return _called(run, turn, context)


def affinity_of(run: Run, step: StepSpec) -> Affinity:
    """Which thread ``step`` wants: by its own word, or by the app's."""
    return step.affinity or run.call.affinity


def _called(run: Run, turn: Turn, context: StepContext) -> Any:
    step = turn.step
    try:
        result = step.function(**_arguments(run, turn, context))
        if step.generator:
            result = _drain(step, result, context)
    except SIGNALS as error:  # they never reach a thread from outside, and the loop must not take them for its own
        raise StepFailedError(step=turn.name, cause=error) from error
    return result if len(step.outputs) <= 1 else _several(turn, result)


def _arguments(run: Run, turn: Turn, context: StepContext) -> dict[str, Any]:
    arguments = turn.given(run, turn.name)
    if turn.step.context_parameter is not None:
        arguments[turn.step.context_parameter] = context
    return arguments


def _drain(step: StepSpec, generator: Generator[Any, None, Any], context: StepContext) -> Any:
    """Tell each value that a generator yields as a delta; its return value, or all it yielded, is the output."""
    yielded: list[Any] = []
    try:
        while True:
            delta = next(generator)
            if step.collects:
                yielded.append(delta)
            if context.heard:
                context._tell("delta", value=delta if step.narrow is None else step.narrow(delta))
            if context.cancelled:
                raise RunCancelledError("the run was cancelled between two deltas", step=context.step_name)
    except StopIteration as stop:
        return yielded if step.collects else stop.value
    finally:
        generator.close()


async def _drain_async(step: StepSpec, generator: AsyncGenerator[Any, None], context: StepContext) -> list[Any]:
    yielded: list[Any] = []
    try:
        async for delta in generator:
            yielded.append(delta)
            if context.heard:
                await context._tell_delta(delta if step.narrow is None else step.narrow(delta))
    finally:
        await generator.aclose()
    return yielded


def _several(turn: Turn, result: Any) -> Any:
    count = len(turn.step.outputs)
    if not isinstance(result, tuple) or len(result) != count:
        found = f"a tuple of {len(result)}" if isinstance(result, tuple) else type(result).__name__
        raise InvalidOutputsError(f"step {turn.name!r} declares {count} outputs but returned {found}", step=turn.name)
    return result
