"""What the items of a stream must look like, and in which order they may come."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, get_args

from ..adapters.protocol import GraphView, Result
from ..runtime.events import Event, EventKind
from .subject import Subject, Told

__all__ = ["check_blame", "check_events", "check_fidelity", "check_result", "node_of", "steps_told"]

KINDS = frozenset(get_args(EventKind))
OF_STEPS = frozenset({"step_started", "step_retrying", "step_completed", "step_failed"})
ENDS = OF_STEPS - {"step_started"}
NUMBER, TEXT = (int, float), str
MEMBERS: dict[str, dict[str, Any]] = {
    "step_completed": {"duration": NUMBER},
    "step_retrying": {"delay": NUMBER, "error": TEXT},
    "step_failed": {"error": TEXT},
    "delta": {"value": object},
    "data": {"value": object},
    "log": {"level": TEXT, "message": TEXT},
    "progress": {"done": NUMBER},
    "missed": {"kinds": Mapping},
}
"""What the data of each kind of event must have, and of which type; numbers are never negative."""


def check_result(subject: Subject, told: Told) -> None:
    """A run that does not fail ends with one result."""
    results = [index for index, item in enumerate(told.items) if isinstance(item, Result)]
    if told.error is not None:
        subject.find(f"a run with good inputs raises {told.error!r}", "Let good inputs succeed, or mend the pipeline")
    elif len(results) != 1:
        subject.find(f"a stream gives {len(results) or 'no'} results", "End each stream with one Result")
    elif results[0] != len(told.items) - 1:
        subject.find("a stream goes on after its result", "Tell every event before the Result")
    elif not isinstance(told.outputs, Mapping):
        subject.find(
            f"a result holds a {type(told.outputs).__name__}", "Give Result a mapping of output names to values"
        )


def check_events(subject: Subject, told: Told, capabilities: Collection[str], graph: GraphView) -> None:
    """Every event is known, complete, of a known step, declared, and comes in its turn."""
    for item in told.events:
        if not isinstance(item, Event) or item.kind not in KINDS:
            what = repr(item.kind) if isinstance(item, Event) else f"a {type(item).__name__}"
            subject.find(f"a stream tells {what}, which is no event", "Yield Event and Result only")
    events = [item for item in told.events if isinstance(item, Event) and item.kind in KINDS]
    for event in events:
        _check_event(subject, event, graph)
    _check_order(subject, events, ended=told.error is None)
    _check_declared(subject, Counter(event.kind for event in events), capabilities)


def _check_event(subject: Subject, event: Event, graph: GraphView) -> None:
    if event.kind.startswith("run_"):
        subject.find(f"a stream tells {event.kind!r}", "Leave the run's own events to the service")
    members = MEMBERS.get(event.kind, {})
    if missing := members.keys() - event.data.keys():
        subject.find(f"{event.kind!r} lacks {', '.join(sorted(missing))}", "Put them into the event's data")
    for name in sorted(members.keys() & event.data.keys()):
        value = event.data[name]
        if not isinstance(value, members[name]) or (members[name] is NUMBER and not value >= 0):
            subject.find(f"{event.kind!r} has the {name} {value!r}", _FITTING)
    if event.kind in OF_STEPS and (event.step is None or not event.attempt):
        subject.find(f"{event.kind!r} names no step or no attempt", "Give both, the first attempt as 1")
    elif event.step is not None and graph.fidelity != "opaque" and node_of(event.step, graph) is None:
        subject.find(
            f"{event.kind!r} names the step {event.step!r}, which the graph does not have",
            "Name steps by their node ids, or call the graph opaque",
        )


_FITTING = "Tell seconds and counts as numbers from 0 on, and what people read as texts"


def _check_order(subject: Subject, events: list[Event], *, ended: bool) -> None:
    under_way: Counter[tuple[str | None, int | None]] = Counter()
    retried: set[tuple[str | None, int | None]] = set()
    for event in events:
        attempt = (event.step, event.attempt)
        if event.kind == "step_started":
            under_way[attempt] += 1
            if (event.attempt or 1) > 1 and (event.step, (event.attempt or 1) - 1) not in retried:
                subject.find(
                    f"attempt {event.attempt} of step {event.step!r} comes without a retry",
                    "Tell step_retrying with the attempt that failed, before the next one starts",
                )
        elif event.kind in ENDS:
            under_way[attempt] -= 1
            retried |= {attempt} if event.kind == "step_retrying" else set()
            if under_way[attempt] < 0:
                subject.find(f"step {event.step!r} ends before it starts", "Tell step_started first")
    for (step, _), count in under_way.items():
        if ended and count > 0:
            subject.find(f"step {step!r} starts and never ends", "Tell step_completed or step_failed before the Result")


def _check_declared(subject: Subject, kinds: Counter[Any], capabilities: Collection[str]) -> None:
    if kinds["delta"] and "deltas" not in capabilities:
        subject.find("deltas are told but not declared", "Add 'deltas' to the capabilities")
    if kinds.keys() & OF_STEPS and "step-events" not in capabilities:
        subject.find("events of steps are told but not declared", "Add 'step-events' to the capabilities")
    if not kinds["step_started"] and "step-events" in capabilities:
        subject.find("'step-events' is declared, but no step is told", "Tell the steps, or take the capability back")


def check_blame(subject: Subject, told: Told, capabilities: Collection[str], step: str) -> None:
    """The step that a failing run blames is told as failed, if its start is told."""
    events = steps_told(told)
    if "step-events" in capabilities and events["step_started", step] and not events["step_failed", step]:
        subject.find(
            f"step {step!r} fails the run, but is not told as failed", "Tell step_failed before the error is raised"
        )


def check_fidelity(subject: Subject, told: Told, graph: GraphView) -> None:
    """A graph that claims to be exact, and knows no conditions, is what every run does."""
    if graph.fidelity != "exact" or any(edge.conditional for edge in graph.edges):
        return
    started = {node_of(step, graph) for kind, step in steps_told(told) if kind == "step_started"}
    for missed in sorted({node.id for node in graph.nodes} - started if started else ()):
        subject.find(
            f"the graph is called exact, but a run leaves out {missed!r}",
            "Mark edges that not every run takes as conditional, or call the graph a superset",
        )


def steps_told(told: Told) -> Counter[tuple[str, str]]:
    """Which events of which steps came, and how often."""
    return Counter(
        (item.kind, item.step or "") for item in told.items if isinstance(item, Event) and item.kind in OF_STEPS
    )


def node_of(step: str, graph: GraphView) -> str | None:
    """The node that a step belongs to: its own, or for an item of a map (``resize[3]``) the map's."""
    ids = {node.id for node in graph.nodes}
    return next((name for name in (step, re.sub(r"\[\d+\].*", "", step)) if name in ids), None)
