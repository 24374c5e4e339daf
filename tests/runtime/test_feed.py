"""Readers of their own pace: what they get, and what they cost the run (nothing)."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from pipemount import PipelineApp, StepContext, pipeline, step
from pipemount import compile as compile_pipeline
from pipemount.adapters.native import NativePipeline
from pipemount.adapters.protocol import Result
from pipemount.errors import ConfigurationError, InvalidInputsError, PipelineError, RunError, StepFailedError
from pipemount.inprocess import Pipeline, run_compiled
from pipemount.runtime import feed as feeds
from pipemount.runtime.buffer import LIMIT, LIMIT_BYTES
from pipemount.runtime.call import Call
from pipemount.runtime.events import Event
from pipemount.runtime.feed import Feed, reading
from pipemount.runtime.recorder import Recorder
from pipemount.runtime.threads import ThreadPool

MANY = 20 * LIMIT


@step
async def tokens(count: int) -> Any:
    for n in range(count):
        yield n  # without ever waiting for anything


@step
def thread_tokens(count: int) -> Iterator[int]:
    yield from range(count)


@step(thread=False)
def loop_tokens(count: int) -> Iterator[int]:
    yield from range(count)


@pipeline
def talking(count: int) -> Any:
    return tokens(count)


@pipeline
def thread_talking(count: int) -> Any:
    return thread_tokens(count)


@pipeline
def loop_talking(count: int) -> Any:
    return loop_tokens(count)


@step
async def wait_long(context: StepContext) -> None:
    context.emit("waiting")
    try:
        await asyncio.sleep(60)
    finally:
        context.pipeline_state.append("cancelled")


async def events_of(run: Any) -> list[Event]:
    return [event async for event in run]


def numbers(events: list[Event]) -> list[int]:
    """Every sequence number that the events stand for."""
    found: list[int] = []
    for event in events:
        found += range(event.data["first"], event.sequence + 1) if event.kind == "missed" else [event.sequence]
    return found


# ----------------------------------------------------------------------------------------- streams


async def test_a_pipeline_tells_what_happens_and_then_ends() -> None:
    kinds = [event.kind async for event in talking.stream(count=2)]
    assert kinds == ["run_started", "step_started", "delta", "delta", "step_completed", "run_completed"]


async def test_decisions_and_items_are_in_the_stream() -> None:
    @step
    def double(x: int) -> int:
        return 2 * x

    @pipeline
    def doubling(xs: list[int], twice: bool = True) -> Any:
        values = double.map(xs)
        if twice:
            values = double.map(values, id="again")
        return values

    events = await events_of(doubling.stream(xs=[1, 2]))
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    (decision,) = (event for event in events if event.kind == "branch")
    assert (decision.step, decision.data["condition"], decision.data["answer"]) == (None, "twice", True)
    started = {event.step for event in events if event.kind == "step_started"}
    assert started == {"double", "double[0]", "double[1]", "again", "again[0]", "again[1]"}
    assert [event.data["done"] for event in events if event.kind == "progress" and event.step == "again"] == [1, 2]
    assert events[-1].data["outputs"] == {"output": [4, 8]}


async def test_the_last_event_has_the_outputs() -> None:
    *_, last = await events_of(talking.stream(2))
    assert last.data["outputs"] == {"output": [0, 1]}
    assert 0 < last.data["duration"] < 60


@pytest.mark.parametrize("talk", [talking, thread_talking], ids=["async", "in a thread"])
async def test_who_reads_as_fast_as_it_can_misses_nothing(talk: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Feed, "patience", 60)
    events = await events_of(talk.stream(count=MANY))
    assert [event.data["value"] for event in events if event.kind == "delta"] == list(range(MANY))
    assert [event.sequence for event in events] == list(range(1, MANY + 5))


async def test_who_takes_a_turn_of_the_loop_for_each_event_misses_nothing() -> None:
    events = []
    async for event in talking.stream(count=MANY):
        events.append(event)
        await asyncio.sleep(0)
    assert [event.sequence for event in events] == list(range(1, MANY + 5))


@pytest.mark.parametrize("talk", [talking, thread_talking, loop_talking], ids=["async", "in a thread", "on the loop"])
async def test_who_does_not_read_learns_afterwards_what_was_missed(talk: Pipeline) -> None:
    feed = Feed()
    result = await run_compiled(compile_pipeline(talk), {"count": MANY}, listener=feed)
    assert result.value == list(range(MANY))
    events = await events_of(feed)
    assert len(events) <= LIMIT + 5
    assert numbers(events) == list(range(1, MANY + 5))
    assert [e.kind for e in events if e.kind not in ("delta", "missed")] == [
        "run_started",
        "step_started",
        "step_completed",
        "run_completed",
    ]


async def test_what_nobody_reads_takes_little_memory() -> None:
    feed = Feed()
    recorder = Recorder("run", [feed])
    tracemalloc.start()
    for n in range(20_000):
        recorder.emit("delta", "step", 1, value=f"{n:01000d}")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * LIMIT_BYTES


async def test_an_error_is_raised_after_the_last_event() -> None:
    @step
    def refuse() -> int:
        raise PipelineError("not today", status=409, code="closed")

    seen: list[Event] = []
    with pytest.raises(PipelineError, match="not today"):
        async for event in pipeline(name="closed")(lambda: refuse()).stream():
            seen.append(event)
    assert seen[-1].kind == "run_failed"
    assert seen[-1].data == {"error": "not today", "code": "closed", "step": "refuse"}


async def test_inputs_that_do_not_fit_are_refused_before_any_event() -> None:
    seen: list[Event] = []
    with pytest.raises(InvalidInputsError):
        async for event in talking.stream(count="many"):
            seen.append(event)
    assert seen == []


async def test_a_start_that_fails_is_raised_and_tells_nothing() -> None:
    @pipeline(on_init=lambda: 1 / 0)
    def never() -> Any:
        return tokens(1)

    with pytest.raises(ZeroDivisionError):
        await events_of(never.stream())


async def test_who_leaves_cancels_the_run() -> None:
    log: list[str] = []

    @pipeline(on_init=lambda: log, on_cleanup=lambda: log.append("cleaned up"))
    def waiting() -> Any:
        return wait_long()

    async with contextlib.aclosing(waiting.stream()) as events:
        async for event in events:
            if event.kind == "data":
                break
    assert log == ["cancelled", "cleaned up"]


async def test_an_adapters_stream_is_a_feed_and_its_result() -> None:
    compiled = compile_pipeline(talking)
    threads = ThreadPool(1)
    await compiled.start({"threads": threads})
    items = [item async for item in compiled.stream(Call(compiled.input.validate({"count": MANY}), "run"))]
    await compiled.stop(None)
    threads.close()
    assert [item.sequence for item in items if isinstance(item, Event)] == list(range(1, MANY + 3))
    assert items[-1] == Result({"output": list(range(MANY))})


async def test_a_stream_that_fails_while_it_is_left_leaves_no_trace() -> None:
    @step
    async def stubborn(context: StepContext) -> None:
        context.emit("here")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise ValueError("no") from None

    compiled = compile_pipeline(stubborn)
    assert isinstance(compiled, NativePipeline)
    threads = ThreadPool(1)
    await compiled.start({"threads": threads})
    stream = compiled.stream(Call(compiled.input.validate({}), "run"))
    async for item in stream:
        if isinstance(item, Event) and item.kind == "data":
            break
    await stream.aclose()  # type: ignore[attr-defined]  # a generator, which the protocol does not promise
    threads.close()


# ------------------------------------------------------------------------------------------ of an app


async def test_an_app_streams_with_its_own_state() -> None:
    log: list[str] = []

    @step
    def look(context: StepContext) -> int:
        return len(context.pipeline_state)

    @pipeline(on_init=lambda: log)
    def looking() -> Any:
        return look()

    app = PipelineApp({"looking": looking, "talking": talking})
    async with app.lifespan(None):
        *_, last = await events_of(app.stream("looking"))
        assert last.data["outputs"] == {"output": 0}
        assert (await app.run("talking", count=1)).value == [0]
    with pytest.raises(ConfigurationError, match="several pipelines"):
        app.stream()


@pytest.mark.parametrize("talk", [talking, thread_talking])
async def test_a_stream_may_be_read_on_another_loop_than_the_runs(talk: Pipeline) -> None:
    app = PipelineApp(talk)  # nobody gives it a loop: it lives on a thread of its own
    events = await events_of(app.stream(count=MANY))
    await app.lifecycle.aclose()
    assert numbers(events) == list(range(1, MANY + 5))
    assert {event.run_id for event in events} == {events[0].run_id}


async def test_leaving_an_apps_stream_gives_its_place_back() -> None:
    log: list[str] = []
    app = PipelineApp(pipeline(name="waiting", on_init=lambda: log)(lambda: wait_long()))
    async with app.lifespan(None):
        async with contextlib.aclosing(app.stream()) as events:
            async for event in events:
                if event.kind == "data":
                    break
        assert log == ["cancelled"]
        assert app.admission.active == 0


# ------------------------------------------------------------------------------------------ the feed


def tell(recorder: Recorder, count: int) -> None:
    for n in range(count):
        recorder.emit("delta", "step", 1, value=n)


async def test_a_feed_has_one_reader() -> None:
    feed = Feed()
    first = asyncio.ensure_future(anext(feed))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="a feed for each reader"):
        await anext(feed)
    Recorder("run", [feed]).emit("run_started")
    assert (await first).kind == "run_started"


async def test_a_reader_may_give_up_and_come_back() -> None:
    feed = Feed()
    recorder = Recorder("run", [feed])
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(feed), 0.01)
    recorder.emit("run_started")
    assert (await anext(feed)).sequence == 1


async def test_a_closed_feed_ends_after_what_is_there() -> None:
    feed = Feed()
    recorder = Recorder("run", [feed])
    tell(recorder, 2)
    feed.close()
    tell(recorder, 2)
    assert [event.sequence for event in await events_of(feed)] == [1, 2]
    assert await events_of(feed) == []


async def test_a_reader_that_waits_is_woken_from_a_thread() -> None:
    feed = Feed()
    recorder = Recorder("run", [feed])
    reader = asyncio.ensure_future(events_of(feed))
    await asyncio.sleep(0)
    await asyncio.to_thread(tell, recorder, 3)
    await asyncio.to_thread(recorder.emit, "run_completed")
    assert [event.sequence for event in await reader] == [1, 2, 3, 4]


async def test_threads_that_tell_at_the_same_time_make_one_row() -> None:
    feed = Feed(100_000)
    recorder = Recorder("run", [feed])
    together = threading.Barrier(4)

    def work() -> None:
        together.wait(10)
        tell(recorder, 1000)

    await asyncio.gather(*(asyncio.to_thread(work) for _ in range(4)))
    recorder.emit("run_completed")
    events = await events_of(feed)
    assert [event.sequence for event in events] == list(range(1, 4002))
    assert [event.time for event in events] == sorted(event.time for event in events)


async def test_a_reader_that_stands_still_is_given_one_turn() -> None:
    feed = Feed(4)
    recorder = Recorder("run", [lambda event: None, feed])
    tell(recorder, 2)
    assert recorder.crowded
    await recorder.give_way()
    assert not recorder.crowded
    tell(recorder, 2)
    assert not recorder.crowded
    await anext(feed)
    assert recorder.crowded


async def test_a_thread_waits_no_longer_than_a_moment_for_a_loop_that_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Feed, "patience", 0.001)
    feed = Feed(4)
    recorder = Recorder("run", [feed])
    thread = threading.Thread(target=tell, args=(recorder, 100))
    thread.start()
    thread.join()  # the loop is blocked all the while
    recorder.emit("run_completed")
    assert numbers(await events_of(feed)) == list(range(1, 102))


async def test_threads_wait_for_the_same_turn_of_a_loop_that_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Feed, "patience", 0.05)
    feed = Feed(4)
    recorder = Recorder("run", [feed])
    tell(recorder, 2)
    threads = [threading.Thread(target=tell, args=(recorder, 10)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()  # the loop is blocked all the while
    recorder.emit("run_completed")
    assert numbers(await events_of(feed)) == list(range(1, 34))


async def test_tasks_that_give_way_at_the_same_time_take_the_same_turn() -> None:
    feed = Feed(4)
    recorder = Recorder("run", [feed])
    tell(recorder, 2)
    await asyncio.gather(*(recorder.give_way() for _ in range(3)))
    assert not recorder.crowded
    assert numbers([await anext(feed), await anext(feed)]) == [1, 2]


async def feed_without_loop() -> Feed:
    """A feed whose reader still waits though its loop is no more."""

    async def make() -> Feed:
        return Feed(2)

    feed = await asyncio.to_thread(asyncio.run, make())
    feed._sleeper = asyncio.Future(loop=feed._loop)
    return feed


async def test_a_readers_loop_may_be_gone() -> None:
    feed = await feed_without_loop()
    recorder = Recorder("run", [feed])
    tell(recorder, 2)
    assert recorder.crowded
    await recorder.give_way()
    assert not recorder.crowded
    feed = await feed_without_loop()
    recorder = Recorder("run", [feed])
    await asyncio.to_thread(tell, recorder, 2)
    assert not recorder.crowded


async def test_a_runs_loop_may_be_gone_when_its_reader_had_its_turn() -> None:
    with contextlib.closing(asyncio.new_event_loop()) as loop:
        passed = loop.create_future()
    feeds._settle_on(loop, passed)
    assert not passed.done()


async def test_a_run_that_is_read_is_cancelled_with_its_reader() -> None:
    feed = Feed()

    async with reading(feed, asyncio.sleep(60)) as task:
        await asyncio.sleep(0)
    assert task.cancelled()


async def test_a_failure_of_the_step_is_raised_by_the_stream() -> None:
    @step
    def fail() -> int:
        raise ValueError("secret")

    with pytest.raises(StepFailedError) as caught:
        await events_of(pipeline(name="failing")(lambda: fail()).stream())
    assert isinstance(caught.value, RunError)
    assert "secret" not in str(caught.value)
