"""The runtime and a small model of it never disagree: programs, failures, retries, timeouts, cancels, deadlines."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from tests.support.graphs import call
from tests.support.model import THREADS, If, Map, Program, Statement, Step, Story, assigned, tell
from tests.support.programs import Bad, World, as_snapshot, flat
from tests.support.virtual import VirtualThreads, run_virtually

from pipemount.errors import BranchFailedError, DeadlineExceededError, StepFailedError, StepTimeoutError
from pipemount.runtime import crew
from pipemount.runtime.events import Event
from pipemount.runtime.executor import Executor
from pipemount.runtime.guard import guard
from pipemount.runtime.recorder import Recorder

NO_TIE = 3 / (1 << 32)
"""Added to the times of cancels and deadlines, so that nothing else happens just then."""


# ---------------------------------------------------------------------------------------- programs


@st.composite
def programs(draw: st.DrawFn, *, statements: int = 9, nested: bool = True, bare: bool = False) -> Program:
    return Program(tuple(_Drawing(draw, statements, nested, bare).block({"x"}, 0)))


class _Drawing:
    """Statements that only read what is there on every path."""

    def __init__(self, draw: st.DrawFn, left: int, nested: bool, bare: bool) -> None:
        self._draw, self._left, self._nested, self._bare = draw, left, nested, bare
        self._count = 0

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"{kind}{self._count}"

    def block(self, known: set[str], depth: int) -> list[Statement]:
        found: list[Statement] = []
        for _ in range(self._draw(st.integers(0 if depth else 2, 4))):
            if self._left <= 0:
                break
            self._left -= 1
            kinds = ["step", "step", "step"] + ["if", "if"] * (depth < 2) + ["map"] * (not self._bare)
            kind = self._draw(st.sampled_from(kinds))
            if kind == "if":
                found.append(self._if(known, depth))
            else:
                found.append(self._step(known) if kind == "step" else self._map(known))
        return found

    def _step(self, known: set[str]) -> Step:
        draw, name = self._draw, self._name("s")
        readable: list[str | int] = [*sorted(known), 0]
        arguments = tuple(draw(st.lists(st.sampled_from(readable), max_size=2)))
        into = draw(st.sampled_from([name, name, *sorted(known - {"x"})]))
        known.add(into)
        return self._behaving(Step(name, arguments, into))

    def _behaving(self, step: Step) -> Step:
        draw = self._draw
        if self._bare:
            return dataclasses.replace(
                step, kind=draw(st.sampled_from(["async", "loop"])), fails=draw(st.sampled_from([0] * 9 + [1]))
            )
        attempts = draw(st.sampled_from([1, 1, 2, 3]))
        return dataclasses.replace(
            step,
            kind=draw(st.sampled_from(["async", "async", "thread", "thread", "loop"])),
            lasts=tuple(draw(st.lists(st.integers(0, 3), min_size=1, max_size=2))),
            fails=draw(st.sampled_from([0, 0, 0, 0, attempts - 1, attempts - 1, attempts])),
            attempts=attempts,
            delay=draw(st.integers(0, 2)),
            timeout=draw(st.sampled_from([None, None, None, 2])) if step.kind != "loop" else None,
        )

    def _if(self, known: set[str], depth: int) -> If:
        draw = self._draw
        left = draw(st.sampled_from([*sorted(known), "x", "x"]))
        operator = draw(st.sampled_from(["truth", "==", ">=", "<"]))
        then_known, other_known = set(known), set(known)
        then, other = self.block(then_known, depth + 1), self.block(other_known, depth + 1)
        known |= then_known & other_known
        return If(self._name("b"), left, operator, draw(st.integers(0, 4)), tuple(then), tuple(other))

    def _map(self, known: set[str]) -> Map:
        draw, name = self._draw, self._name("m")
        items, limit = draw(st.integers(0, 5)), draw(st.sampled_from([None, None, 1, 2]))
        if self._nested and draw(st.booleans()):
            return Map(name, items, None, draw(programs(statements=3, nested=False)), (), limit)
        known.add(name)
        bad = tuple(draw(st.lists(st.integers(0, 4), max_size=2)))
        step = self._behaving(Step(f"{name}s"))
        fails = step.attempts - draw(st.sampled_from([0, 1, 1, 1, 1]))
        return Map(name, items, dataclasses.replace(step, fails=fails), None, bad, limit)


# ------------------------------------------------------------------------------------------ what was


@dataclasses.dataclass
class Outcome:
    """How a run ended: ``completed`` with outputs, or a word for why not, and the name of what failed."""

    kind: str
    name: str = ""
    outputs: dict[str, Any] = dataclasses.field(default_factory=dict)


async def act(
    program: Program, x: int, *, deadline: float | None, cancel: float | None, listening: bool
) -> tuple[Outcome, World, list[Event]]:
    """Really run it."""
    world, told = World(VirtualThreads(THREADS)), list[Event]()
    snapshot = as_snapshot(program, world)
    executor = Executor(snapshot, world.threads)
    asked = call(snapshot, {"x": x})
    if executor.swift and not listening:
        run = executor.run_swiftly(asked, dict)
    else:
        run = executor.run(asked, dict, Recorder("id", (told.append,)) if listening else None)
    task = asyncio.ensure_future(guard(run, deadline, None, asked.cancel))
    if cancel is not None:
        asyncio.get_running_loop().call_later(cancel, task.cancel)
    await asyncio.wait([task])
    return _outcome(task), world, told


def _outcome(task: asyncio.Task[dict[str, Any]]) -> Outcome:
    if task.cancelled():
        return Outcome("cancelled")
    match task.exception():
        case None:
            return Outcome("completed", "", task.result())
        case DeadlineExceededError():
            return Outcome("deadline")
        case StepTimeoutError(step=str(name)):
            return Outcome("timeout", name)
        case StepFailedError(step=str(name), cause=Bad()):
            return Outcome("step", name)
        case BranchFailedError(condition=str(text)):
            return Outcome("branch", text.removesuffix("?"))
        case error:
            raise AssertionError("not what a run fails with") from error


# ------------------------------------------------------------------------------------ what ought to be


def check(
    program: Program,
    x: int,
    deadline: float | None = None,
    cancel: float | None = None,
    listening: bool = True,
    model: Program | None = None,
) -> str:
    """Run it, and compare; how it ended. The model may be given another program, to see that it notices."""
    story = tell(model or program, x)
    with patch.object(crew, "SLICE", 0.0):
        outcome, world, told = run_virtually(act(program, x, deadline=deadline, cancel=cancel, listening=listening))
    stop = min((time for time in (deadline, cancel) if time is not None), default=float("inf"))
    fault = story.fault
    assert world.inside == 0
    if fault is not None and fault.time < stop:
        same = [each for each in story.faults if each.time == fault.time]
        assert (outcome.kind, outcome.name) in [(each.kind, each.name) for each in same]
        check_begun(program, story, world, fault.time)
    elif fault is None and story.end < stop:
        assert outcome == Outcome("completed", "", outputs_of(program, story))
        assert sorted(world.begun) == sorted(story.begun)
        if listening:
            check_events(program, story, told)
    else:
        assert outcome.kind == ("deadline" if stop == deadline else "cancelled")
        check_begun(program, story, world, stop)
    return outcome.kind


def outputs_of(program: Program, story: Story) -> dict[str, Any]:
    bodies = {s.name: s.body for s in flat(program.statements) if isinstance(s, Map) and s.body is not None}
    found: dict[str, Any] = {}
    for name, value in story.outputs.items():
        if (body := bodies.get(name)) is None:
            found[name] = value
            continue
        for inner in sorted(assigned(body.statements)):
            found[f"{name}.{inner}"] = [item.get(inner) for item in value]
    return found


def check_begun(program: Program, story: Story, world: World, end: float) -> None:
    """What began before the run ended early has begun, and nothing later. Of threads, the rest of a chain is done."""
    threaded = threads_of(program)
    seen = {begun for begun in world.begun if last_name(begun[0]) not in threaded}
    due = {begun for begun in story.begun if last_name(begun[0]) not in threaded}
    assert {begun for begun in due if begun[2] < end} <= seen
    assert seen <= {begun for begun in due if begun[2] <= end}


def last_name(name: str) -> str:
    return name.rpartition("/")[2].partition("[")[0]


def threads_of(program: Program) -> set[str]:
    found: set[str] = set()
    for statement in flat(program.statements):
        step = statement.step if isinstance(statement, Map) else statement
        if isinstance(step, Step) and step.kind == "thread":
            found.add(statement.name)
        elif isinstance(statement, Map) and statement.body is not None:
            found |= threads_of(statement.body)
    return found


def check_events(program: Program, story: Story, told: list[Event]) -> None:
    assert [each.sequence for each in told] == list(range(1, len(told) + 1))
    answers = sorted((each.data["branch"], each.data["answer"]) for each in told if each.kind == "branch")
    assert answers == sorted((name, answer) for name, answer, _ in story.answers)
    started = Counter((each.step, each.attempt) for each in told if each.kind == "step_started")
    ended = Counter((each.step, each.attempt) for each in told if each.kind in ("step_completed", "step_retrying"))
    assert started == ended
    steps = Counter((name, attempt) for name, attempt, _ in story.begun)
    assert steps <= started
    for each in told:
        if each.kind == "progress":
            assert 1 <= each.data["done"] <= each.data["total"]


# ------------------------------------------------------------------------------------------- the test


def times(offset: float) -> st.SearchStrategy[float | None]:
    return st.sampled_from([None, *range(8)]).map(lambda time: None if time is None else time + offset)


DEADLINES, CANCELS = times(NO_TIE), times(NO_TIE / 2)
BARE = programs(bare=True, nested=False)
HEALTH = [HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=250, deadline=None, suppress_health_check=HEALTH, derandomize=True)
@given(programs(), st.integers(0, 4), st.booleans())
@pytest.mark.no_cover
def test_runs_go_as_the_model_says(program: Program, x: int, listening: bool) -> None:
    event(check(program, x, listening=listening))


@settings(max_examples=150, deadline=None, suppress_health_check=HEALTH, derandomize=True)
@given(programs(), st.integers(0, 4), DEADLINES, CANCELS, st.booleans())
@pytest.mark.no_cover
def test_runs_that_are_stopped_stop_as_the_model_says(
    program: Program, x: int, deadline: float | None, cancel: float | None, listening: bool
) -> None:
    event(check(program, x, deadline, cancel, listening))


@settings(max_examples=150, deadline=None, suppress_health_check=HEALTH, derandomize=True)
@given(BARE, st.integers(0, 4), DEADLINES)
@pytest.mark.no_cover
def test_swift_runs_go_as_the_model_says(program: Program, x: int, deadline: float | None) -> None:
    event(check(program, x, deadline, listening=False))


@pytest.mark.full
@pytest.mark.timeout(1800)
@settings(max_examples=10_000, deadline=None, suppress_health_check=HEALTH)
@given(
    programs() | BARE,
    st.integers(0, 4),
    st.just((None, None)) | st.tuples(DEADLINES, CANCELS),
    st.booleans(),
)
def test_ten_thousand_runs_go_as_the_model_says(
    program: Program, x: int, stops: tuple[float | None, float | None], listening: bool
) -> None:
    event(check(program, x, *stops, listening))


def test_the_model_notices_what_goes_wrong() -> None:
    """A model that agrees with everything proves nothing."""
    program = Program((Step("s1"), If("b1", "s1", ">=", 0, (Step("s2", ("s1",)),), ())))
    assert check(program, 1) == "completed"
    for wrong in (
        Program((Step("s1"), If("b1", "s1", "<", 0, (Step("s2", ("s1",)),), ()))),
        Program((Step("s1"), If("b1", "s1", ">=", 0, (Step("s2", (7,)),), ()))),
        Program((Step("s1", fails=1), If("b1", "s1", ">=", 0, (Step("s2", ("s1",)),), ()))),
    ):
        with pytest.raises(AssertionError):
            check(program, 1, model=wrong)
