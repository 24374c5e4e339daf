"""Names and types of a pipeline's outputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, get_args, get_origin

from .annotations import output_name, plain
from .merging import Merged, Returned
from .places import Place
from .recording import union
from .snapshot import EVERY_PATH, Choice, Output, Parameter, ResultField, Source
from .sources import choice
from .specs import StepSpec
from .tracing import refuse

__all__ = ["named_results"]


def named_results(merged: Merged, returns: Any, *, pipeline: str, place: Place) -> tuple[ResultField, ...]:
    """The outputs in the order of the return statement. Raises ``CompileError`` for one name given twice."""
    steps = {call.id: call.call.step for call in merged.calls}
    declared = _declared(returns, len(merged.returned), merged.shape)
    sources = [choice([(bits, argument.source) for bits, argument in returned.options]) for returned in merged.returned]
    wanted: list[tuple[str, bool]] = []
    for index, (returned, annotation) in enumerate(zip(merged.returned, declared, strict=True)):
        given = returned.name or output_name(annotation)[0]
        wanted.append((given, True) if given else (_own_name(sources[index], steps, index, merged.shape), False))
    names = _distinct(wanted, sources)
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        refuse(
            "duplicate-output",
            f"the pipeline {pipeline!r} has two outputs named {twice[0]!r}",
            "outputs are told apart by name",
            "Return a dict, whose keys are the names",
            place,
        )
    return tuple(
        ResultField(
            name, source, _type(returned, output_name(annotation)[1]), returned.paths != EVERY_PATH, returned.paths
        )
        for name, source, returned, annotation in zip(names, sources, merged.returned, declared, strict=True)
    )


def _declared(returns: Any, count: int, shape: str) -> Sequence[Any]:
    """The pipeline's own return annotation, one per output; ``Any`` where it says nothing."""
    if shape == "value":
        return [returns]
    parts = get_args(returns)
    if shape == "tuple" and get_origin(returns) is tuple and len(parts) == count and Ellipsis not in parts:
        return parts
    return [Any] * count


def _type(returned: Returned, declared: Any) -> Any:
    found = union(argument.annotation for _, argument in returned.options)
    return declared if plain(found) is Any else found


def _own_name(source: Source, steps: Mapping[str, StepSpec], index: int, shape: str) -> str:
    if isinstance(source, Choice):
        names = {_own_name(option, steps, index, shape) for _, option in source.options}
        if len(names) == 1:
            return names.pop()
    if isinstance(source, Output | Parameter):
        hops = [str(access.key) for access in source.path if isinstance(access.key, str)]
        if hops:
            return hops[-1]
        return source.name if isinstance(source, Parameter) else steps[source.node].outputs[source.index or 0].name
    return f"output_{index}" if shape == "tuple" else "output"


def _distinct(wanted: Sequence[tuple[str, bool]], sources: Sequence[Source]) -> list[str]:
    """Names that steps gave and that collide become ``step.name``; the author's own stay."""
    counts = Counter(name for name, _ in wanted)
    names = [
        name if chosen or counts[name] == 1 else _told_apart(name, source, index)
        for index, ((name, chosen), source) in enumerate(zip(wanted, sources, strict=True))
    ]
    return [_numbered(names, index) for index in range(len(names))]


def _told_apart(name: str, source: Source, index: int) -> str:
    if isinstance(source, Output):
        return f"{source.node}.{name}"
    return f"{name}_{index}" if isinstance(source, Choice) else name


def _numbered(names: Sequence[str], index: int) -> str:
    before = names[:index].count(names[index])
    return f"{names[index]}_{before + 1}" if before and "." in names[index] else names[index]
