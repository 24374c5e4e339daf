"""Dynamic pipelines: ordinary Python between the steps, and everything else as in other runs."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import pytest
from pydantic import Field
from tests.support.asgi import get, post

import pipemount
from pipemount import PipelineApp, Retry, Static, StepContext, get_step_context, pipeline, step, unmapped
from pipemount.adapters.dynamic import DynamicPipeline
from pipemount.errors import (
    CompileError,
    DefinitionError,
    DynamicBodyError,
    InvalidInputsError,
    InvalidOutputsError,
    PipelineError,
    RunError,
    StepFailedError,
    StepTimeoutError,
)
from pipemount.inprocess import Pipeline, RunResult, run_compiled
from pipemount.pipelines.authoring import PipelineDefinition
from pipemount.runtime.sketch import MAX_DRAWN


@step
async def double(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


@step
def add(left: int, right: int = 10) -> int:
    return left + right


@step
def total(numbers: list[int]) -> int:
    return sum(numbers)


@step
async def split(text: str) -> tuple[Annotated[str, "head"], Annotated[int, "size"]]:
    return text[:1], len(text)


@step
async def names(count: int) -> list[str]:
    return [f"name {index}" for index in range(count)]


@step
async def join(texts: list[str]) -> str:
    return ", ".join(texts)


@step
async def fail(message: str = "no") -> str:
    raise LookupError(message)


@pipeline
def static(number: int, more: int = 1):  # type: ignore[no-untyped-def]
    return {"double": double(number), "more": add(number, more)}


@pipeline
def shaped(number: int):  # type: ignore[no-untyped-def]
    return double(number), add(number)


def make_state() -> int:
    return 1


@pipeline(on_init=make_state)
def stateful(number: int):  # type: ignore[no-untyped-def]
    return double(number)


class Report(TypedDict):
    total: int
    texts: Annotated[list[str], Field(max_length=5)]
    alert: NotRequired[str]


def dynamic(function: Callable[..., Any]) -> Pipeline:
    return pipeline(dynamic=True)(function)


async def told(made: Pipeline, **inputs: Any) -> list[tuple[str, str | None]]:
    events: list[Any] = []
    await run_compiled(pipemount.compile(made), inputs, listener=events.append)
    return [(event.kind, event.step) for event in events]


async def failure(made: Pipeline, **inputs: Any) -> RunError:
    with pytest.raises(RunError) as caught:
        await made.run(**inputs)
    return caught.value


# ------------------------------------------------------------------------------------- what it does


@pipeline(dynamic=True)
async def report(count: int, threshold: int = 3) -> Report:
    """Adds up what it finds."""
    found = await names(count)
    sizes = []
    for name in found[:5]:
        _, size = await split(name)
        sizes.append(size)
    result: Report = {"total": await total(sizes), "texts": found[:5]}
    if len(found) > threshold:
        result["alert"] = await join(found)
    return result


async def test_ordinary_python_runs_between_the_steps() -> None:
    result = await report.run(count=2)
    assert isinstance(result, RunResult)
    assert result.value == {"total": 12, "texts": ["name 0", "name 1"]}
    assert (await report.run(count=4)).value["alert"] == "name 0, name 1, name 2, name 3"
    assert await report.run(0) != result


def test_it_is_called_like_a_function() -> None:
    assert report(count=1) == {"total": 6, "texts": ["name 0"]}


async def test_steps_are_named_as_they_are_called() -> None:
    @dynamic
    async def named(number: int) -> int:
        return int(await add(await double(number), await double(number, id="again"), id="sum"))

    assert await told(named, number=1) == [
        ("run_started", None),
        ("step_started", "double"),
        ("step_completed", "double"),
        ("step_started", "again"),
        ("step_completed", "again"),
        ("step_started", "sum"),
        ("step_completed", "sum"),
        ("run_completed", None),
    ]


async def test_arguments_are_validated_as_the_steps_declare_them() -> None:
    @dynamic
    async def loose(text: str) -> int:
        return int(await double(text))

    assert (await loose.run(text="4")).value == 8
    error = await failure(loose, text="four")
    assert isinstance(error, InvalidOutputsError)
    assert error.step == "double"


async def test_any_argument_is_passed_as_it_is() -> None:
    seen: list[Any] = []

    @step
    async def keep(value: Any, other=None) -> None:  # type: ignore[no-untyped-def]
        seen.append(value)

    thing = object()

    @dynamic
    async def passing() -> None:
        await keep(thing)

    assert (await passing.run()).value is None
    assert seen == [thing]


async def test_a_step_calls_other_steps_plainly() -> None:
    @step
    def outer(number: int) -> int:
        assert get_step_context().step_name == "outer"
        return int(add(number, 1))

    @step
    async def awaiting(number: int) -> int:
        return int(await double(number)) + int(sum(add.map([1], [2])))

    @dynamic
    async def nested(number: int) -> int:
        assert get_step_context().step_name == ""
        handle = awaiting.submit(number)
        return int(await outer(await handle)) + int(await awaiting(number))

    assert (await nested.run(number=3)).value == 19
    assert [name for kind, name in await told(nested, number=3) if kind == "step_started"] == [
        "awaiting",
        "outer",
        "awaiting_2",
    ]


async def test_the_body_may_ask_for_the_context() -> None:
    @dynamic
    async def asking(number: int, context: StepContext) -> str:
        context.log("here")
        return f"{context.pipeline_name} {context.pipeline_state} {number}"

    made = asking.with_options(on_init=lambda: "state")
    assert (await made.run(number=1)).value == "asking state 1"
    assert ("log", None) in await told(made, number=1)


# ------------------------------------------------------------------------------------------- submit


async def test_what_is_submitted_runs_side_by_side() -> None:
    barrier = asyncio.Barrier(3)

    @step
    async def meet(number: int) -> int:
        await barrier.wait()
        return number

    @dynamic
    async def meeting() -> int:
        handles = [meet.submit(number) for number in range(3)]
        assert not any(handle.done() for handle in handles)
        found = [await handle for handle in handles]
        assert all(handle.done() for handle in handles)
        assert "done" in repr(handles[0])
        return sum(found)

    assert (await meeting.run()).value == 3


async def test_a_handle_given_to_another_step_is_waited_for() -> None:
    @dynamic
    async def right(number: int) -> dict[str, Any]:
        first, second = double.submit(number), double.submit(number + 1)
        both = total.submit([first, second])
        later = add.submit(first, right=both, after=[second])
        mapped = await add.map([first, 1], unmapped(second))
        return {"later": later, "all": (first, second), "sum": await total(mapped)}

    assert (await right.run(number=1)).value == {"later": 8, "all": (2, 4), "sum": 11}


async def test_what_nobody_awaits_is_waited_for_all_the_same() -> None:
    done: list[int] = []

    @step
    async def late(number: int) -> None:
        await asyncio.sleep(0.01)
        done.append(number)

    @dynamic
    async def leaving() -> int:
        late.submit(1)
        late.submit(2)
        return 3

    assert (await leaving.run()).value == 3
    assert done == [1, 2]


async def test_a_failure_that_nobody_saw_fails_the_run_and_ends_the_others() -> None:
    ended: list[str] = []

    @step
    async def endless() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("endless")

    @dynamic
    async def leaving() -> int:
        endless.submit()
        fail.submit()
        return 3

    error = await failure(leaving)
    assert isinstance(error, StepFailedError)
    assert error.step == "fail"
    assert ended == ["endless"]


async def test_one_that_the_body_saw_does_not() -> None:
    @dynamic
    async def careful() -> str:
        handle = fail.submit()
        other = join.submit(["a"])
        try:
            await handle
        except LookupError as error:
            return f"{error} {await other}"
        raise AssertionError

    assert (await careful.run()).value == "no a"


async def test_a_handle_can_be_cancelled() -> None:
    @step
    async def endless() -> None:
        await asyncio.sleep(60)

    @dynamic
    async def impatient() -> str:
        handle, other = endless.submit(), endless.submit()
        await asyncio.sleep(0)
        handle.cancel()
        other.cancel()
        try:
            await handle
        except asyncio.CancelledError:
            return "cancelled"
        raise AssertionError

    assert (await impatient.run()).value == "cancelled"


async def test_cancelling_the_run_ends_what_is_under_way() -> None:
    ended: list[str] = []
    waiting, stopped = threading.Event(), threading.Event()

    @step
    async def endless() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("endless")

    @step
    def looping(context: StepContext) -> None:
        waiting.set()
        while not context.cancelled:
            time.sleep(0.001)
        stopped.set()

    @dynamic
    async def body() -> None:
        looping.submit()
        endless.submit()
        await endless()

    run = asyncio.ensure_future(body.run())
    await asyncio.to_thread(waiting.wait)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert ended == ["endless", "endless"]
    assert await asyncio.to_thread(stopped.wait, 5)


# ---------------------------------------------------------------------------------------------- maps


async def test_maps_and_products() -> None:
    @dynamic
    async def mapping(numbers: list[int]) -> dict[str, Any]:
        heads, sizes = await split.map([f"{number}!" for number in numbers])
        return {
            "doubled": await double.map(numbers, max_concurrency=2),
            "sums": await add.product(numbers, [10, 20]),
            "heads": heads,
            "sizes": sizes,
            "static": await static.map(numbers, unmapped(5)),
            "shaped": await shaped.map(numbers),
            "empty": (await double.map([]), await split.map([]), await shaped.map([])),
        }

    value = (await mapping.run(numbers=[1, 2])).value
    assert value == {
        "doubled": [2, 4],
        "sums": [11, 21, 12, 22],
        "heads": ["1", "2"],
        "sizes": [2, 2],
        "static": {"double": [2, 4], "more": [6, 7]},
        "shaped": ([2, 4], [11, 12]),
        "empty": ([], ([], []), ([], [])),
    }


async def test_the_failing_item_is_named() -> None:
    @step
    async def picky(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        return number

    @dynamic
    async def mapping() -> list[int]:
        found: list[int] = await picky.map([1, 2, 3])
        return found

    error = await failure(mapping)
    assert error.step == "picky[2]"

    @dynamic
    async def catching() -> str:
        try:
            await picky.map([3])
        except ValueError as error:
            return str(error)
        raise AssertionError

    assert (await catching.run()).value == "three"


async def test_events_of_maps() -> None:
    @dynamic
    async def mapping() -> list[int]:
        found: list[int] = await double.map([1])
        return found

    @dynamic
    async def of_pipelines() -> Any:
        return await static.map([1])

    assert [name for kind, name in await told(mapping) if kind == "step_completed"] == ["double[0]", "double"]
    names = [name for kind, name in await told(of_pipelines) if kind == "step_completed"]
    assert names[-2:] == ["static[0]", "static"] or names[-1] == "static"
    assert "static[0]/double" in names


# ----------------------------------------------------------------------------------------- pipelines


async def test_pipelines_run_inside() -> None:
    @pipeline(dynamic=True)
    async def inner(number: int, context: StepContext) -> int:
        assert context.step_name in ("inner", "inner_2", "other")
        found: int = await double(number)
        return found

    @dynamic
    async def outer(number: int) -> dict[str, Any]:
        handle = inner.submit(number)
        return {"inner": await inner(number), "handle": handle, "static": await static(number, more=2, id="s")}

    assert (await outer.run(number=2)).value == {"inner": 4, "handle": 4, "static": {"double": 4, "more": 4}}
    names = {name for kind, name in await told(outer, number=2) if kind == "step_completed"}
    assert names == {"inner/double", "inner_2/double", "s/double", "s/add"}


async def test_pipelines_with_static_parameters_run_inside() -> None:
    @pipeline
    def climb(number: int, rounds: Static[int] = 1, up: Static[Literal[True, False]] = True):  # type: ignore[no-untyped-def]
        for _ in range(rounds):
            number = add(number, 1 if up else -1)
        return number

    @dynamic
    async def outer() -> list[int]:
        return [await climb(0), await climb(0, up=False), await climb(0, 3), *await climb.map([0, 1], unmapped(2))]

    assert (await outer.run()).value == [1, -1, 3, 2, 3]


async def test_a_failing_pipeline_inside_names_the_step() -> None:
    @pipeline
    def failing():  # type: ignore[no-untyped-def]
        return fail()

    @pipeline(dynamic=True)
    async def dynamically() -> str:
        return str(await fail())

    @dynamic
    async def outer(which: Literal["static", "dynamic"]) -> str:
        return str(await (failing() if which == "static" else dynamically()))

    assert (await failure(outer, which="static")).step == "failing/fail"
    assert (await failure(outer, which="dynamic")).step == "dynamically/fail"


async def test_running_a_pipeline_of_its_own_is_another_run() -> None:
    @step
    async def calling(number: int) -> int:
        return int(await double(number))

    @pipeline
    def other(number: int):  # type: ignore[no-untyped-def]
        return calling(number)

    @dynamic
    async def outer() -> int:
        return int((await other.run(number=2)).value)

    assert (await outer.run()).value == 4
    app = PipelineApp({"outer": outer, "other": other})

    @dynamic
    async def through_the_app() -> int:
        return int((await app.run("other", number=2)).value)

    async with app.lifespan(None):
        assert (await app.run("outer")).value == 4
        assert (await through_the_app.run()).value == 4


# ----------------------------------------------------------------------------- attempts, timeouts, hooks


async def test_steps_are_retried_timed_and_hooked() -> None:
    tries: list[int] = []
    heard: list[str] = []

    @step(retry=Retry(attempts=3, delay=0), on_start=lambda: heard.append("start"), on_end=lambda: heard.append("end"))
    async def flaky(context: StepContext) -> int:
        tries.append(context.attempt)
        if context.attempt < 3:
            raise OSError
        return context.attempt

    @step(timeout=0.01)
    async def slow() -> None:
        await asyncio.sleep(60)

    @dynamic
    async def body() -> int:
        try:
            await slow()
        except TimeoutError:
            heard.append("late")
        return int(await flaky())

    hooked = body.with_options(on_start=lambda: heard.append("run"), on_end=lambda: heard.append("ran"))
    assert (await hooked.run()).value == 3
    assert tries == [1, 2, 3]
    assert heard == ["run", "late", "start", "end", "ran"]


async def test_what_a_step_raises_can_be_caught_as_it_was_raised() -> None:
    @dynamic
    async def body(caught: bool) -> str:
        try:
            found: str = await fail("missing")
        except LookupError as error:
            if not caught:
                raise
            return str(error)
        return found

    assert (await body.run(caught=True)).value == "missing"
    error = await failure(body, caught=False)
    assert isinstance(error, StepFailedError)
    assert (error.step, type(error.cause)) == ("fail", LookupError)


async def test_errors_that_steps_raise_on_purpose_pass_through() -> None:
    @step
    async def refuse() -> None:
        raise PipelineError("not today", status=409, code="not-today")

    @dynamic
    async def body() -> None:
        await refuse()

    error = await failure(body)
    assert isinstance(error, PipelineError)
    assert (error.status, error.step) == (409, "refuse")


async def test_a_step_that_times_out() -> None:
    @step(timeout=0.01)
    async def slow() -> None:
        await asyncio.sleep(60)

    @dynamic
    async def body() -> None:
        await slow()

    assert isinstance(await failure(body), StepTimeoutError)


async def test_groups_of_failures_name_the_first_step() -> None:
    @dynamic
    async def body() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            group.create_task(join(["a"]))

    assert (await failure(body)).step == "fail"


async def test_a_step_that_raises_a_cancellation_fails() -> None:
    @step
    async def odd() -> None:
        raise asyncio.CancelledError

    @dynamic
    async def body() -> None:
        await odd()

    assert isinstance(await failure(body), StepFailedError)


async def test_what_the_body_itself_raises_names_the_pipeline() -> None:
    @dynamic
    async def body() -> None:
        raise ZeroDivisionError("secret")

    error = await failure(body)
    assert isinstance(error, StepFailedError)
    assert error.step == "body"
    assert "secret" not in str(error)


async def test_gathering_tasks_of_ones_own() -> None:
    @dynamic
    async def body() -> list[int]:
        task = asyncio.create_task(double(1))
        first, second = await asyncio.gather(double(2), double(3))
        left_alone = asyncio.create_task(double(5))
        await asyncio.sleep(0)
        assert not left_alone.done()
        return [await task, first, second]

    assert (await body.run()).value == [2, 4, 6]


# ------------------------------------------------------------------------------------------- outputs


@dynamic
async def returning_value() -> Annotated[int, "answer"]:
    return 42


@dynamic
async def returning_tuple(count: int = 2) -> tuple[Annotated[int, "first"], str]:
    return (1, "b") if count == 2 else (1, "b", 3)  # type: ignore[return-value]  # that is what is tested


@dynamic
async def returning_nothing() -> None:
    return None


@dynamic
async def returning_list(wrong: bool) -> Report:
    return [1] if wrong else {"total": 1, "texts": [], "more": 2}  # type: ignore[return-value,typeddict-unknown-key]


async def test_outputs_are_named_and_typed_by_the_annotation() -> None:
    assert (await returning_value.run()).outputs == {"answer": 42}
    assert (await returning_tuple.run()).outputs == {"first": 1, "output_1": "b"}
    assert (await returning_tuple.run()).value == (1, "b")
    assert (await returning_nothing.run()).outputs == {}
    schema = report.compile().output.json_schema()
    assert (list(schema["properties"]), schema["required"]) == (["total", "texts", "alert"], ["total", "texts"])
    assert schema["properties"]["texts"]["maxItems"] == 5


@pytest.mark.parametrize(
    ("made", "inputs", "said"),
    [
        (returning_tuple, {"count": 3}, "annotated to return a tuple of 2"),
        (returning_list, {"wrong": True}, "returned a list, and is annotated to return a dict"),
        (returning_list, {"wrong": False}, "more"),
    ],
)
async def test_outputs_that_are_not_as_promised_fail_the_run(made: Pipeline, inputs: Any, said: str) -> None:
    error = await failure(made, **inputs)
    assert isinstance(error, InvalidOutputsError)
    assert said in str(error)


async def test_inputs_are_validated() -> None:
    with pytest.raises(InvalidInputsError):
        await report.run(count="many")


# ----------------------------------------------------------------------------------- explained errors


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: double(1), "was never awaited, so it was not performed"),
        (lambda: double(1) + 1, "it is used as a value"),
        (lambda: 1 + double(1), "it is used as a value"),
        (lambda: double(1) * 2, "it is used as a value"),
        (lambda: double(1).field, "its field 'field' is read"),
        (lambda: f"{double(1)}", "it is used as a value"),
        (lambda: bool(double(1)), "it is used as a value"),
        (lambda: list(double(1)), "it is used as a value"),
        (lambda: split("a")[0], "it is used as a value"),
        (lambda: total([double(1)]), "it is given to total"),
        (lambda: total.submit({"a": (double(1),)}), "it is given to total"),
        (lambda: add.map([1], unmapped(double(1))), "it is given to add"),
        (lambda: double(), "does not fit its signature: missing a required argument"),
        (lambda: double(1, 2), "Call it as double(number: int)"),
        (lambda: double.submit(1, id="a/b"), "id='a/b' cannot be used"),
        (lambda: [double.submit(1, id="a"), double.submit(1, id="a")], "id='a' cannot be used, or is taken"),
        (lambda: double.map([1], max_concurrency=0), "whole number of at least 1"),
        (lambda: stateful(1), "has an on_init of its own"),
    ],
)
async def test_wrong_calls_are_explained(wrong: Callable[[], Any], said: str, caplog: pytest.LogCaptureFixture) -> None:
    @dynamic
    async def body() -> None:
        try:
            wrong()
        except ValueError:
            raise AssertionError from None

    with caplog.at_level(logging.ERROR):
        error = await failure(body)
    assert isinstance(error, DynamicBodyError)
    assert said in str(error)
    assert (error.file, error.step) == (__file__, None)
    assert error.line
    assert __file__ not in str(error)
    assert f"{__file__}:{error.line}" in caplog.text


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: add.map([1], [1, 2]), "lists of different lengths"),
        (lambda: add.map(unmapped(1)), "is given no list"),
        (lambda: double.map(3), "is no list of items"),
        (lambda: static("many"), "the arguments of 'static' do not fit"),
        (lambda: static.map(["many"]), "the arguments of 'static[0]' do not fit"),
    ],
)
async def test_so_are_calls_that_show_it_later(wrong: Callable[[], Any], said: str) -> None:
    @dynamic
    async def body() -> None:
        await wrong()

    error = await failure(body)
    assert isinstance(error, DynamicBodyError)
    assert said in str(error)


async def test_a_fault_that_the_body_hides_is_told_all_the_same() -> None:
    @dynamic
    async def hiding() -> int:
        try:
            return int(double(1) + 1)
        except RunError:
            await double(2)
            return 3

    assert isinstance(await failure(hiding), DynamicBodyError)


async def test_a_call_is_shown_as_what_it_is() -> None:
    seen: list[str] = []

    @dynamic
    async def body() -> int:
        call = double(1)
        assert not hasattr(call, "cr_frame")
        seen.append(repr(call))
        call.close()
        handle = double.submit(1)
        seen.append(repr(handle))
        found = int(await call)
        call.close()
        with pytest.raises(RuntimeError):
            await call
        return found + int(await handle)

    assert (await body.run()).value == 4
    assert seen == ["<call of double, not awaited>", "<call of double_2, under way>"]


async def test_throwing_into_a_call() -> None:
    @dynamic
    async def body() -> int:
        call = double(1)
        with pytest.raises(KeyError):
            call.throw(KeyError("a"))
        return 1

    assert (await body.run()).value == 1


def refused(function: Callable[..., Any]) -> CompileError:
    with pytest.raises(CompileError) as caught:
        PipelineDefinition(function, dynamic=True).compile()
    assert caught.value.file == __file__
    return caught.value


async def test_a_pipeline_with_the_same_state_is_none_of_these() -> None:
    @pipeline(dynamic=True, on_init=make_state)
    async def body() -> int:
        return int(await stateful(2))

    assert (await body.run()).value == 4


def test_bodies_that_cannot_be_dynamic_are_explained() -> None:
    def plain() -> int:
        return 1

    async def unannotated():  # type: ignore[no-untyped-def]
        return 1

    async def yielding() -> AsyncIterator[int]:
        yield 1

    def generating() -> Iterator[int]:
        yield 1

    assert refused(plain).detail_code == "sync-dynamic"
    assert refused(unannotated).detail_code == "dynamic-without-return"
    assert refused(yielding).detail_code == "generator-pipeline"
    assert refused(generating).detail_code == "generator-pipeline"


@pytest.mark.parametrize("call", [lambda: report(1), lambda: report.map([1, 2])])
def test_a_traced_body_cannot_call_a_dynamic_pipeline(call: Callable[[], Any]) -> None:
    def body():  # type: ignore[no-untyped-def]
        return call()

    with pytest.raises(CompileError) as caught:
        PipelineDefinition(body).compile()
    assert caught.value.detail_code == "dynamic-in-pipeline"


def test_submit_is_for_dynamic_bodies() -> None:
    def body(number: int):  # type: ignore[no-untyped-def]
        return double.submit(number)

    with pytest.raises(CompileError) as caught:
        PipelineDefinition(body).compile()
    assert caught.value.detail_code == "submit-in-body"
    for called in (double, static):
        with pytest.raises(DefinitionError, match="is for the body of a dynamic pipeline"):
            called.submit(1)


# -------------------------------------------------------------------------------------------- drawing


async def test_each_run_draws_what_it_did() -> None:
    @dynamic
    async def drawn(count: int) -> Report:
        found = await names(count)
        text = await join(found)
        size = total.submit([count])
        again = add.submit(size)
        return {"total": await again, "texts": found, "alert": text}

    result = await drawn.run(count=2)
    assert result.graph.fidelity == "opaque"
    assert [(node.id, node.kind) for node in result.graph.nodes] == [
        ("names", "async"),
        ("join", "async"),
        ("total", "thread"),
        ("add", "thread"),
    ]
    edges = {(edge.source, edge.target, edge.label) for edge in result.graph.edges}
    assert {("", "names", ""), ("names", "join", "texts"), ("total", "add", "left")} <= edges
    assert ("names", "", "texts") in edges


async def test_maps_and_pipelines_are_drawn_as_such() -> None:
    @dynamic
    async def drawn() -> Any:
        heads, _ = await split.map(["a"])
        return [await join(heads), await static(1)]

    graph = (await drawn.run()).graph
    assert [(node.id, node.kind) for node in graph.nodes] == [
        ("split", "map"),
        ("join", "async"),
        ("static", "pipeline"),
    ]
    assert ("split", "join") in {(edge.source, edge.target) for edge in graph.edges}


async def test_no_more_than_a_bound_is_drawn() -> None:
    @dynamic
    async def long() -> int:
        number = 0
        for _ in range(MAX_DRAWN + 10):
            number = int(await add_on_loop(number))
        return number

    result = await long.run()
    assert result.value == MAX_DRAWN + 10
    assert len(result.graph.nodes) == MAX_DRAWN


@step(thread=False)
def add_on_loop(number: int) -> int:
    return number + 1


async def test_the_graph_of_a_static_run_is_that_of_the_pipeline() -> None:
    assert [node.id for node in (await static.run(number=1)).graph.nodes] == ["double", "add"]


# ----------------------------------------------------------------------------------------- over HTTP


async def test_over_http() -> None:
    app = PipelineApp(report)
    async with app.lifespan(None):
        before = (await get(app, "/info")).json()
        short = await post(app, "/invoke", {"parameters": {"count": 1}})
        long = await post(app, "/invoke", {"parameters": {"count": 5}})
        many = await post(app, "/invoke", {"parameters": {"count": 2, "threshold": "x"}})
        after = (await get(app, "/info")).json()
        document = (await get(app, "/openapi.json")).json()
    assert short.json()["outputs"] == {"total": 6, "texts": ["name 0"]}
    assert set(long.json()["outputs"]) == {"total", "texts", "alert"}
    assert many.status == 422
    assert before["graph"] == {"fidelity": "opaque", "nodes": [], "edges": []} | {
        key: value for key, value in before["graph"].items() if key not in ("fidelity", "nodes", "edges")
    }
    assert [node["id"] for node in after["graph"]["nodes"]][:2] == ["names", "split"]
    assert after["graph"]["fidelity"] == "opaque"
    assert before["output_schema"]["required"] == ["total", "texts"]
    assert before["description"] == "Adds up what it finds."
    assert "'alert'" in str(document["components"]["schemas"])


async def test_failures_over_http() -> None:
    @dynamic
    async def failing(how: Literal["step", "body", "forgotten"]) -> str:
        if how == "forgotten":
            fail()
        if how == "body":
            raise ValueError("secret")
        return str(await fail())

    app = PipelineApp(failing)
    async with app.lifespan(None):
        answers = {
            how: (await post(app, "/invoke", {"parameters": {"how": how}})) for how in ("step", "body", "forgotten")
        }
        found = {how: answer.json() for how, answer in answers.items()}
    assert {answer.status for answer in answers.values()} == {500}
    assert (found["step"]["code"], found["step"]["step"]) == ("step-failed", "fail")
    assert (found["body"]["code"], found["body"]["step"]) == ("step-failed", "failing")
    assert "secret" not in str(found)
    assert __file__ not in str(found)


async def test_an_app_makes_its_own() -> None:
    compiled = pipemount.compile(report)
    assert isinstance(compiled, DynamicPipeline)
    other = pipemount.compile(compiled)
    assert isinstance(other, DynamicPipeline)
    assert other is not compiled
    assert other.info.fingerprint == compiled.info.fingerprint
