"""One step that is to be performed, wherever that comes from: a node, an item of a map, a call in a dynamic body."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from ..errors import InvalidOutputsError
from ..pipelines.specs import Hooks, StepSpec
from .values import Getter, Values

if TYPE_CHECKING:
    from .elsewhere import Common

__all__ = ["NO_HOOKS", "Argument", "Turn", "coerced", "given_by", "is_timed_or_hooked", "overridden"]


class Turn(NamedTuple):
    """A step, and what it is called with.

    Attributes:
        name: What it is called in contexts, events and errors, e.g. ``resize`` or ``outer[2]/inner[5]``.
        step: What is called.
        given: Answers the arguments, from the run and ``name``; asked anew for each attempt, where the step runs.
        common: What it has in common with the other items of its map, of a step with an executor; ``given`` leaves
            that out.
    """

    name: str
    step: StepSpec
    given: Callable[[Values, str], dict[str, Any]]
    common: Common | None = None


class Argument(NamedTuple):
    """A parameter, where its value comes from, and what validates that (or ``None``)."""

    parameter: str
    get: Getter
    coerce: Any


def is_timed_or_hooked(step: StepSpec) -> bool:
    """Whether the loop has to see each attempt at ``step``: to time it, or to call its hooks."""
    return step.timeout is not None or step.hooks != NO_HOOKS


NO_HOOKS = Hooks()


def given_by(node: str, arguments: tuple[Argument, ...]) -> Callable[[Values, str], dict[str, Any]]:
    """What answers the arguments of ``node`` as its bindings and the run's overrides have it."""

    def given(run: Values, name: str) -> dict[str, Any]:
        found = {
            parameter: get(run) if coerce is None else coerced(coerce, get(run), parameter, name)
            for parameter, get, coerce in arguments
        }
        return overridden(run, node, found) if run.overrides else found

    return given


def overridden(run: Values, node: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """``arguments``, with what the run's overrides say of ``node``."""
    parameters: dict[str, Any] = (run.overrides or {}).get(node, {}).get("parameters", {})
    return arguments | parameters


def coerced(adapter: Any, value: Any, parameter: str, name: str) -> Any:
    """``value`` as the parameter's type. Raises ``InvalidOutputsError``: some step gave what does not fit."""
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]["msg"]
        raise InvalidOutputsError(
            f"the value for {parameter!r} of step {name!r} does not fit its type: {fault}", step=name
        ) from error
