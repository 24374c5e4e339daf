"""Straight ways: where every path of a pipeline is a mere row of steps, the rows, with branches between them.

They need no scheduler. Rows are as many as there are outcomes, and not shared: one costs no more than the trace of the
path that it was compiled from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .ordering import joinable
from .planned import Element, PlannedBranch, PlannedNode
from .values import Getter

__all__ = ["SwiftStep", "Way", "build_ways"]


class SwiftStep(NamedTuple):
    """What ``Executor.run_swiftly`` needs of a node, flat, so that nothing has to be looked up."""

    planned: PlannedNode
    slot: int
    id: str
    function: Callable[..., Any]
    awaited: bool
    context_parameter: str | None
    arguments: tuple[tuple[str, Getter], ...]


class Way(NamedTuple):
    """A row of steps, and the branch at its end.

    Attributes:
        chains: The steps; those of one tuple are performed by one thread, or one task.
        swift: The same in one row, for steps that take no more than a bare call.
        branch: What is asked then; ``None`` where the run ends.
        yes: Index of the way that the answer yes leads to.
        no: Of the one that no leads to.
    """

    chains: tuple[tuple[PlannedNode, ...], ...]
    swift: tuple[SwiftStep, ...]
    branch: PlannedBranch | None = None
    yes: int = -1
    no: int = -1


def build_ways(order: Sequence[Element], ended: Sequence[int], every: int) -> tuple[Way, ...] | None:
    """The ways through ``order``, or ``None`` if on some path two steps could run side by side.

    Args:
        order: Nodes and branches, each after what it waits for.
        ended: For each of them all that has ended when it begins, as bits.
        every: All paths, as bits.
    """
    swift = {element.id: _swift_step(element) for element in order if isinstance(element, PlannedNode)}
    ways: dict[int, Way] = {}
    begun, todo = 1, [_Start(0, 0, every, -1)]
    while todo:
        row = _row(order, ended, start := todo.pop())
        if row is None:
            return None
        yes, no = begun, begun + 1
        if row.branch is not None:
            todo.append(_Start(yes, row.end, row.alive & row.branch.if_true, row.last))
            todo.append(_Start(no, row.end, row.alive & row.branch.if_false, row.last))
            begun += 2
        steps = tuple(swift[node.id] for node in row.nodes if node.swift)
        ways[start.way] = Way(_chains(row.nodes), steps, row.branch, yes, no)
    return tuple(ways[index] for index in range(begun))


class _Start(NamedTuple):
    """Where a way begins: its index, the place in the order, the paths that are alive, the step before."""

    way: int
    position: int
    alive: int
    last: int


class _Row(NamedTuple):
    nodes: list[PlannedNode]
    branch: PlannedBranch | None
    end: int
    alive: int
    last: int


def _row(order: Sequence[Element], ended: Sequence[int], start: _Start) -> _Row | None:
    """The steps up to the next branch; ``None`` if one of them need not wait for the one before it."""
    nodes: list[PlannedNode] = []
    last = start.last
    for position in range(start.position, len(order)):
        element = order[position]
        if not element.paths & start.alive:
            continue
        if isinstance(element, PlannedBranch):
            return _Row(nodes, element, position + 1, start.alive, last)
        if last >= 0 and not ended[position] >> last & 1:
            return None
        nodes.append(element)
        last = position
    return _Row(nodes, None, len(order), start.alive, last)


def _chains(nodes: Sequence[PlannedNode]) -> tuple[tuple[PlannedNode, ...], ...]:
    chains: list[list[PlannedNode]] = []
    for node in nodes:
        if chains and joinable(chains[-1][-1], node):
            chains[-1].append(node)
        else:
            chains.append([node])
    return tuple(map(tuple, chains))


def _swift_step(planned: PlannedNode) -> SwiftStep:
    step = planned.node.step
    return SwiftStep(
        planned,
        planned.index,
        planned.node.id,
        step.function,
        step.kind == "async",
        step.context_parameter,
        tuple((argument.parameter, argument.get) for argument in planned.arguments),
    )
