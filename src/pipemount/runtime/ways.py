"""Straight ways: where every path of a pipeline is a mere row of steps, the rows, with branches between them.

They need no scheduler. Rows are as many as there are outcomes, and not shared: one costs no more than the trace of the
path that it was compiled from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from .ordering import Unit, joinable
from .planned import PlannedBranch, PlannedNode
from .scheduler import Scheduler
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


@dataclass(frozen=True, slots=True)
class Way:
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


def build_ways(units: Sequence[Unit], waiting: Sequence[int], every: int) -> tuple[Way, ...] | None:
    """The ways through ``units``, or ``None`` if on some path two segments could run side by side.

    They are what the scheduler finds on each path. ``waiting`` says how many units each unit waits for, ``every`` are
    all paths, as bits.
    """
    swift = {node.id: _swift_step(node) for unit in units for node in unit.nodes if node.swift}
    scheduler = Scheduler(units, waiting)
    todo = [_Start(0, scheduler, scheduler.start(), every)]
    ways: dict[int, Way] = {}
    begun = 1
    while todo:
        start = todo.pop()
        row = _row(units, start)
        if row is None:
            return None
        nodes, branch = row
        ways[start.way] = Way(_chains(nodes), tuple(swift[node.id] for node in nodes if node.swift))
        if branch is not None:
            ways[start.way] = replace(ways[start.way], branch=branch.branch, yes=begun, no=begun + 1)
            todo += _answered(start, branch, begun)
            begun += 2
    return tuple(ways[index] for index in range(begun))


class _Start(NamedTuple):
    """Where a way begins: its index, who knows what is ready, what is, and the paths that are alive."""

    way: int
    scheduler: Scheduler
    ready: list[int]
    alive: int


def _row(units: Sequence[Unit], start: _Start) -> tuple[list[PlannedNode], Unit | None] | None:
    """The steps up to the next branch, and that; ``None`` if two segments are ready at the same time."""
    nodes: list[PlannedNode] = []
    ready = start.ready
    while ready:
        branch = next((units[index] for index in ready if units[index].branch is not None), None)
        if branch is not None:
            ready.remove(branch.index)
            return nodes, branch
        if len(ready) > 1:
            return None
        nodes += units[ready[0]].nodes
        ready[:] = start.scheduler.completed(ready[0], start.alive)
    return nodes, None


def _answered(start: _Start, unit: Unit, way: int) -> Iterator[_Start]:
    """Where the two ways begin that lead on from a branch; an answer that no path has leads nowhere."""
    branch = unit.branch
    for number, left in enumerate((branch.if_true, branch.if_false) if branch else ()):
        scheduler, alive = start.scheduler.copy(), start.alive & left
        ready = start.ready + scheduler.completed(unit.index, alive)
        yield _Start(way + number, scheduler, ready if alive else [], alive)


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
