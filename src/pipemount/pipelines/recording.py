"""What a trace records: step calls, and the values that are given to them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from .places import Place
from .snapshot import Fan, Snapshot, Source
from .specs import OutputField, ParameterField, StepSpec

__all__ = ["Argument", "Scope", "StepCall", "union"]


@dataclass(frozen=True, slots=True)
class Argument:
    """A value in the body: where it comes from, and its type."""

    source: Source
    annotation: Any


@dataclass(frozen=True, slots=True)
class Scope:
    """A pipeline called in a body, as a part of its steps' ids.

    Attributes:
        key: Where it is called, the same on every path.
        name: What its steps' ids begin with.
        id: The id that the author gave it.
    """

    key: tuple[Any, ...]
    name: str
    id: str | None


@dataclass(frozen=True, slots=True)
class StepCall:
    """One recorded call of a step.

    Attributes:
        id: Its name within one run of the body.
        step: What is called.
        arguments: What its parameters are bound to.
        after: Ids of the calls that must end first.
        place: The author's line.
        key: Where in the body it is called, the same on every path.
        scopes: The called pipelines that it is in, the outermost first.
        given: The id that the author gave it.
        fan: How it is repeated, if it is mapped.
        body: The pipeline that is mapped, if it is one.
    """

    id: str
    step: StepSpec
    arguments: tuple[tuple[ParameterField, Argument], ...]
    after: tuple[str, ...]
    place: Place
    key: tuple[Any, ...] = ()
    scopes: tuple[Scope, ...] = ()
    given: str | None = None
    fan: Fan | None = None
    body: Snapshot | None = None

    @property
    def outputs(self) -> tuple[OutputField, ...]:
        """What the call gives: the step's outputs, or the lists of them."""
        if self.fan is None:
            return self.step.outputs
        return tuple(replace(output, annotation=list[output.annotation]) for output in self.step.outputs)  # type: ignore[name-defined]  # made at run time


def union(annotations: Iterable[Any]) -> Any:
    """The type of a value that is of one of these types."""
    found: Any = None
    for index, annotation in enumerate(annotations):
        found = annotation if index == 0 else _either(found, annotation)
    return found


def _either(one: Any, other: Any) -> Any:
    if one is other or one == other:
        return one
    return Any if Any in (one, other) else one | other
