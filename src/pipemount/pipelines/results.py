"""Names and types of a pipeline's outputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, get_args, get_origin

from .annotations import output_name, plain
from .exploring import Traced
from .places import Place
from .snapshot import Output, Parameter, ResultField, Source, StepSpec
from .tracing import Argument, refuse

__all__ = ["named_results"]


def named_results(traced: Traced, returns: Any, *, pipeline: str, place: Place) -> tuple[ResultField, ...]:
    """The outputs in the order of the return statement. Raises ``CompileError`` for one name given twice."""
    steps = {call.id: call.step for call in traced.calls}
    declared = _declared(returns, len(traced.returned), traced.shape)
    wanted: list[tuple[str, bool]] = []
    for index, ((key, argument), annotation) in enumerate(zip(traced.returned, declared, strict=True)):
        given = key or output_name(annotation)[0]
        wanted.append((given, True) if given else (_own_name(argument.source, steps, index, traced.shape), False))
    names = _distinct(wanted, [argument.source for _, argument in traced.returned])
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        refuse(
            "duplicate-output",
            f"the pipeline {pipeline!r} has two outputs named {twice[0]!r}",
            "outputs are told apart by name",
            "Return a dict, whose keys are the names",
            place,
        )
    return tuple(
        ResultField(name, argument.source, _type(argument, output_name(annotation)[1]))
        for name, (_, argument), annotation in zip(names, traced.returned, declared, strict=True)
    )


def _declared(returns: Any, count: int, shape: str) -> Sequence[Any]:
    """The pipeline's own return annotation, one per output; ``Any`` where it says nothing."""
    if shape == "value":
        return [returns]
    parts = get_args(returns)
    if shape == "tuple" and get_origin(returns) is tuple and len(parts) == count and Ellipsis not in parts:
        return parts
    return [Any] * count


def _type(argument: Argument, declared: Any) -> Any:
    return declared if plain(argument.annotation) is Any else argument.annotation


def _own_name(source: Source, steps: Mapping[str, StepSpec], index: int, shape: str) -> str:
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
        f"{source.node}.{name}" if counts[name] > 1 and not chosen and isinstance(source, Output) else name
        for (name, chosen), source in zip(wanted, sources, strict=True)
    ]
    return [_numbered(names, index) for index in range(len(names))]


def _numbered(names: Sequence[str], index: int) -> str:
    before = names[:index].count(names[index])
    return f"{names[index]}_{before + 1}" if before and "." in names[index] else names[index]
