"""A snapshot made ready to run: look-ups done once, nodes grouped into segments.

A *segment* is a chain of nodes that one thread, or one task, performs without going back to the event loop's
scheduling between them. Segments are what the scheduler orders.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from ..pipelines.snapshot import Access, Binding, Collected, Constant, Hooks, Node, Output, Parameter, Snapshot, Source

__all__ = ["Getter", "Plan", "PlannedNode", "Segment", "build_plan"]

Getter: TypeAlias = Callable[[list[Any], Mapping[str, Any]], Any]
"""Reads one value from (values of the steps so far, inputs)."""


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """A node with what the executor needs at hand.

    Attributes:
        index: Its place among the run's values.
        node: The node of the snapshot.
        arguments: Parameter, where its value comes from, and what validates it (or ``None``).
        threaded: Whether it runs in the app's threads.
        alone: Whether it must have a thread hop of its own: the loop times it, or calls its hooks.
        swift: Whether a bare call on the loop is all that it takes.
    """

    index: int
    node: Node
    arguments: tuple[tuple[str, Getter, Any], ...]
    threaded: bool
    alone: bool
    swift: bool


class SwiftStep(NamedTuple):
    """What ``Executor.run_swiftly`` needs of a node, flat, so that nothing has to be looked up."""

    planned: PlannedNode
    slot: int
    id: str
    function: Callable[..., Any]
    awaited: bool
    context_parameter: str | None
    arguments: tuple[tuple[str, Getter], ...]


@dataclass(frozen=True, slots=True)
class Segment:
    """A chain of nodes of one kind: ``async`` (awaited or called on the loop) or ``thread``."""

    index: int
    threaded: bool
    nodes: tuple[PlannedNode, ...]
    needs: frozenset[int]
    feeds: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What the executor walks.

    Attributes:
        snapshot: What it was made of.
        size: How many nodes there are.
        segments: In topological order.
        linear: Whether each segment needs just the one before it.
        swift: The steps of a linear plan in which all are; ``None`` for any other plan.
    """

    snapshot: Snapshot
    size: int
    segments: tuple[Segment, ...]
    linear: bool
    swift: tuple[SwiftStep, ...] | None
    results: tuple[tuple[str, Getter], ...]


def build_plan(snapshot: Snapshot) -> Plan:
    """The plan of ``snapshot``. Pure; done once per pipeline, not per run."""
    positions = {node.id: index for index, node in enumerate(snapshot.nodes)}
    attributes = {parameter.name: parameter.attribute for parameter in snapshot.parameters}
    planned = tuple(_plan_node(i, node, positions, attributes) for i, node in enumerate(snapshot.nodes))
    segments = _segments(planned, positions)
    linear = all(segment.needs == ({segment.index - 1} if segment.index else set()) for segment in segments)
    return Plan(
        snapshot=snapshot,
        size=len(planned),
        segments=segments,
        linear=linear,
        swift=tuple(map(_swift_step, planned)) if linear and all(node.swift for node in planned) else None,
        results=tuple((r.name, _getter(r.source, positions, attributes)) for r in snapshot.results),
    )


def _plan_node(index: int, node: Node, positions: Mapping[str, int], attributes: Mapping[str, str]) -> PlannedNode:
    step = node.step
    threaded = step.kind == "thread"
    arguments = tuple(_argument(binding, positions, attributes) for binding in node.bindings)
    watched = bool(step.timeout or step.hooks != Hooks())
    bare = not (watched or step.generator or step.retry) and len(step.outputs) <= 1
    swift = bare and not threaded and all(coerce is None for _, _, coerce in arguments)
    return PlannedNode(index, node, arguments, threaded, alone=threaded and watched, swift=swift)


def _swift_step(planned: PlannedNode) -> SwiftStep:
    step = planned.node.step
    return SwiftStep(
        planned,
        planned.index,
        planned.node.id,
        step.function,
        step.kind == "async",
        step.context_parameter,
        tuple((name, get) for name, get, _ in planned.arguments),
    )


def _argument(binding: Binding, positions: Mapping[str, int], attributes: Mapping[str, str]) -> tuple[str, Getter, Any]:
    return binding.parameter, _getter(binding.source, positions, attributes), binding.coerce


