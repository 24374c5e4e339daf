"""The passes ``trace`` and ``branch``: what a body does, found by running it with references.

Today one variant is allowed. A body that decides on a value of the run is refused: most decisions call ``bool()``,
which a reference refuses by itself; identity tests (``is None``, ``is True``, an enum's member) call nothing, so the
body is run again with the plain value in the reference's place and must do the same.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import CompileError
from .annotations import NONE, members
from .constants import canonical
from .places import Place, raised_place
from .snapshot import Branch, Collected, Constant, Hook, Output, Parameter, ParameterField, Shape, Source
from .tracing import Argument, StepCall, Trace, refuse, tracing

__all__ = ["Body", "Traced", "branch", "trace"]

_PROBES = 64


@dataclass(frozen=True, slots=True)
class Body:
    """What is traced: the author's function and its name, its parameters, how it is called, who makes its state."""

    name: str
    function: Callable[..., Any]
    parameters: tuple[ParameterField, ...]
    call: Callable[[Mapping[str, Any]], Any]
    place: Place
    on_init: Hook | None = None


@dataclass(frozen=True, slots=True)
class Traced:
    """What a body did.

    Attributes:
        calls: Step calls, in the order of the body.
        shape: The form of what it returned.
        returned: The values in it; named by the keys of a dict, else ``None``.
        branches: Decisions; empty as long as one variant is all there is.
    """

    calls: tuple[StepCall, ...]
    shape: Shape
    returned: tuple[tuple[str | None, Argument], ...]
    branches: tuple[Branch, ...] = field(default=())


def trace(body: Body) -> Traced:
    """Runs the body twice with references for all parameters. Raises ``CompileError``."""
    first, again = _run(body, {}), _run(body, {})
    if _outline(first) != _outline(again):
        refuse(
            "nondeterministic-pipeline",
            f"the pipeline {body.name!r} did something else when its body ran again",
            "the graph is fixed at compile and must be the same in every process",
            "Take what changes (time, random numbers, counters, files, sets) into a step",
            body.place,
        )
    if not first.calls:
        refuse(
            "no-steps",
            f"the pipeline {body.name!r} calls no step",
            "there is nothing to run",
            "Decorate a function with @step and call it in the body",
            body.place,
        )
    return first


def branch(body: Body, traced: Traced) -> Traced:
    """Makes sure that no hidden decision was taken. Raises ``CompileError``."""
    for source, label, value in _probes(body, traced):
        if not _is_indifferent(body, traced, source, value):
            refuse(
                "branch-on-reference",
                f"the body of {body.name!r} decides on `{label} is {value!r}`",
                "its value is known in a run only, and the body runs once, at compile",
                "Branches come with a later version; until then decide inside a step",
                body.place,
            )
    return traced


# --------------------------------------------------------------------------------------------- running


def _run(body: Body, pinned: Mapping[Parameter | Output, Any]) -> Traced:
    found = Trace(pinned=pinned, on_init=body.on_init)
    with tracing(found), found.body(body.name, body.function):
        given = {p.name: found.reference(Parameter(p.name), p.annotation, p.name) for p in body.parameters}
        try:
            result = body.call(given)
        except CompileError as error:
            raise found.fault or error from None
        except RecursionError as error:
            raise found.fault or _raised(body, found, error) from error
        except Exception as error:  # the body is the author's: anything can come out of it
            raise found.fault or _raised(body, found, error) from error
        if found.fault:
            raise found.fault
        shape, returned = _returned(found, result, f"the return of {body.name!r}")
    return Traced(tuple(found.calls), shape, returned)


def _raised(body: Body, found: Trace, error: Exception) -> CompileError:
    place = raised_place(error, found.file)
    return CompileError(
        code="body-raised",
        operation=f"the body of the pipeline {body.name!r} raised {type(error).__name__}",
        reason=str(error) or "it gave no reason",
        way_out="The body runs at compile with references for values; take work on values into a step",
        file=place.file,
        line=place.line,
    )


def _returned(found: Trace, result: object, where: str) -> tuple[Shape, tuple[tuple[str | None, Argument], ...]]:
    if result is None:
        return "none", ()
    if isinstance(result, tuple):
        return "tuple", tuple((None, found.argument(item, where)) for item in result)
    if isinstance(result, dict):
        return "dict", tuple((_key(found, key), found.argument(item, where)) for key, item in result.items())
    return "value", ((None, found.argument(result, where)),)


def _key(found: Trace, key: object) -> str:
    if isinstance(key, str):
        return key
    raise found.error(
        "output-name", f"the pipeline returns a dict with the key {key!r}", "outputs are named by text", "Use a str"
    )


# -------------------------------------------------------------------------------------------- comparing


def _outline(traced: Traced, known: Mapping[Any, Any] | None = None) -> list[Any]:
    """What two runs of a body must have in common; ``known`` sources are written as their values."""
    known = known or {}
    calls = [
        [call.id, call.step.name, call.step.version, [[p.name, _source(a.source, known)] for p, a in call.arguments]]
        for call in traced.calls
    ]
    order = [] if known else [call.after for call in traced.calls]
    return [calls, order, traced.shape, [[name, _source(a.source, known)] for name, a in traced.returned]]


def _source(source: Source, known: Mapping[Any, Any]) -> Any:
    if isinstance(source, Constant):
        return ["constant", canonical(source.value)]
    if isinstance(source, Collected):
        items = [_source(item, known) for item in source.items]
        if all(item[0] == "constant" for item in items):
            items = [item[1] for item in items]
            return [
                "constant",
                [list(p) for p in zip(map(canonical, source.keys), items, strict=True)] if source.keys else items,
            ]
        return [source.kind, items, canonical(source.keys)]
    return ["constant", canonical(known[source])] if source in known else ["reference", repr(source)]


def _is_indifferent(body: Body, traced: Traced, source: Parameter | Output, value: object) -> bool:
    try:
        probe = _run(body, {source: value})
    except CompileError:
        return False
    known = {source: value}
    return _outline(probe, known) == _outline(traced, known)


def _probes(body: Body, traced: Traced) -> Iterator[tuple[Parameter | Output, str, Any]]:
    count = 0
    for source, label, annotation in _sources(body, traced):
        for value in _telling(annotation):
            if count == _PROBES:
                return
            count += 1
            yield source, label, value


def _sources(body: Body, traced: Traced) -> Iterator[tuple[Parameter | Output, str, Any]]:
    for parameter in body.parameters:
        yield Parameter(parameter.name), parameter.name, parameter.annotation
    for call in traced.calls:
        several = len(call.step.outputs) > 1
        for index, output in enumerate(call.step.outputs):
            yield Output(call.id, index if several else None), call.id, output.annotation


def _telling(annotation: Any) -> Sequence[Any]:
    """Values of a type that a body could ask for by identity."""
    found: list[Any] = []
    alternatives = members(annotation)
    if NONE in alternatives and len(alternatives) > 1:
        found.append(None)
    for member in alternatives:
        if member is bool:
            found += [True, False]
        elif isinstance(member, type) and issubclass(member, enum.Enum):
            found += list(member)[:8]
    return found
