"""Branches at run time: what runs, on what, and what is told."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

import pytest
from tests.support.graphs import branch, choose, execute, graph, node, of

from pipemount import PipelineError, Retry, step
from pipemount.errors import BranchFailedError, StepFailedError
from pipemount.pipelines.snapshot import Access, Node, Parameter, Snapshot
from pipemount.pipelines.specs import Hook, Hooks
from pipemount.runtime.events import Event
from pipemount.runtime.plan import build_plan


@step
async def plus(x: int, by: int = 1) -> int:
    return x + by


@step
def sync_plus(x: int, by: int = 1) -> int:
    return x + by


@step
async def never(x: int) -> int:
    raise AssertionError("a step that is on no path of this run")


def diamond(plus: Any = plus, **options: Any) -> Snapshot:
    """``y = plus(x)``; ``if y > 10: y = plus(y, 100)`` ``else: y = note = plus(y, 1000)``; ``return plus(y), note``."""
    return graph(
        node("first", plus, x="$x"),
        node("big", plus, x=of("first"), by=100, paths=0b01, decided_by=["branch"]),
        node("note", plus, x=of("first"), by=1000, paths=0b10, decided_by=["branch"]),
        node("last", plus, x=choose((0b01, of("big")), (0b10, of("note"))), decided_by=["branch"]),
        inputs={"x": int},
        outputs={"y": of("last"), "note": of("note")},
        only_on={"note": 0b10},
        branches=[branch("branch", ">", of("first"), 10, yes=0b01, no=0b10)],
        paths=2,
        **options,
    )


# ------------------------------------------------------------------------------- what runs, and on what


@pytest.mark.parametrize("kind", [plus, sync_plus])
async def test_each_path_runs_its_own_steps_and_gives_its_own_outputs(kind: Any) -> None:
    assert await execute(diamond(kind), x=10) == {"y": 112}
    assert await execute(diamond(kind), x=1) == {"y": 1003, "note": 1002}


async def test_branched_pipelines_of_bare_steps_are_swift() -> None:
    assert build_plan(diamond()).swift
    assert await execute(diamond(), swiftly=True, x=10) == {"y": 112}
    assert await execute(diamond(), swiftly=True, x=1) == {"y": 1003, "note": 1002}


def wide(*extra: Node, **options: Any) -> Snapshot:
    """Two steps side by side, one of them asked about, the other on one path only."""
    return graph(
        node("left", plus, x="$x"),
        node("right", plus, x="$x", by=2, paths=0b01, decided_by=["early"]),
        node("join", plus, x=of("left"), by=choose((0b01, of("right")), (0b10, 7)), decided_by=["early"]),
        *extra,
        inputs={"x": int},
        outputs={"join": of("join")},
        branches=[branch("early", ">", "$x", 5, yes=0b01, no=0b10)],
        paths=2,
        **options,
    )


async def test_graphs_with_steps_side_by_side_branch_as_well() -> None:
    assert build_plan(wide()).ways is None
    assert await execute(wide(), x=10) == {"join": 23}
    assert await execute(wide(), x=1) == {"join": 9}


async def test_a_step_that_is_skipped_keeps_nobody_waiting() -> None:
    release = asyncio.Event()

    @step
    async def slow(x: int) -> int:
        await release.wait()
        return x

    @step
    async def finish(x: int) -> int:
        release.set()
        return x

    body = graph(
        node("slow", slow, x="$x"),
        node("skipped", never, x=of("slow"), paths=0b01, decided_by=["branch"]),
        node("finish", finish, x=choose((0b01, of("skipped")), (0b10, "$x")), decided_by=["branch"]),
        inputs={"x": int},
        outputs={"slow": of("slow"), "finish": of("finish")},
        branches=[branch("branch", "truth", "$x", yes=0b01, no=0b10)],
        paths=2,
    )

    assert await asyncio.wait_for(execute(body, x=0), 5) == {"slow": 0, "finish": 0}


async def test_a_branch_on_a_skipped_path_is_not_asked_and_takes_its_steps_along() -> None:
    @step
    async def fail(x: int) -> int:
        raise AssertionError("the inner branch asks about a step that is skipped")

    told: list[Event] = []
    body = graph(
        node("beside", plus, x="$x"),
        node("asked", fail, x="$x", paths=0b011, decided_by=["outer"]),
        node("inner_yes", never, x="$x", paths=0b001, decided_by=["inner"]),
        node(
            "last", plus, x=choose((0b001, of("inner_yes")), (0b010, of("asked")), (0b100, "$x")), decided_by=["inner"]
        ),
        inputs={"x": int},
        outputs={"beside": of("beside"), "last": of("last")},
        branches=[
            branch("outer", "truth", "$x", yes=0b011, no=0b100),
            branch("inner", "truth", of("asked"), yes=0b001, no=0b010, decided_by=["outer"]),
        ],
        paths=3,
    )

    assert await execute(body, told=told, x=0) == {"beside": 1, "last": 1}
    assert [event.data["branch"] for event in told if event.kind == "branch"] == ["outer"]


async def test_sync_steps_on_both_sides_of_a_decided_branch_share_one_thread_hop() -> None:
    idents: list[int] = []

    @step
    def note(x: int) -> int:
        idents.append(threading.get_ident())
        return x + 1

    body = graph(
        node("a", note, x="$x"),
        node("b", note, x=of("a"), paths=0b01, decided_by=["branch"]),
        node("c", note, x=choose((0b01, of("b")), (0b10, of("a"))), decided_by=["branch"]),
        inputs={"x": int},
        outputs={"c": of("c")},
        branches=[branch("branch", "truth", "$x", yes=0b01, no=0b10)],
        paths=2,
    )
    plan = build_plan(body)

    assert plan.ways is not None
    assert [[[n.id for n in chain] for chain in way.chains] for way in plan.ways] == [
        [],
        [["a", "b", "c"]],
        [["a", "c"]],
    ]
    assert await execute(body, x=1) == {"c": 4}
    assert len(set(idents)) == 1


def test_what_follows_on_other_paths_only_is_no_reason_not_to_wait() -> None:
    """``last`` needs ``first`` by way of ``between``, but on one of its paths there is no ``between``."""
    body = graph(
        node("first", plus, x="$x"),
        node("between", plus, x=of("first"), paths=0b01, decided_by=["branch"]),
        node("last", plus, x="$x", after=["first", "between"], decided_by=["branch"]),
        inputs={"x": int},
        branches=[branch("branch", "truth", "$x", yes=0b01, no=0b10)],
        paths=2,
    )
    units = {(unit.branch or unit.nodes[0]).id: unit for unit in build_plan(body).units}

    assert units["last"].needs == {units[name].index for name in ("first", "between", "branch")}


async def test_retries_hooks_and_overrides_work_behind_a_branch() -> None:
    seen: list[str] = []
    attempts: list[int] = []

    @step(retry=Retry(attempts=2), timeout=5, on_success=lambda value: seen.append(f"success {value}"))
    def flaky(x: int, by: int = 1) -> int:
        attempts.append(by)
        if len(attempts) == 1:
            raise OSError
        return x + by

    overrides = {"first": {"parameters": {}}, "big": {"parameters": {}}, "flaky": {"parameters": {"by": 5}}}
    body = graph(
        node("first", plus, x="$x"),
        node("flaky", flaky, x=of("first"), paths=0b01, decided_by=["branch"]),
        inputs={"x": int},
        outputs={"y": of("flaky")},
        only_on={"y": 0b01},
        branches=[branch("branch", ">", of("first"), 0, yes=0b01, no=0b10)],
        paths=2,
    )

    assert await execute(body, x=1, overrides=overrides) == {"y": 7}
    assert (attempts, seen) == ([5, 5], ["success 7"])
    assert await execute(body, x=-1, overrides=overrides) == {}


# ---------------------------------------------------------------------------------------- conditions


@pytest.mark.parametrize(
    ("operator", "right", "yes", "no"),
    [
        ("truth", None, 1, 0),
        ("==", 3, 3, 4),
        ("<", 3, 2, 3),
        ("<=", 3, 3, 4),
        (">", 3, 4, 3),
        (">=", 3, 3, 2),
        ("in", (1, 2), 2, 3),
        ("is", None, None, 0),
    ],
)
async def test_conditions_ask_what_python_would(operator: str, right: Any, yes: Any, no: Any) -> None:
    body = graph(
        inputs={"x": Any},
        outputs={"answer": choose((0b01, "yes"), (0b10, "no"))},
        branches=[branch("branch", operator, "$x", right, yes=0b01, no=0b10)],
        paths=2,
    )

    assert await execute(body, x=yes) == {"answer": "yes"}
    assert await execute(body, x=no) == {"answer": "no"}


class Awkward:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __bool__(self) -> bool:
        raise self.error


def asking_about(value: Any, *extra: Node) -> Snapshot:
    return graph(
        *extra,
        inputs={"x": Any},
        branches=[branch("branch", "truth", value, yes=0b01, no=0b10)],
        paths=2,
    )


@pytest.mark.parametrize("error", [ValueError("secret"), SystemExit(3), asyncio.CancelledError()])
async def test_a_condition_that_raises_fails_the_run_and_names_itself(error: BaseException) -> None:
    for body in (asking_about("$x"), asking_about("$x", node("a", plus, x=1), node("b", plus, x=1))):
        with pytest.raises(BranchFailedError) as caught:
            await execute(body, x=Awkward(error))

        assert str(caught.value) == f"the condition `branch?` raised {type(error).__name__}"
        assert (caught.value.cause, caught.value.__cause__, caught.value.run_id) == (error, error, "id")


async def test_a_condition_that_raises_after_a_step_ends_what_runs_beside_it() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    @step
    async def awkward() -> Any:
        await begun.wait()
        return Awkward(ValueError())

    @step
    async def wait() -> None:
        begun.set()
        with contextlib.suppress(BaseException):
            await asyncio.sleep(30)
        ended.set()

    with pytest.raises(BranchFailedError):
        await execute(asking_about(of("a"), node("a", awkward), node("b", wait)), x=1)
    assert ended.is_set()


async def test_what_an_author_raises_on_purpose_in_a_condition_passes_through() -> None:
    with pytest.raises(PipelineError, match="too late"):
        await execute(asking_about("$x"), x=Awkward(PipelineError("too late", status=409)))


async def test_an_answer_that_the_types_rule_out_is_no_path() -> None:
    body = graph(
        inputs={"x": Any},
        branches=[branch("branch", "==", "$x", "F", yes=0b01, no=0b10)],
        paths=1,
    )

    assert await execute(body, x="F") == {}
    with pytest.raises(BranchFailedError, match="is False, which the types of its values rule out"):
        await execute(body, x="K")


async def test_a_field_that_is_not_there_fails_the_condition() -> None:
    with pytest.raises(BranchFailedError, match="raised AttributeError"):
        await execute(asking_about(Parameter("x", (Access("attribute", "missing"),))), x=1)


# ------------------------------------------------------------------------------------------- events


async def test_every_decision_is_told_with_its_answer() -> None:
    told: list[Event] = []
    await execute(diamond(), told=told, x=10)

    assert [(e.kind, e.step) for e in told] == [
        ("step_started", "first"),
        ("step_completed", "first"),
        ("branch", None),
        ("step_started", "big"),
        ("step_completed", "big"),
        ("step_started", "last"),
        ("step_completed", "last"),
    ]
    assert told[2].data == {"branch": "branch", "condition": "branch?", "answer": True}


async def test_decisions_on_parameters_alone_are_made_before_any_step() -> None:
    told: list[Event] = []
    await execute(wide(), told=told, x=1)

    assert told[0].kind == "branch"


async def test_run_hooks_see_a_failed_condition() -> None:
    seen: list[Any] = []
    body = asking_about("$x")
    hooked = graph(inputs={"x": Any}, branches=body.branches, paths=2, hooks=Hooks(on_failure=Hook(seen.append)))

    with pytest.raises(BranchFailedError):
        await execute(hooked, x=Awkward(ValueError()))
    assert [type(error) for error in seen] == [BranchFailedError]


async def test_a_failing_step_behind_a_branch_is_named() -> None:
    @step
    async def fail(x: int) -> int:
        raise KeyError(x)

    body = graph(
        node("fail", fail, x="$x", paths=0b01, decided_by=["branch"]),
        inputs={"x": int},
        branches=[branch("branch", "truth", "$x", yes=0b01, no=0b10)],
        paths=2,
    )

    for swiftly in (False, True):
        with pytest.raises(StepFailedError, match="step 'fail' raised KeyError"):
            await execute(body, swiftly=swiftly, x=1)
        assert await execute(body, swiftly=swiftly, x=0) == {}
