"""Runs: order, threads, retries, timeouts, cancels, hooks, events, contexts."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Generator, Iterator
from contextvars import ContextVar
from typing import Annotated, Any

import pytest

from pipemount import PipelineError, Retry, StepContext, get_step_context, pipeline, step
from pipemount import compile as compile_pipeline
from pipemount.errors import (
    DeadlineExceededError,
    InvalidInputsError,
    InvalidOutputsError,
    NoStepError,
    RunError,
    StepFailedError,
    StepTimeoutError,
)
from pipemount.inprocess import run_compiled
from pipemount.runtime.events import Event

WHO: ContextVar[str] = ContextVar("who", default="nobody")


async def events_of(thing: Any, **inputs: Any) -> list[Event]:
    events: list[Event] = []
    with contextlib.suppress(RunError):
        await run_compiled(compile_pipeline(thing), inputs, listener=events.append)
    return events


def kinds(events: list[Event]) -> list[tuple[str, str | None]]:
    return [(event.kind, event.step) for event in events]


# ------------------------------------------------------------------------------------------ order


async def test_a_chain_of_sync_steps_stays_in_one_thread() -> None:
    threads: list[int] = []

    @step
    def note(value: int) -> int:
        threads.append(threading.get_ident())
        return value + 1

    @pipeline
    def chain(x: int) -> Any:
        return note(note(note(x)))

    assert (await chain.run(x=1)).value == 4
    assert len(set(threads)) == 1
    assert threads[0] != threading.get_ident()


async def test_independent_sync_steps_run_side_by_side() -> None:
    barrier = threading.Barrier(3, timeout=5)

    @step
    def meet(name: str) -> str:
        barrier.wait()
        return name

    @pipeline
    def wide() -> Any:
        return meet("a", id="a"), meet("b", id="b"), meet("c", id="c")

    assert (await wide.run()).value == ("a", "b", "c")


async def test_independent_async_steps_run_side_by_side() -> None:
    here = asyncio.Event(), asyncio.Event()

    @step
    async def meet(mine: int) -> int:
        here[mine].set()
        await asyncio.wait_for(here[1 - mine].wait(), 5)
        return mine

    @step
    async def add(left: int, right: int) -> int:
        return left + right

    @pipeline
    def wide() -> Any:
        return add(meet(0), meet(1))

    assert (await wide.run()).value == 1


async def test_after_orders_without_data() -> None:
    order: list[str] = []

    @step
    async def first() -> None:
        await asyncio.sleep(0.01)
        order.append("first")

    @step
    async def second() -> int:
        order.append("second")
        return 2

    @pipeline
    def ordered() -> Any:
        return second(after=first())

    assert (await ordered.run()).value == 2
    assert order == ["first", "second"]


async def test_a_failing_step_cancels_its_siblings() -> None:
    cancelled = asyncio.Event()
    waiting = asyncio.Event()

    @step
    async def fail() -> int:
        await waiting.wait()
        raise ValueError("secret")

    @step
    async def wait() -> int:
        try:
            waiting.set()
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return 1

    @pipeline
    def both() -> Any:
        return fail(), wait()

    with pytest.raises(StepFailedError) as caught:
        await both.run()

    assert cancelled.is_set()
    assert (caught.value.step, str(caught.value)) == ("fail", "step 'fail' raised ValueError")
    assert caught.value.run_id is not None
    assert isinstance(caught.value.__cause__, ValueError)


async def test_the_next_step_of_a_cancelled_chain_never_starts() -> None:
    started, free = threading.Event(), threading.Event()
    ran: list[str] = []

    @step
    def first(context: StepContext) -> int:
        started.set()
        free.wait(5)
        ran.append(f"first cancelled={context.cancelled}")
        return 1

    @step
    def second(value: int) -> int:
        ran.append("second")
        return value

    @pipeline
    def chain() -> Any:
        return second(first())

    task = asyncio.create_task(chain.run())
    while not started.is_set():
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    free.set()
    while not ran:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.02)

    assert ran == ["first cancelled=True"]


# ---------------------------------------------------------------------------------- failures, retries


def test_a_thread_false_step_runs_on_the_loop() -> None:
    @step(thread=False)
    def here() -> int:
        return threading.get_ident()

    @pipeline
    def quick() -> Any:
        return here()

    assert quick() == threading.get_ident()


@pytest.mark.parametrize("kind", ["async", "thread", "loop"])
async def test_retries_until_it_succeeds(kind: str) -> None:
    attempts: list[int] = []
    retry = Retry(attempts=3, on=(OSError,))

    def body() -> int:
        attempts.append(get_step_context().attempt)
        if len(attempts) < 3:
            raise OSError
        return len(attempts)

    async def async_body() -> int:
        return body()

    flaky = step(name="flaky", retry=retry, thread=kind != "loop")(async_body if kind == "async" else body)

    @pipeline
    def stubborn() -> Any:
        return flaky()

    events = await events_of(stubborn)

    assert attempts == [1, 2, 3]
    assert [(e.kind, e.attempt) for e in events if e.step] == [
        ("step_started", 1),
        ("step_retrying", 1),
        ("step_started", 2),
        ("step_retrying", 2),
        ("step_started", 3),
        ("step_completed", 3),
    ]


async def test_errors_outside_the_filter_are_not_retried() -> None:
    calls: list[int] = []

    @step(retry=Retry(attempts=5, on=(OSError,)))
    def wrong() -> int:
        calls.append(1)
        raise ValueError

    with pytest.raises(StepFailedError):
        await run_compiled(compile_pipeline(wrong), {})
    assert calls == [1]


async def test_a_retry_within_a_chain_does_not_repeat_what_went_before() -> None:
    calls: list[str] = []

    @step
    def before() -> int:
        calls.append("before")
        return 1

    @step(retry=Retry(attempts=2))
    def flaky(value: int) -> int:
        calls.append("flaky")
        if calls.count("flaky") == 1:
            raise OSError
        return value

    @pipeline
    def chain() -> Any:
        return flaky(before())

    assert (await chain.run()).value == 1
    assert calls == ["before", "flaky", "flaky"]


async def test_an_async_step_past_its_timeout_is_cancelled() -> None:
    @step(timeout=0.01)
    async def slow() -> int:
        await asyncio.sleep(30)
        return 1

    with pytest.raises(StepTimeoutError) as caught:
        await run_compiled(compile_pipeline(slow), {})
    assert (caught.value.step, caught.value.status) == ("slow", 504)


async def test_a_sync_step_past_its_timeout_is_told_and_left_alone() -> None:
    free = threading.Event()
    seen: list[bool] = []

    @step(timeout=0.05)
    def slow(context: StepContext) -> int:
        free.wait(5)
        seen.append(context.cancelled)
        return 1

    with pytest.raises(StepTimeoutError):
        await run_compiled(compile_pipeline(slow), {})
    free.set()
    while not seen:
        await asyncio.sleep(0.001)

    assert seen == [True]


async def test_each_attempt_has_the_whole_timeout() -> None:
    attempts: list[int] = []

    @step(timeout=0.05, retry=Retry(attempts=2, on=(StepTimeoutError,)))
    async def slow() -> int:
        attempts.append(1)
        if len(attempts) == 1:
            await asyncio.sleep(30)
        return 1

    assert (await run_compiled(compile_pipeline(slow), {})).value == 1


async def test_a_timeout_error_of_the_steps_own_is_the_steps_own() -> None:
    @step(timeout=5)
    async def slow() -> int:
        raise TimeoutError("of my own")

    with pytest.raises(StepFailedError) as caught:
        await run_compiled(compile_pipeline(slow), {})
    assert isinstance(caught.value.cause, TimeoutError)


async def test_the_deadline_of_a_run() -> None:
    @step
    async def slow() -> int:
        await asyncio.sleep(30)
        return 1

    with pytest.raises(DeadlineExceededError) as caught:
        await run_compiled(compile_pipeline(slow), {}, timeout=0.01)
    assert caught.value.run_id is not None


@pytest.mark.parametrize("thread", [True, False])
async def test_system_exit_in_a_step_fails_the_run_and_nothing_else(thread: bool) -> None:
    @step(thread=thread)
    def leave() -> int:
        raise SystemExit(3)

    with pytest.raises(StepFailedError, match="SystemExit"):
        await run_compiled(compile_pipeline(leave), {})


async def test_what_an_author_raises_on_purpose_is_public() -> None:
    @step
    def refuse() -> int:
        raise PipelineError("no more flour", status=409, code="out-of-stock")

    with pytest.raises(PipelineError, match="no more flour") as caught:
        await run_compiled(compile_pipeline(refuse), {})
    assert (caught.value.status, caught.value.step) == (409, "refuse")


async def test_public_errors_show_their_message_and_mapped_ones_their_status() -> None:
    @step(public_errors=(LookupError,), error_statuses={LookupError: 502})
    def look() -> int:
        raise KeyError("Oslo")

    with pytest.raises(StepFailedError, match="Oslo") as caught:
        await run_compiled(compile_pipeline(look), {})
    assert caught.value.status == 502


# ---------------------------------------------------------------------------------------- values


async def test_several_outputs_flow_separately() -> None:
    @step
    def split() -> tuple[Annotated[int, "left"], Annotated[str, "right"]]:
        return 1, "r"

    @step
    def show(text: str, number: int) -> str:
        return f"{text}{number}"

    @pipeline
    def crossing() -> Any:
        left, right = split()
        return show(right, left)

    assert (await crossing.run()).value == "r1"


async def test_a_step_that_returns_another_number_of_outputs_fails() -> None:
    @step
    def split() -> tuple[int, str]:
        return (1,)  # type: ignore[return-value]  # the fault under test

    @pipeline
    def wrong() -> Any:
        return split()

    with pytest.raises(InvalidOutputsError, match="declares 2 outputs but returned a tuple of 1"):
        await wrong.run()


async def test_outputs_are_validated_before_the_run_counts_as_completed() -> None:
    ended: list[str] = []

    @step
    def lie() -> int:
        return "not a number"  # type: ignore[return-value]  # the fault under test

    @pipeline(on_success=lambda: ended.append("success"), on_failure=lambda: ended.append("failure"))
    def wrong() -> Any:
        return lie()

    events: list[Event] = []
    with pytest.raises(InvalidOutputsError):
        await run_compiled(compile_pipeline(wrong), {}, listener=events.append)

    assert ended == ["failure"]
    assert events[-1].kind == "run_failed"


async def test_a_constant_that_a_step_changes_is_whole_in_the_next_run() -> None:
    @step
    def grow(items: list[int]) -> list[int]:
        items.append(1)
        return items

    @pipeline
    def constant() -> Any:
        return grow([0])

    assert [(await constant.run()).value for _ in range(2)] == [[0, 1], [0, 1]]


async def test_inputs_are_validated() -> None:
    @step
    def same(x: int) -> int:
        return x

    @pipeline
    def checked(x: int) -> Any:
        return same(x)

    with pytest.raises(InvalidInputsError):
        await checked.run(x="no number")


async def test_overrides_reach_the_steps_own_defaults() -> None:
    @step
    def scale(x: int, factor: int = 2) -> int:
        return x * factor

    @pipeline
    def scaled(x: int) -> Any:
        return scale(x)

    compiled = compile_pipeline(scaled)
    overrides = {"scale": {"parameters": {"factor": 5}}}

    assert (await run_compiled(compiled, {"x": 3}, overrides=overrides)).value == 15
    assert (await run_compiled(compiled, {"x": 3})).value == 6


# --------------------------------------------------------------------------------------- contexts


async def test_the_context_tells_where_a_step_is() -> None:
    seen: dict[str, Any] = {}

    @step
    def look(context: StepContext) -> int:
        assert get_step_context() is context
        seen.update(
            step=context.step_name,
            pipeline=context.pipeline_name,
            run=context.run_id,
            name=context.run_name,
            state=context.pipeline_state,
            attempt=context.attempt,
            cancelled=context.cancelled,
            deadline=context.deadline is not None,
            who=(context.principal, context.trace, dict(context.metadata)),
        )
        return 1

    @pipeline(on_init=lambda size: ["state", size], on_init_kwargs={"size": 3})
    def looking() -> Any:
        return look()

    result = await looking.run()

    assert seen == {
        "step": "look",
        "pipeline": "looking",
        "run": result.run_id,
        "name": result.run_name,
        "state": ["state", 3],
        "attempt": 1,
        "cancelled": False,
        "deadline": True,
        "who": (None, None, {}),
    }


async def test_outside_a_step_there_is_no_context() -> None:
    @step
    async def run() -> int:
        get_step_context()
        return 1

    await run_compiled(compile_pipeline(run), {})

    with pytest.raises(NoStepError, match="inside a step"):
        get_step_context()


async def test_context_variables_reach_steps_in_threads() -> None:
    @step
    def who() -> str:
        return WHO.get()

    WHO.set("ada")

    assert (await run_compiled(compile_pipeline(who), {})).value == "ada"


# ------------------------------------------------------------------------------------------ events


async def test_the_events_of_a_run_are_gapless_and_in_order() -> None:
    @step
    def talk(context: StepContext) -> Generator[str, None, int]:
        yield "a"
        context.emit({"n": 1})
        context.log("hello", level="warning")
        yield "b"
        return 2

    @step
    async def last(value: int) -> int:
        return value

    @pipeline
    def talking() -> Any:
        return last(talk())

    events = await events_of(talking)

    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert len({event.run_id for event in events}) == 1
    assert kinds(events) == [
        ("run_started", None),
        ("step_started", "talk"),
        ("delta", "talk"),
        ("data", "talk"),
        ("log", "talk"),
        ("delta", "talk"),
        ("step_completed", "talk"),
        ("step_started", "last"),
        ("step_completed", "last"),
        ("run_completed", None),
    ]
    assert [e.data for e in events if e.kind in ("delta", "data", "log")] == [
        {"value": "a"},
        {"value": {"n": 1}},
        {"level": "warning", "message": "hello"},
        {"value": "b"},
    ]


async def test_generators_without_a_return_value_give_what_they_yielded() -> None:
    def count(n: int) -> Iterator[int]:
        yield from range(n)

    async def count_async(n: int) -> AsyncGenerator[int, None]:
        for number in range(n):
            yield number

    on_loop = step(thread=False)(count)
    for function in (count, count_async, on_loop):
        assert (await run_compiled(compile_pipeline(function), {"n": 3})).value == [0, 1, 2]


async def test_a_cancelled_generator_stops_at_its_next_delta() -> None:
    started, closed = threading.Event(), threading.Event()

    @step
    def endless() -> Iterator[int]:
        try:
            while True:
                started.set()
                yield 1
        finally:
            closed.set()

    task = asyncio.create_task(run_compiled(compile_pipeline(endless), {}))
    while not started.is_set():
        await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.wait([task])
    while not closed.is_set():
        await asyncio.sleep(0.001)

    assert task.cancelled()


async def test_a_run_that_is_cancelled_says_so() -> None:
    @step
    async def slow() -> int:
        await asyncio.sleep(30)
        return 1

    events: list[Event] = []
    task = asyncio.create_task(run_compiled(compile_pipeline(slow), {}, listener=events.append))
    while len(events) < 2:
        await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.wait([task])

    assert kinds(events)[-1] == ("run_cancelled", None)


# ------------------------------------------------------------------------------------------- hooks


async def test_run_and_step_hooks_fire_in_order_sync_and_async() -> None:
    order: list[str] = []

    async def note(what: str) -> None:
        order.append(what)

    def named(what: str) -> dict[str, Any]:
        return {"what": what}

    @step(on_start=lambda: order.append("step start"), on_success=lambda: order.append("step success"))
    def work() -> int:
        order.append("work")
        return 1

    @pipeline(
        on_start=note,
        on_start_kwargs=named("start"),
        on_success=note,
        on_success_kwargs=named("success"),
        on_failure=note,
        on_failure_kwargs=named("failure"),
        on_end=note,
        on_end_kwargs=named("end"),
    )
    def hooked() -> Any:
        return work()

    await hooked.run()

    assert order == ["start", "step start", "work", "step success", "success", "end"]


async def test_failure_hooks_see_the_steps_own_exception_and_change_nothing() -> None:
    seen: list[str] = []

    def watch(error: BaseException) -> None:
        seen.append(type(error).__name__)
        raise RuntimeError("in the hook")

    @step(on_failure=watch, on_end=lambda: seen.append("end"))
    def fail() -> int:
        raise KeyError("x")

    @pipeline(on_failure=watch)
    def failing() -> Any:
        return fail()

    with pytest.raises(StepFailedError, match="KeyError"):
        await failing.run()

    assert seen == ["KeyError", "end", "KeyError"]


async def test_a_raising_start_hook_fails_the_run() -> None:
    def refuse() -> None:
        raise ValueError("not today")

    @step(on_start=refuse)
    def work() -> int:
        return 1

    @pipeline(on_start=refuse)
    def never() -> Any:
        return work()

    with pytest.raises(StepFailedError) as caught:
        await run_compiled(compile_pipeline(work), {})
    assert caught.value.step == "work"
    with pytest.raises(StepFailedError) as caught:
        await never.run()
    assert caught.value.step == "on_start"


async def test_a_hook_that_raises_a_cancellation_of_its_own_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def lost() -> None:
        raise asyncio.CancelledError

    @step
    async def one() -> int:
        return 1

    @pipeline(on_success=lost, on_end=lost)
    def hooked() -> Any:
        return one()

    assert (await hooked.run()).value == 1
    assert "the run is not affected" in caplog.text


@pytest.mark.parametrize("name", ["on_start", "on_end"])
async def test_a_cancelled_run_ends_in_its_hooks(name: str) -> None:
    inside = asyncio.Event()

    async def wait() -> None:
        inside.set()
        await asyncio.sleep(30)

    @step
    async def one() -> int:
        return 1

    @pipeline(**{name: wait})
    def hooked() -> Any:
        return one()

    running = asyncio.create_task(hooked.run())
    await inside.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
