"""Where the values of a run are read: each source of a snapshot, made a function once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, TypeAlias

from ..pipelines.facts import COMPARISONS
from ..pipelines.snapshot import Access, Choice, Collected, Condition, Constant, Output, Parameter, Snapshot, Source

__all__ = ["Getter", "Places", "Values", "asker", "constant", "getter", "places"]


class Values(Protocol):
    """What a run has so far.

    Attributes:
        inputs: By ``ParameterField.attribute``.
        overrides: ``{node id: {"parameters": {name: value}}}``, or ``None``.
        values: Of the steps; indexed like the snapshot's nodes.
        alive: The paths that are still possible, as bits.
    """

    inputs: Mapping[str, Any]
    overrides: Mapping[str, Any] | None
    values: list[Any]
    alive: int


Getter: TypeAlias = Callable[[Values], Any]
"""Reads one value of a run: a value of its steps so far, an input, or a constant."""


class Places(NamedTuple):
    """Where the nodes' values and the inputs are: positions by node id, attributes by parameter."""

    positions: Mapping[str, int]
    attributes: Mapping[str, str]


def places(snapshot: Snapshot) -> Places:
    """The places of what ``snapshot`` speaks of."""
    return Places(
        {node.id: index for index, node in enumerate(snapshot.nodes)},
        {parameter.name: parameter.attribute for parameter in snapshot.parameters},
    )


def getter(source: Source, known: Places) -> Getter:
    """What reads ``source``."""
    match source:
        case Constant(value):
            return constant(value)
        case Parameter(name, path):
            return _parameter(known.attributes[name], path)
        case Output(node, index, path):
            return _output(known.positions[node], index, path)
        case Collected(kind, items, keys):
            return _collected(kind, [getter(item, known) for item in items], keys)
        case Choice(options):
            return _choice([(paths, getter(option, known)) for paths, option in options])


def asker(condition: Condition, known: Places) -> Callable[[Values], bool]:
    """What asks ``condition``; raises whatever the values' own methods raise."""
    left = getter(condition.left, known)
    if condition.right is None:
        return lambda run: bool(left(run))
    right, compare = getter(condition.right, known), COMPARISONS[condition.operator]
    return lambda run: bool(compare(left(run), right(run)))


def constant(value: Any) -> Getter:
    """What gives ``value``; a copy each time if it can be changed, since the next run may not see what a step did."""
    if copy.deepcopy(value) is value:
        return lambda run: value
    return lambda run: copy.deepcopy(value)


def _parameter(attribute: str, path: tuple[Access, ...]) -> Getter:
    if not path:
        return lambda run: run.inputs[attribute]
    return lambda run: _follow(run.inputs[attribute], path)


def _output(position: int, index: int | None, path: tuple[Access, ...]) -> Getter:
    if index is None and not path:
        return lambda run: run.values[position]
    if index is None:
        return lambda run: _follow(run.values[position], path)
    return lambda run: _follow(run.values[position][index], path)


def _collected(kind: str, items: list[Getter], keys: tuple[Any, ...]) -> Getter:
    if kind == "dict":
        return lambda run: {key: get(run) for key, get in zip(keys, items, strict=True)}
    make = tuple if kind == "tuple" else list
    return lambda run: make([get(run) for get in items])


def _choice(options: list[tuple[int, Getter]]) -> Getter:
    def choose(run: Values) -> Any:
        alive = run.alive
        return next(get for paths, get in options if paths & alive)(run)

    return choose


def _follow(value: Any, path: tuple[Access, ...]) -> Any:
    for access in path:
        value = getattr(value, str(access.key)) if access.kind == "attribute" else value[access.key]
    return value
