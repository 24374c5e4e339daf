"""Snapshots put together by hand: what the executor walks, whoever compiled it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import ConfigDict, TypeAdapter, create_model

from pipemount.pipelines.authoring import Step, step
from pipemount.pipelines.schema import Schema
from pipemount.pipelines.snapshot import (
    EVERY_PATH,
    Binding,
    Branch,
    Choice,
    Collected,
    Condition,
    Constant,
    Fan,
    Node,
    Output,
    Parameter,
    Path,
    ResultField,
    Snapshot,
    Source,
)
from pipemount.pipelines.specs import Hooks, ParameterField, StepSpec
from pipemount.runtime.call import Call
from pipemount.runtime.events import Event
from pipemount.runtime.executor import Executor
from pipemount.runtime.recorder import Recorder
from pipemount.runtime.threads import ThreadPool

__all__ = ["branch", "call", "choose", "execute", "graph", "node", "of", "source"]


def of(node: str, index: int | None = None) -> Output:
    return Output(node, index)


def source(value: Any) -> Source:
    """A source as it is, ``"$x"`` as the parameter ``x``, anything else as a constant."""
    if isinstance(value, Constant | Parameter | Output | Collected | Choice):
        return value
    return Parameter(value[1:]) if isinstance(value, str) and value.startswith("$") else Constant(value)


def choose(*options: tuple[int, Any]) -> Choice:
    return Choice(tuple((paths, source(value)) for paths, value in options))


def node(
    id: str,
    function: Callable[..., Any] | StepSpec,
    /,
    *,
    after: Iterable[str] = (),
    paths: int = EVERY_PATH,
    decided_by: Iterable[str] = (),
    fan: Fan | None = None,
    body: Snapshot | None = None,
    coerce: Mapping[str, Any] | None = None,
    **values: Any,
) -> Node:
    """A node; its needs follow from where its values are from."""
    sources = {name: source(value) for name, value in values.items()}
    needs = dict.fromkeys([*(need for each in sources.values() for need in origins(each)), *after])
    adapters = {name: TypeAdapter(annotation) for name, annotation in (coerce or {}).items()}
    return Node(
        id=id,
        step=_spec(function),
        bindings=tuple(Binding(name, each, adapters.get(name)) for name, each in sources.items()),
        after=tuple(after),
        needs=tuple(needs),
        fan=fan,
        body=body,
        paths=paths,
        decided_by=tuple(decided_by),
    )


def _spec(function: Callable[..., Any] | StepSpec) -> StepSpec:
    if isinstance(function, StepSpec):
        return function
    return (function if isinstance(function, Step) else step(function)).spec


def branch(
    id: str,
    operator: Any,
    left: Any,
    right: Any = None,
    *,
    yes: int,
    no: int,
    decided_by: Iterable[str] = (),
) -> Branch:
    sources = [source(left)] if operator == "truth" else [source(left), source(right)]
    return Branch(
        id=id,
        condition=Condition(operator, sources[0], sources[1] if len(sources) > 1 else None),
        text=f"{id}?",
        paths_true=yes,
        paths_false=no,
        needs=tuple(dict.fromkeys(need for each in sources for need in origins(each))),
        decided_by=tuple(decided_by),
    )


def origins(value: Source) -> list[str]:
    match value:
        case Output(name):
            return [name]
        case Collected(_, items):
            return [name for item in items for name in origins(item)]
        case Choice(options):
            return [name for _, option in options for name in origins(option)]
    return []


def graph(
    *nodes: Node,
    inputs: Mapping[str, Any] | None = None,
    outputs: Mapping[str, Any] | None = None,
    only_on: Mapping[str, int] | None = None,
    branches: Iterable[Branch] = (),
    paths: int = 0,
    hooks: Hooks | None = None,
    name: str = "graph",
) -> Snapshot:
    """A snapshot.

    Args:
        *nodes: In topological order.
        inputs: Types, or ``(type, default)``, by parameter; each defaults to ``Any``.
        outputs: Sources by name.
        only_on: For outputs that exist on some paths only, those, as bits.
        branches: Each after those that it is decided by.
        paths: How many there are.
        hooks: Of the pipeline.
        name: Of the pipeline.
    """
    fields: dict[str, Any] = {
        n: value if isinstance(value, tuple) else (value, ...) for n, value in (inputs or {}).items()
    }
    bits = only_on or {}
    model: Any = create_model("Inputs", __config__=ConfigDict(extra="forbid"), **fields)
    given: dict[str, Any] = {n: (Any, None) if n in bits else (Any, ...) for n in outputs or {}}
    returned: Any = create_model("Outputs", **given)
    ways: tuple[Path, ...] = ((),) * paths
    return Snapshot(
        name=name,
        doc="",
        parameters=tuple(
            ParameterField(n, n, annotation, default is ..., None if default is ... else default)
            for n, (annotation, default) in fields.items()
        ),
        nodes=nodes,
        edges=(),
        branches=tuple(branches),
        results=tuple(
            ResultField(n, source(value), Any, n in bits, bits.get(n, EVERY_PATH))
            for n, value in (outputs or {}).items()
        ),
        shape="dict",
        input=Schema(model, TypeAdapter(model)),
        output=Schema(returned, TypeAdapter(returned), "serialization"),
        overrides=Schema(dict, TypeAdapter(dict)),
        hooks=hooks or Hooks(),
        fingerprint="0" * 64,
        paths=ways,
    )


def call(snapshot: Snapshot, inputs: Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> Call:
    return Call(snapshot.input.validate(dict(inputs)), "id", "run", overrides=overrides)


async def execute(
    snapshot: Snapshot,
    /,
    *,
    told: list[Event] | None = None,
    threads: int = 4,
    overrides: Mapping[str, Any] | None = None,
    swiftly: bool = False,
    **inputs: Any,
) -> dict[str, Any]:
    """The outputs of one run; its events are appended to ``told``."""
    pool = ThreadPool(threads)
    executor = Executor(snapshot, pool)
    try:
        if swiftly:
            assert executor.swift
            return await executor.run_swiftly(call(snapshot, inputs), dict)
        recorder = None if told is None else Recorder("id", (told.append,))
        return await executor.run(call(snapshot, inputs, overrides), dict, recorder)
    finally:
        pool.close()
