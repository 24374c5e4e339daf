"""A snapshot made ready to run: look-ups done once, nodes and branches grouped into what is ordered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..pipelines.executors import StepExecutor
from ..pipelines.snapshot import Branch, Fan, Node, Snapshot
from .ordering import Unit, build_units, in_order
from .planned import PlannedBranch, PlannedFan, PlannedNode, PlannedResult
from .turn import Argument, Turn, given_by, is_timed_or_hooked
from .values import Places, asker, constant, getter, places
from .ways import Way, build_ways

__all__ = ["Plan", "build_plan"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What the executor walks.

    Attributes:
        snapshot: What it was made of.
        size: How many nodes there are.
        every: All paths, as bits.
        units: Segments and branches, each after what it waits for.
        waiting: How many units each unit waits for.
        ways: For a pipeline in which each path is a mere row of steps: those rows, the first from the beginning.
            ``None`` for any other pipeline.
        swift: Whether there are such rows, and a bare call on the loop is all that each step takes.
        inline: Whether there are such rows, of sync steps with which nothing waits.
        threaded: Whether any of the steps runs in the app's threads.
        results: The outputs.
        executors: Of all steps, in mapped pipelines, too, that do not run in this process.
        bodies: For each node that maps a pipeline, by id, the plan of that.
    """

    snapshot: Snapshot
    size: int
    every: int
    units: tuple[Unit, ...]
    waiting: tuple[int, ...]
    ways: tuple[Way, ...] | None
    swift: bool
    inline: bool
    threaded: bool
    results: tuple[PlannedResult, ...]
    executors: tuple[StepExecutor, ...]
    bodies: Mapping[str, Plan]


def build_plan(snapshot: Snapshot) -> Plan:
    """The plan of ``snapshot``. Pure; done once per pipeline, not per run."""
    known, every = places(snapshot), (1 << len(snapshot.paths)) - 1 or 1
    nodes = [_plan_node(index, node, known, every) for index, node in enumerate(snapshot.nodes)]
    branches = [_plan_branch(branch, known, every) for branch in snapshot.branches]
    bodies = {node.id: build_plan(node.body) for node in snapshot.nodes if node.body is not None}
    order = in_order(nodes, branches)
    units = build_units(order)
    waiting = tuple(len(unit.needs) for unit in units)
    ways = build_ways(units, waiting, every)
    return Plan(
        snapshot=snapshot,
        size=len(nodes),
        every=every,
        units=units,
        waiting=waiting,
        ways=ways,
        swift=ways is not None and all(node.swift for node in nodes),
        inline=ways is not None and not any(map(_waits, nodes)),
        threaded=any(_is_threaded(node, bodies) for node in nodes),
        results=tuple(PlannedResult(r.name, getter(r.source, known), r.paths & every) for r in snapshot.results),
        executors=tuple(_executors(nodes, bodies)),
        bodies=bodies,
    )


def _plan_node(index: int, node: Node, known: Places, every: int) -> PlannedNode:
    step = node.step
    arguments = tuple(Argument(b.parameter, getter(b.source, known), b.coerce) for b in node.bindings)
    fan = None if node.fan is None else _plan_fan(node.fan, node.body, arguments)
    watched = is_timed_or_hooked(step)
    threaded = step.threaded and fan is None
    bare = not (watched or step.generator or step.retry or fan or step.executor) and len(step.outputs) <= 1
    return PlannedNode(
        index=index,
        node=node,
        waits=tuple(dict.fromkeys(node.needs + node.decided_by)),
        paths=node.paths & every,
        arguments=arguments,
        turn=Turn(node.id, step, given_by(node.id, arguments)),
        threaded=threaded,
        alone=threaded and watched,
        swift=bare and not threaded and all(argument.coerce is None for argument in arguments),
        fan=fan,
    )


def _waits(planned: PlannedNode) -> bool:
    """Whether the loop is needed between a step's begin and its end, even if the step is called in place."""
    step = planned.node.step
    elsewhere = step.kind == "async" or step.executor is not None
    return elsewhere or step.retry is not None or planned.fan is not None or is_timed_or_hooked(step)


def _plan_fan(fan: Fan, body: Snapshot | None, arguments: tuple[Argument, ...]) -> PlannedFan:
    bound: Mapping[str, Argument] = {argument.parameter: argument for argument in arguments}
    return PlannedFan(
        fan=fan,
        over=tuple(bound[parameter] for parameter in fan.over),
        shared=tuple(argument for argument in arguments if argument.parameter not in fan.over),
        inputs=tuple((p.attribute, p.name, None if p.required else constant(p.default)) for p in body.parameters)
        if body
        else (),
    )


def _plan_branch(branch: Branch, known: Places, every: int) -> PlannedBranch:
    return PlannedBranch(
        branch=branch,
        waits=tuple(dict.fromkeys(branch.needs + branch.decided_by)),
        paths=branch.paths & every,
        ask=asker(branch.condition, known),
        if_true=every & ~branch.paths_false,
        if_false=every & ~branch.paths_true,
    )


def _is_threaded(planned: PlannedNode, bodies: Mapping[str, Plan]) -> bool:
    body = bodies.get(planned.id)
    return planned.node.step.threaded if body is None else body.threaded


def _executors(nodes: Sequence[PlannedNode], bodies: Mapping[str, Plan]) -> Iterator[StepExecutor]:
    for planned in nodes:
        if (body := bodies.get(planned.id)) is not None:
            yield from body.executors
        elif planned.node.step.executor is not None:
            yield planned.node.step.executor
