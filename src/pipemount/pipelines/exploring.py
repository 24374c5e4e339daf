"""The passes ``trace`` and ``branch``: what a body does, found by running it with references.

Today one variant is allowed. A body that decides on a value of the run is refused: most decisions call ``bool()``,
which a reference refuses by itself; identity tests (``is None``, ``is True``, an enum's member) call nothing, so the
body is run again with the plain value in the reference's place and must do the same.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from ..errors import CompileError
from .annotations import NONE, members, plain
from .constants import canonical
from .places import Place, raised_place
from .snapshot import Access, Branch, Collected, Constant, Hook, Output, Parameter, ParameterField, Shape, Source
from .tracing import VALIDATION, Argument, StepCall, Trace, refuse, tracing

__all__ = ["Body", "Traced", "branch", "trace"]

_PROBES = 64
"""How many values are asked for one by one; each costs one more run of the body."""


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
class Probe:
    """Plain values in the place of references, and the question that they ask of a body."""

    values: Mapping[Parameter | Output, Any]
    question: str
    untyped: bool = False


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
    sources = list(_sources(body, traced))
    for probe in (*islice(_single(sources), _PROBES), *_together(sources)):
        if not _is_indifferent(body, traced, probe):
            raise CompileError(
                code="branch-on-reference",
                operation=f"the body of {body.name!r} decides on {probe.question}",
                reason="its value is known in a run only, and the body runs once, at compile",
                way_out="Branches come with a later version; until then decide inside a step",
                file=body.place.file,
                line=body.place.line,
            )
    return traced


# --------------------------------------------------------------------------------------------- running


def _run(body: Body, pinned: Mapping[Parameter | Output, Any], entries: frozenset[str] = frozenset()) -> Traced:
    found = Trace(pinned=pinned, on_init=body.on_init, entries=entries)
    with tracing(found), found.body(body.name, body.function):
        given = {p.name: found.reference(Parameter(p.name), p.annotation, p.name) for p in body.parameters}
        try:
            result = body.call(given)
            found.ended = body.place
            shape, returned = _returned(found, result, f"the return of {body.name!r}")
        except CompileError as error:
            raise found.fault or error from None
        except Exception as error:  # the body is the author's: anything can come out of it
            raise found.fault or _raised(body, found, error) from error
        if found.fault:
            raise found.fault
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
    returned = [[name, _source(a.source, known)] for name, a in traced.returned]
    if traced.shape == "none" and None in known.values():  # `return step()`, where the step's output is pinned to None
        return [calls, order, "value", [[None, ["constant", None]]]]
    return [calls, order, traced.shape, returned]


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
    value = _known_value(source, known)
    return ["constant", canonical(value[0])] if value else ["reference", repr(source)]


def _known_value(source: Parameter | Output, known: Mapping[Any, Any]) -> list[Any]:
    """The value of a source that is known, or of a field in it, as a list of one; else an empty list."""
    for length in range(len(source.path) + 1):
        root = replace(source, path=source.path[:length])
        if root in known:
            return _followed(known[root], source.path[length:])
    return []


def _followed(value: Any, path: Sequence[Access]) -> list[Any]:
    try:
        for access in path:
            value = getattr(value, str(access.key)) if access.kind == "attribute" else value[access.key]
    except (AttributeError, LookupError, TypeError):
        return []
    return [value]


def _is_indifferent(body: Body, traced: Traced, probe: Probe) -> bool:
    entries = frozenset(call.id for call in traced.calls if call.step.version.startswith(VALIDATION))
    try:
        found = _run(body, probe.values, entries)
    except CompileError as error:
        return probe.untyped and isinstance(error.__cause__, AttributeError | TypeError)
    return _outline(found, probe.values) == _outline(traced, probe.values)


def _single(sources: Sequence[tuple[Parameter | Output, str, Any]]) -> Iterator[Probe]:
    for source, label, annotation in sources:
        untyped = plain(annotation) is Any
        for value in (None,) if untyped else _telling(annotation):
            yield Probe({source: value}, f"`{label} is {value!r}`", untyped)


def _together(sources: Sequence[tuple[Parameter | Output, str, Any]]) -> Iterator[Probe]:
    """Probes that pin all sources at once, so that their number does not grow with the pipeline."""
    values = [(source, _telling(annotation)) for source, _, annotation in sources]
    for index in range(max((len(found) for _, found in values), default=0)):
        pinned = {source: found[index] for source, found in values if index < len(found)}
        yield Probe(pinned, "what values are (`is None`, `is True`, `is` an enum's member)")


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
