"""Every event: its place, its data, the one that ends a run, and none where nobody listens."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, get_args

import pytest
from tests.test_service import Foreign

from pipemount import PipelineError, Retry, Settings, StepContext, StepLogHandler, get_step_context, pipeline, step
from pipemount import compile as compile_pipeline
from pipemount.adapters.protocol import Result
from pipemount.errors import DeadlineExceededError, RunCancelledError, RunError
from pipemount.inprocess import run_compiled, stream_compiled
from pipemount.runtime import events as event_module
from pipemount.runtime import recorder as recorder_module
from pipemount.runtime.admission import Admission
from pipemount.runtime.call import Call
from pipemount.runtime.events import OF_RUNS, PASSING, TERMINAL, Event, EventKind
from pipemount.runtime.recorder import Recorder
from pipemount.runtime.threads import ThreadPool
from pipemount.service import Service


async def told_by(thing: Any, inputs: Mapping[str, Any] | None = None, **options: Any) -> list[Event]:
    """The events of a run, however it ends."""
    events: list[Event] = []
    with contextlib.suppress(RunError):
        await run_compiled(compile_pipeline(thing), inputs or {}, listener=events.append, **options)
    check(events)
    return events


def check(events: list[Event]) -> None:
    """What holds of every run."""
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert [event.time for event in events] == sorted(event.time for event in events)
    assert len({event.run_id for event in events}) == 1
    assert [event.kind in TERMINAL for event in events] == [False] * (len(events) - 1) + [True]
    assert events[0].kind == "run_started"


def said(events: list[Event]) -> list[tuple[Any, ...]]:
    """What steps said of their own accord."""
    return [(e.kind, e.step, e.attempt, dict(e.data)) for e in events if e.kind in PASSING]


# -------------------------------------------------------------------------------- what steps tell


def speak(context: StepContext) -> None:
    context.emit({"rows": 3})
    context.log("plain")
    context.log("%d of %s", 1, "many", level="WARNING")
    context.log("100 %", level=logging.ERROR)
    context.progress(1)
    context.progress(0.5, 2, "half")


@step
def in_thread(context: StepContext) -> int:
    speak(context)
    return 1


@step(thread=False)
def on_loop(context: StepContext) -> int:
    speak(context)
    return 1


@step
async def as_task(context: StepContext) -> int:
    speak(context)
    return 1


@step
def thread_generator(context: StepContext) -> Iterator[str]:
    speak(context)
    yield "a"
    yield "b"


@step(thread=False)
def loop_generator(context: StepContext) -> Iterator[str]:
    speak(context)
    yield "a"
    yield "b"


@step
async def async_generator(context: StepContext) -> AsyncIterator[str]:
    speak(context)
    yield "a"
    yield "b"


SPEAKERS = [in_thread, on_loop, as_task, thread_generator, loop_generator, async_generator]


@pytest.mark.parametrize("speaker", SPEAKERS, ids=lambda speaker: speaker.name)
async def test_each_kind_of_step_can_say_each_kind_of_thing(speaker: Any) -> None:
    deltas = [("delta", speaker.name, 1, {"value": text}) for text in "ab"] if "generator" in speaker.name else []
    assert said(await told_by(speaker)) == [
        ("data", speaker.name, 1, {"value": {"rows": 3}}),
        ("log", speaker.name, 1, {"level": "info", "message": "plain"}),
        ("log", speaker.name, 1, {"level": "warning", "message": "1 of many"}),
        ("log", speaker.name, 1, {"level": "error", "message": "100 %"}),
        ("progress", speaker.name, 1, {"done": 1}),
        ("progress", speaker.name, 1, {"done": 0.5, "total": 2, "message": "half"}),
        *deltas,
    ]


@pytest.mark.parametrize("speaker", SPEAKERS, ids=lambda speaker: speaker.name)
async def test_a_step_tells_between_its_start_and_its_end(speaker: Any) -> None:
    kinds = [event.kind for event in await told_by(speaker)]
    assert kinds[:2] == ["run_started", "step_started"]
    assert set(kinds[2:-2]) <= PASSING
    assert kinds[-2:] == ["step_completed", "run_completed"]


async def test_attempts_are_told_apart() -> None:
    @step(retry=Retry(attempts=2, delay=0))
    def flaky(context: StepContext) -> int:
        context.emit(context.attempt)
        if context.attempt == 1:
            raise ValueError("secret")
        return 1

    found = [(e.kind, e.attempt, dict(e.data)) for e in await told_by(flaky) if e.step]
    assert found[:4] == [
        ("step_started", 1, {}),
        ("data", 1, {"value": 1}),
        ("step_retrying", 1, {"delay": 0, "error": "ValueError"}),
        ("step_started", 2, {}),
    ]
    assert [kind for kind, *_ in found[4:]] == ["data", "step_completed"]


async def test_what_a_run_begins_and_ends_with() -> None:
    events = await told_by(in_thread)
    assert events[0].data == {"pipeline": "in_thread", "run_name": f"in_thread-{events[0].run_id}"}
    assert events[-1].data["outputs"] == {"output": 1}
    assert (events[-1].step, events[-1].attempt) == (None, None)


async def test_hooks_may_speak_too() -> None:
    def note() -> None:
        get_step_context().emit("note")

    @step(on_start=note, on_success=note)
    def work() -> int:
        return 1

    @pipeline(on_start=note, on_end=note)
    def hooked() -> Any:
        return work()

    events = await told_by(hooked)
    assert said(events) == [
        ("data", None, None, {"value": "note"}),
        ("data", "work", 1, {"value": "note"}),
        ("data", "work", 1, {"value": "note"}),
        ("data", None, None, {"value": "note"}),
    ]


async def test_times_never_go_back(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 5.0, 11.0])
    monkeypatch.setattr(recorder_module, "time", lambda: next(clock))
    events: list[Event] = []
    recorder = Recorder("run", [events.append])
    for _ in range(3):
        recorder.emit("data")
    assert [event.time for event in events] == [10.0, 10.0, 11.0]


# --------------------------------------------------------------------------------- logging's own words


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    made = logging.getLogger("tests.of.a.step")
    handler = StepLogHandler()
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    made.addHandler(handler)
    made.setLevel(logging.INFO)
    yield made
    made.removeHandler(handler)


async def test_what_a_step_logs_is_told(logger: logging.Logger) -> None:
    @step
    def work() -> int:
        logger.debug("too quiet")
        logger.warning("read %d", 3)
        return 1

    logger.warning("outside of any step")
    assert said(await told_by(work)) == [("log", "work", 1, {"level": "warning", "message": "tests.of.a.step: read 3"})]


async def test_a_line_that_nobody_hears_is_not_formatted(
    logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Loud:
        def __str__(self) -> str:
            raise AssertionError("formatted")

    @step
    def work(context: StepContext) -> bool:
        logger.warning("%s", Loud())
        context.log("%s", Loud())
        return context.heard

    monkeypatch.setattr(logger, "propagate", False)
    assert (await run_compiled(compile_pipeline(work), {})).value is False


async def test_a_line_with_a_wrong_format_does_not_fail_its_step(
    logger: logging.Logger, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @step
    def work() -> int:
        logger.warning("%d", "no number")
        return 1

    monkeypatch.setattr(logger, "propagate", False)
    assert said(await told_by(work)) == []
    assert "no number" in capsys.readouterr().err


# ------------------------------------------------------------------------------------ the end of a run


def fail() -> None:
    raise ValueError("secret")


async def fail_later() -> None:
    raise ValueError("secret")


@step
def broken() -> int:
    raise ValueError("secret")


@step
def refusing() -> int:
    raise PipelineError("closed", status=409, code="closed")


@step
async def endless(context: StepContext) -> AsyncIterator[int]:
    while True:
        yield 1
        await asyncio.sleep(0)


@step
def endless_thread(context: StepContext) -> Iterator[int]:
    while not context.cancelled:
        yield 1
    context.emit("too late")
    yield 2


@step
def unfit() -> int:
    return "text"  # type: ignore[return-value]  # on purpose


def hooked(body: Any, **hooks: Any) -> Any:
    return pipeline(name="hooked", **hooks)(lambda: body())


@pytest.mark.parametrize(
    ("thing", "kind", "code"),
    [
        (broken, "run_failed", "step-failed"),
        (refusing, "run_failed", "closed"),
        (unfit, "run_failed", "output-invalid"),
        (endless, "run_failed", "deadline-exceeded"),
        (endless_thread, "run_failed", "deadline-exceeded"),
        (hooked(in_thread, on_start=fail), "run_failed", "step-failed"),
        (hooked(in_thread, on_start=fail_later), "run_failed", "step-failed"),
        (hooked(in_thread, on_success=fail, on_end=fail_later), "run_completed", None),
        (hooked(broken, on_failure=fail, on_end=fail), "run_failed", "step-failed"),
        (hooked(endless_thread, on_failure=fail_later, on_end=fail), "run_failed", "deadline-exceeded"),
        (Foreign(Result({"y": 1})), "run_completed", None),
        (Foreign(ValueError("secret")), "run_failed", "step-failed"),
        (Foreign(), "run_failed", "run"),
        (Foreign("sleep"), "run_failed", "deadline-exceeded"),
        (Foreign(asyncio.CancelledError()), "run_failed", "step-failed"),
    ],
)
async def test_a_run_ends_with_one_event_and_says_why(
    thing: Any, kind: str, code: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    inputs = {"x": 1} if isinstance(thing, Foreign) else {}
    events = await told_by(thing, inputs, timeout=0.1)
    assert (events[-1].kind, events[-1].data.get("code")) == (kind, code)
    assert "secret" not in str([event.data for event in events])


def service_of(thing: Any) -> Service:
    return Service("served", compile_pipeline(thing), Settings(), Admission(1, 0))


async def test_a_run_whose_caller_left_is_cancelled() -> None:
    service, events = service_of(endless), []
    left = asyncio.Event()

    def note(event: Event) -> None:
        events.append(event)
        left.set()

    threads = ThreadPool(1)
    await service.start({"threads": threads})

    async def wait_until_left() -> None:
        await left.wait()

    with pytest.raises(RunCancelledError):
        await service.invoke(Call(service.compiled.input.validate({}), "run"), wait_until_left, [note])
    threads.close()
    check(events)
    assert (events[-1].kind, events[-1].data) == ("run_cancelled", {"error": "the caller left before the run ended"})


@pytest.mark.parametrize("body", [endless, endless_thread])
async def test_a_cancelled_run_says_nothing_more(body: Any) -> None:
    events: list[Event] = []
    begun = asyncio.Event()

    def note(event: Event) -> None:
        events.append(event)
        if event.kind == "delta":
            begun.set()

    run = asyncio.ensure_future(run_compiled(compile_pipeline(body), {}, listener=note))
    await begun.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    check(events)
    assert (events[-1].kind, events[-1].data) == ("run_cancelled", {"error": "the run was cancelled"})


async def test_a_step_that_outlives_its_run_is_not_heard() -> None:
    may_go, spoken = threading.Event(), threading.Event()

    @step
    def outliving(context: StepContext) -> int:
        may_go.wait(10)
        context.emit("too late")
        spoken.set()
        return 1

    events: list[Event] = []
    with pytest.raises(DeadlineExceededError):
        await run_compiled(compile_pipeline(outliving), {}, listener=events.append, timeout=0.05)
    may_go.set()
    await asyncio.to_thread(spoken.wait, 10)
    await asyncio.sleep(0)
    check(events)
    assert said(events) == []


async def test_an_attempt_that_timed_out_is_not_heard_in_the_next() -> None:
    may_go = threading.Event()

    @step(timeout=0.05, retry=Retry(attempts=2, delay=0))
    def slow(context: StepContext) -> int:
        if context.attempt == 1:
            may_go.wait(10)
            context.emit("too late")
            return 0
        may_go.set()
        return 1

    assert said(await told_by(slow)) == []


async def test_an_end_of_our_own_making_is_told_without_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def burst(*args: Any) -> Any:
        raise LookupError("secret")

    events: list[Event] = []
    service = service_of(in_thread)
    service._dump = burst
    threads = ThreadPool(1)
    await service.start({"threads": threads})
    with pytest.raises(LookupError):
        await service.invoke(Call(service.compiled.input.validate({}), "run"), listeners=[events.append])
    threads.close()
    check(events)
    assert events[-1].data == {"error": "the run raised LookupError", "code": "pipemount-error", "step": None}


# ------------------------------------------------------------------------------------------- adapters

KINDS = [kind for kind in get_args(EventKind) if kind != "missed"]


async def test_an_adapters_events_pass_but_for_those_that_are_not_its_own() -> None:
    foreign = Foreign(
        *(Event(kind, 9, "else", 0.0, "inner", 2, {1: kind}) for kind in KINDS),  # type: ignore[dict-item]
        Result({"y": 1}),
    )
    events = await told_by(foreign, {"x": 1})
    own = [kind for kind in KINDS if kind not in OF_RUNS]
    assert [event.kind for event in events[1:-1]] == own
    assert "suspended" in own
    assert {(event.step, event.attempt) for event in events[1:-1]} == {("inner", 2)}
    assert [list(event.data.values()) for event in events[1:-1]] == [[kind] for kind in own]


async def test_what_an_adapter_missed_is_missed_in_the_runs_own_numbers() -> None:
    def data(n: int) -> Event:
        return Event("data", n, "", 0.0, None, None, {"value": n})

    missed = Event("missed", 80, "", 0.0, None, None, {"first": 71, "last": 80, "kinds": {"delta": 9, "log": 1}})
    events: list[Event] = []
    await run_compiled(Foreign(data(1), missed, data(2), Result({"y": 1})), {"x": 1}, listener=events.append)
    assert [(event.kind, event.sequence) for event in events] == [
        ("run_started", 1),
        ("data", 2),
        ("missed", 12),
        ("data", 13),
        ("run_completed", 14),
    ]
    assert events[2].data == {"first": 3, "last": 12, "kinds": {"delta": 9, "log": 1}}


async def test_an_adapter_that_never_waits_lets_its_readers_read() -> None:
    foreign = Foreign(*(Event("delta", 1, "", 0.0, None, None, {"value": n}) for n in range(2000)), Result({"y": 1}))
    events = [event async for event in stream_compiled(foreign, {"x": 1})]
    check(events)
    assert len(events) == 2002


# ------------------------------------------------------------------------------------------- listeners


async def test_several_listeners_hear_the_same() -> None:
    heard: tuple[list[Event], list[Event]] = ([], [])
    service = service_of(thread_generator)
    threads = ThreadPool(1)
    await service.start({"threads": threads})
    await service.invoke(Call(service.compiled.input.validate({}), "run"), listeners=[one.append for one in heard])
    threads.close()
    check(heard[0])
    assert heard[0] == heard[1]
    assert all(one is other for one, other in zip(*heard, strict=True))


@pytest.mark.parametrize("raised", [ValueError, SystemExit, asyncio.CancelledError])
@pytest.mark.parametrize("speaker", [thread_generator, async_generator], ids=["thread", "loop"])
async def test_a_listener_that_fails_disturbs_nobody(
    speaker: Any, raised: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Event] = []
    calls: list[str] = []

    def failing(event: Event) -> None:
        calls.append(event.kind)
        raise raised

    service = service_of(speaker)
    threads = ThreadPool(1)
    await service.start({"threads": threads})
    with caplog.at_level(logging.ERROR, "pipemount"):
        await service.invoke(Call(service.compiled.input.validate({}), "run"), listeners=[failing, heard.append])
    threads.close()
    check(heard)
    assert calls == [event.kind for event in heard]
    assert len(caplog.records) == 1
    assert "raised on run_started; the run is not affected" in caplog.text


async def test_ctrl_c_in_a_listener_is_ctrl_c() -> None:
    def interrupted(event: Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Recorder("run", [interrupted]).emit("run_started")


async def test_a_listener_may_tell_something_itself() -> None:
    events: list[Event] = []

    def answering(event: Event) -> None:
        if event.kind == "run_started":
            recorder.emit("log", message="heard")
            recorder.emit("log", message="heard again")
        events.append(event)

    recorder = Recorder("run", [answering])
    recorder.emit("run_started")
    assert [(event.sequence, event.kind) for event in events] == [(1, "run_started"), (2, "log"), (3, "log")]


async def test_what_is_told_while_an_event_is_made_comes_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[Event] = []

    def make(*args: Any) -> Event:  # as where a collection of garbage meets an object that says something when it goes
        if args[0] == "data":
            recorder.emit("log")
        return Event(*args)

    monkeypatch.setattr(recorder_module, "Event", make)
    recorder = Recorder("run", [events.append])
    recorder.emit("data")
    assert [(event.sequence, event.kind) for event in events] == [(1, "data"), (2, "log")]


async def test_a_thread_whose_home_loop_is_gone_may_speak_in_vain() -> None:
    events: list[Event] = []

    async def make() -> Recorder:
        return Recorder("run", [events.append])

    recorder = await asyncio.to_thread(asyncio.run, make())
    recorder._thread = 0  # the thread that ran the loop may be this one's
    recorder._handovers[0]._thread = 0
    await asyncio.to_thread(recorder.emit, "data")
    assert events == []


# -------------------------------------------------------------------------------------- nobody listens


@pytest.mark.parametrize("thing", [*SPEAKERS, hooked(thread_generator, on_start=lambda: None)])
async def test_a_run_that_nobody_listens_to_makes_no_event(thing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def poisoned(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("an event was made")

    compiled = compile_pipeline(thing)
    monkeypatch.setattr(Event, "__init__", poisoned)
    monkeypatch.setattr(Recorder, "__init__", poisoned)
    with pytest.raises(AssertionError, match="was made"):
        event_module.Event("data", 1, "run", 0.0)
    assert (await run_compiled(compiled, {})).run_id


async def test_listening_makes_one_event_for_all_listeners(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Event] = []

    def counted(*args: Any) -> Event:
        made.append(Event(*args))
        return made[-1]

    monkeypatch.setattr(recorder_module, "Event", counted)
    heard: list[Event] = []
    recorder = Recorder("run", [heard.append, lambda event: None])
    recorder.emit("data")
    assert made == heard
