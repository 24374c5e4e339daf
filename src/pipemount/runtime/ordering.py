"""What waits for what: nodes and branches in one order, grouped into the units that the scheduler orders.

A *segment* is a chain of nodes that one thread, or one task, performs without going back to the event loop's
scheduling between them. Segments and branches are the units.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .planned import Element, PlannedBranch, PlannedNode

__all__ = ["Unit", "build_units", "in_order", "joinable"]


@dataclass(frozen=True, slots=True)
class Unit:
    """A segment, or a branch.

    Attributes:
        index: Its place among the units.
        paths: The paths that it is on, as bits.
        nodes: The segment; empty for a branch.
        branch: The branch, if it is one.
        needs: The units that must end first.
        feeds: The units that need it.
        decides: The units that an answer of it may take out of the run.
    """

    index: int
    paths: int
    nodes: tuple[PlannedNode, ...]
    branch: PlannedBranch | None
    needs: frozenset[int]
    feeds: tuple[int, ...]
    decides: tuple[int, ...]


def in_order(nodes: Sequence[PlannedNode], branches: Sequence[PlannedBranch]) -> list[Element]:
    """Nodes and branches, each after what it waits for, and a branch as early as that allows."""
    if not branches:
        return list(nodes)
    elements: list[Element] = [*branches, *nodes]  # what comes first here is taken first
    numbers = {element.id: number for number, element in enumerate(elements)}
    waiting = [len(element.waits) for element in elements]
    feeds: list[list[int]] = [[] for _ in elements]
    for number, element in enumerate(elements):
        for before in element.waits:
            feeds[numbers[before]].append(number)
    ready = [number for number, count in enumerate(waiting) if count == 0]
    order = []
    while ready:
        number = heapq.heappop(ready)
        order.append(elements[number])
        for after in feeds[number]:
            waiting[after] -= 1
            if waiting[after] == 0:
                heapq.heappush(ready, after)
    return order


def _reduced(order: Sequence[Element]) -> list[list[int]]:
    """For each element what it waits for, without what follows from the rest.

    What an element waits for by way of another counts only if that other one is there whenever the element is: on a
    path without it, nothing has waited.
    """
    numbers = {element.id: number for number, element in enumerate(order)}
    ended: list[int] = []  # a bit per element: a chain of 10,000 steps takes megabytes, not gigabytes
    needs: list[list[int]] = []
    for element in order:
        before, kept = 0, []
        for other in sorted((numbers[id] for id in element.waits), reverse=True):
            if before >> other & 1:
                continue
            kept.append(other)
            before |= 1 << other
            if not element.paths & ~order[other].paths:
                before |= ended[other]
        ended.append(before)
        needs.append(kept)
    return needs


# ------------------------------------------------------------------------------------------- units


def build_units(order: Sequence[Element]) -> tuple[Unit, ...]:
    """The units of ``order``, each after what it needs."""
    needs = _reduced(order)
    groups = _groups(order, needs)
    home = {number: unit for unit, group in enumerate(groups) for number in group}
    outer = [frozenset(home[need] for need in needs[group[0]]) for group in groups]
    feeds: list[list[int]] = [[] for _ in groups]
    for number, before in enumerate(outer):
        for other in before:
            feeds[other].append(number)
    decides = _decides(order, home)
    return tuple(
        _unit(index, [order[number] for number in group], outer[index], feeds[index], decides.get(index, {}))
        for index, group in enumerate(groups)
    )


def _unit(index: int, group: list[Element], needs: frozenset[int], feeds: list[int], decides: Iterable[int]) -> Unit:
    nodes = tuple(element for element in group if isinstance(element, PlannedNode))
    branch = group[0] if isinstance(group[0], PlannedBranch) else None
    return Unit(index, group[0].paths, nodes, branch, needs, tuple(feeds), tuple(decides))


def _decides(order: Sequence[Element], home: Mapping[int, int]) -> dict[int, dict[int, None]]:
    """For each branch, by its unit, the units that wait for it, whether or not they need something later still."""
    numbers = {element.id: home[number] for number, element in enumerate(order) if isinstance(element, PlannedBranch)}
    found: dict[int, dict[int, None]] = {unit: {} for unit in numbers.values()}
    for number, element in enumerate(order) if numbers else ():
        for other in element.waits:
            if other in numbers:
                found[numbers[other]][home[number]] = None
    return found


def _groups(order: Sequence[Element], needs: Sequence[Sequence[int]]) -> list[list[int]]:
    """The elements' numbers, chains together."""
    fed = [0] * len(order)
    for direct in needs:
        for need in direct:
            fed[need] += 1
    groups: list[list[int]] = []
    tail: dict[int, list[int]] = {}
    for number, direct in enumerate(needs):
        before = direct[0] if len(direct) == 1 else None
        if before in tail and fed[before] == 1 and _chained(order[before], order[number]):
            group = tail.pop(before)
            group.append(number)
        else:
            group = [number]
            groups.append(group)
        tail[number] = group
    return groups


def _chained(before: Element, after: Element) -> bool:
    if isinstance(before, PlannedBranch) or isinstance(after, PlannedBranch):
        return False
    return before.paths == after.paths and joinable(before, after)


def joinable(before: PlannedNode, after: PlannedNode) -> bool:
    """Whether both run in the same place, with nothing that needs the loop in between."""
    alike = before.threaded == after.threaded and before.node.step.affinity == after.node.step.affinity
    return alike and not before.alone and not after.alone