# ------------------------------------------------------------------------------------------ values


def _getter(source: Source, positions: Mapping[str, int], attributes: Mapping[str, str]) -> Getter:
    match source:
        case Constant(value):
            return _constant(value)
        case Parameter(name, path):
            return _parameter(attributes[name], path)
        case Output(node, index, path):
            return _output(positions[node], index, path)
        case Collected(kind, items, keys):
            return _collected(kind, [_getter(item, positions, attributes) for item in items], keys)


def _constant(value: Any) -> Getter:
    if copy.deepcopy(value) is value:  # nothing can change it
        return lambda values, inputs: value
    return lambda values, inputs: copy.deepcopy(
        value
    )  # a step may change what it is given; the next run may not see it


def _parameter(attribute: str, path: tuple[Access, ...]) -> Getter:
    if not path:
        return lambda values, inputs: inputs[attribute]
    return lambda values, inputs: _follow(inputs[attribute], path)


def _output(position: int, index: int | None, path: tuple[Access, ...]) -> Getter:
    if index is None and not path:
        return lambda values, inputs: values[position]
    if index is None:
        return lambda values, inputs: _follow(values[position], path)
    return lambda values, inputs: _follow(values[position][index], path)


def _collected(kind: str, items: list[Getter], keys: tuple[Any, ...]) -> Getter:
    if kind == "dict":
        return lambda values, inputs: {k: get(values, inputs) for k, get in zip(keys, items, strict=True)}
    make = tuple if kind == "tuple" else list
    return lambda values, inputs: make(get(values, inputs) for get in items)


def _follow(value: Any, path: tuple[Access, ...]) -> Any:
    for access in path:
        value = getattr(value, str(access.key)) if access.kind == "attribute" else value[access.key]
    return value


# ---------------------------------------------------------------------------------------- segments


def _segments(planned: tuple[PlannedNode, ...], positions: Mapping[str, int]) -> tuple[Segment, ...]:
    needs = _reduce([frozenset(positions[need] for need in p.node.needs) for p in planned])
    chains = _chains(planned, needs)
    home = {index: number for number, chain in enumerate(chains) for index in chain}
    outer = [frozenset(home[need] for need in needs[chain[0]]) for chain in chains]
    feeds: list[list[int]] = [[] for _ in chains]
    for number, before in enumerate(outer):
        for other in before:
            feeds[other].append(number)
    return tuple(
        Segment(
            index=number,
            threaded=planned[chain[0]].threaded,
            nodes=tuple(planned[index] for index in chain),
            needs=outer[number],
            feeds=tuple(feeds[number]),
        )
        for number, chain in enumerate(chains)
    )


def _reduce(needs: list[frozenset[int]]) -> list[frozenset[int]]:
    """``needs`` without what follows from the rest (transitive reduction); nodes are in topological order."""
    ancestors: list[int] = []  # a bit per node: a chain of 10,000 steps takes megabytes, not gigabytes
    for direct in needs:
        reach = 0
        for need in direct:
            reach |= ancestors[need] | 1 << need
        ancestors.append(reach)
    return [frozenset(n for n in direct if not any(ancestors[m] >> n & 1 for m in direct)) for direct in needs]


def _chains(planned: tuple[PlannedNode, ...], needs: list[frozenset[int]]) -> list[list[int]]:
    fed = [0] * len(planned)
    for direct in needs:
        for need in direct:
            fed[need] += 1
    chains: list[list[int]] = []
    tail: dict[int, list[int]] = {}
    for index, direct in enumerate(needs):
        before = next(iter(direct)) if len(direct) == 1 else None
        if before is not None and before in tail and fed[before] == 1 and _joinable(planned[before], planned[index]):
            chain = tail.pop(before)
            chain.append(index)
        else:
            chain = [index]
            chains.append(chain)
        tail[index] = chain
    return chains


def _joinable(before: PlannedNode, node: PlannedNode) -> bool:
    """Whether both run in the same place, with nothing that needs the loop in between."""
    return before.threaded == node.threaded and not before.alone and not node.alone
