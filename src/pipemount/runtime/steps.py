"""Calling one step once: its arguments, its context, its deltas, its value. Nothing here waits or retries."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any

from pydantic import ValidationError

from ..errors import InvalidOutputsError, RunCancelledError, StepFailedError
from ..pipelines.snapshot import StepSpec
from .context import CURRENT, StepContext
from .failures import SIGNALS
from .plan import PlannedNode
from .run import Run

__all__ = ["call_in_thread", "call_on_loop"]


async def call_on_loop(run: Run, planned: PlannedNode, context: StepContext) -> Any:
    """Call an ``async`` or ``loop`` step and wait for its value. On the home loop."""
    step = planned.node.step
    token = CURRENT.set(context)
    try:
        result = step.function(**_arguments(run, planned, context))
        if step.generator:
            result = (
                await _drain_async(step, result, context) if step.kind == "async" else _drain(step, result, context)
            )
        elif step.kind == "async":
            result = await result
    finally:
        CURRENT.reset(token)
    return result if len(step.outputs) <= 1 else _several(step, result)


def call_in_thread(run: Run, planned: PlannedNode, context: StepContext) -> Any:
    """Call a ``thread`` step and return its value. In one of the app's threads, under copied context variables."""
    step = planned.node.step
    CURRENT.set(context)
    try:
        result = step.function(**_arguments(run, planned, context))
        if step.generator:
            result = _drain(step, result, context)
    except SIGNALS as error:  # they never reach a thread from outside, and the loop must not take them for its own
        raise StepFailedError(step=planned.node.id, cause=error) from error
    return result if len(step.outputs) <= 1 else _several(step, result)


def _arguments(run: Run, planned: PlannedNode, context: StepContext) -> dict[str, Any]:
    values, inputs = run.values, run.inputs
    arguments = {
        name: get(values, inputs) if coerce is None else _coerced(coerce, get(values, inputs), name, planned)
        for name, get, coerce in planned.arguments
    }
    if planned.node.step.context_parameter is not None:
        arguments[planned.node.step.context_parameter] = context
    if run.overrides:
        arguments |= run.overrides.get(planned.node.id, {}).get("parameters", {})
    return arguments


def _coerced(adapter: Any, value: Any, name: str, planned: PlannedNode) -> Any:
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]["msg"]
        raise InvalidOutputsError(
            f"the value for {name!r} of step {planned.node.id!r} does not fit its type: {fault}", step=planned.node.id
        ) from error


def _drain(step: StepSpec, generator: Generator[Any, None, Any], context: StepContext) -> Any:
    """Tell each value that a generator yields as a delta; its return value, or all it yielded, is the output."""
    yielded: list[Any] = []
    try:
        while True:
            delta = next(generator)
            if step.collects:
                yielded.append(delta)
            context._tell("delta", value=delta)
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
            await context._tell_delta(delta)
    finally:
        await generator.aclose()
    return yielded


def _several(step: StepSpec, result: Any) -> Any:
    if not isinstance(result, tuple) or len(result) != len(step.outputs):
        found = f"a tuple of {len(result)}" if isinstance(result, tuple) else type(result).__name__
        raise InvalidOutputsError(
            f"step {step.name!r} declares {len(step.outputs)} outputs but returned {found}", step=step.name
        )
    return result
