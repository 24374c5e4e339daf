"""Runs that leave what they have done to a later attempt: what is kept, what is not done again, and what is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from pipemount import Retry, StepContext, get_step_context, pipeline, step
from pipemount import compile as compile_pipeline
from pipemount.adapters.native import NativePipeline
from pipemount.errors import RunSuspendedError, StepFailedError
from pipemount.runtime.call import Call
from pipemount.runtime.checkpoints import UnderWay
from pipemount.runtime.events import Event
from pipemount.runtime.recorder import Recorder
from pipemount.runtime.threads import ThreadPool
from pipemount.runtime.written import Form


class Kept(dict[str, bytes]):
    """Checkpoints in a dict, the work of every attempt.

    Attributes:
        dies_after: So many values are kept; what comes then is not, and the attempt ends.
        untold, told: Events of steps whose values are perhaps not kept yet, and the others.
        dead: Whether that has happened.
    """

    def __init__(self) -> None:
        super().__init__()
        self.noted: dict[str, bytes] = {}
        self.untold: list[Event] = []
        self.told: list[Event] = []
        self.dies_after: float = float("inf")
        self.dead = asyncio.Event()
        self.under_way = UnderWay()

    def found(self, key: str) -> bytes | None:
        return self.get(key)

    def note(self, key: str, value: bytes) -> None:
        self.noted[key] = value

    async def settle(self) -> None:
        await asyncio.sleep(0)
        for key in list(self.noted):
            if self.dies_after <= 0:
                self.dead.set()
                await asyncio.Event().wait()
            self.dies_after -= 1
            self[key] = self.noted.pop(key)
        self.told += self.untold
        self.untold.clear()

    async def run(self, run: Awaitable[Any]) -> Any:
        """As the runner of jobs does: what steps have given is kept before anybody reads that they have ended."""
        found: Any
        [found] = await asyncio.gather(run, return_exceptions=True)
        if not isinstance(found, asyncio.CancelledError):
            await self.settle()
        if isinstance(found, BaseException):
            raise found
        return found


async def killed(run: Awaitable[Any], dead: asyncio.Event) -> Any:
    """What came of ``run``; it is cancelled as soon as it is dead."""
    task, watch = asyncio.ensure_future(run), asyncio.create_task(dead.wait())
    await asyncio.wait([task, watch], return_when=asyncio.FIRST_COMPLETED)
    watch.cancel()
    if dead.is_set():
        task.cancel()
    return (await asyncio.gather(task, return_exceptions=True))[0]


async def attempt(thing: Any, kept: Kept, /, **inputs: Any) -> tuple[Any, list[Event]]:
    """One attempt: its outputs, or what it raised, and its events."""
    compiled = compile_pipeline(thing)
    assert isinstance(compiled, NativePipeline)
    threads = ThreadPool(4)
    call = Call(compiled.input.validate(inputs), "run-1")
    call.checkpoints = kept
    kept.noted, kept.dead, kept.under_way = {}, asyncio.Event(), UnderWay()
    kept.told, kept.untold = [], []
    try:
        state = await compiled.start({"threads": threads})
        try:
            run = compiled.run_sealed(call, dict, Recorder("run-1", [kept.untold.append]))
            return await killed(kept.run(run), kept.dead), kept.told
        finally:
            await compiled.stop(state)
    finally:
        threads.close()


def ended(events: list[Event]) -> list[tuple[str | None, bool]]:
    """The steps that ended, and whether that was in an earlier attempt."""
    return [(e.step, e.data.get("recovered", False)) for e in events if e.kind == "step_completed"]


CALLS: list[str] = []


@pytest.fixture(autouse=True)
def fresh() -> None:
    CALLS.clear()


@step
async def load(count: int) -> list[int]:
    CALLS.append("load")
    return list(range(count))


@step
def double(value: int) -> int:
    CALLS.append(f"double {value}")
    return value * 2


@step(thread=False)
def total(values: list[int]) -> int:
    CALLS.append("total")
    return sum(values)


@step
def both(value: int) -> tuple[int, str]:
    CALLS.append(f"both {value}")
    return value, str(value)


@pipeline
def inner(value: int) -> Any:
    return double(double(value, id="once"), id="twice")


# --------------------------------------------------------------------------------- what is not done again


@pipeline
def mapping(count: int) -> Any:
    return total(double.map(load(count)))


async def test_of_a_map_each_item_is_kept_by_itself() -> None:
    kept = Kept()
    kept.dies_after = 3
    assert isinstance((await attempt(mapping, kept, count=4))[0], asyncio.CancelledError)
    done = set(kept)
    assert len(done) == 3 and "load" in done
    CALLS.clear()
    kept.dies_after = float("inf")
    outputs, events = await attempt(mapping, kept, count=4)
    assert outputs == {"output": 12}
    assert set(kept) == {"load", "double[0]", "double[1]", "double[2]", "double[3]", "total"}
    assert {name for name, recovered in ended(events) if recovered} == done
    assert len(CALLS) == 2 + 1, "what was left of the map, and what comes after it"
    CALLS.clear()
    assert (await attempt(mapping, kept, count=4))[0] == {"output": 12}
    assert CALLS == []


@pipeline
def mapping_a_set(values: set[int]) -> Any:
    return double.map(values)


@pipeline(dynamic=True)
async def mapping_a_set_in_a_body(values: set[int]) -> Any:
    return await double.map(values)


@pytest.mark.parametrize("thing", [mapping_a_set, mapping_a_set_in_a_body])
async def test_the_items_of_a_set_are_the_same_in_every_process(thing: Any) -> None:
    one, other = {8, 0}, {0, 8}
    assert list(one) != list(other), "sets have no order; those of texts have another one in each process"
    kept = Kept()
    kept.dies_after = 1
    assert isinstance((await attempt(thing, kept, values=one))[0], asyncio.CancelledError)
    assert len(kept) == 1, "either of them, whichever ended first"
    kept.dies_after = float("inf")
    assert (await attempt(thing, kept, values=other))[0] == {"output": [0, 16]}


@pipeline
def mapping_pipelines(values: list[int]) -> Any:
    return inner.map(values)


async def test_steps_of_a_mapped_pipeline_are_kept_under_their_whole_names() -> None:
    kept = Kept()
    assert (await attempt(mapping_pipelines, kept, values=[1, 2]))[0] == {"output": [4, 8]}
    assert set(kept) == {"inner[0]/once", "inner[0]/twice", "inner[1]/once", "inner[1]/twice"}
    CALLS.clear()
    del kept["inner[1]/twice"]
    assert (await attempt(mapping_pipelines, kept, values=[1, 2]))[0] == {"output": [4, 8]}
    assert CALLS == ["double 4"]


@pipeline
def straight(value: int) -> Any:
    number, text = both(double(value))
    return {"number": double(number, id="last"), "text": text, "inlined": inner(value)}


@pytest.mark.parametrize("thing", [straight])
async def test_a_pipeline_that_dies_after_each_of_its_steps_runs_each_once(thing: Any) -> None:
    kept = Kept()
    found: Any = asyncio.CancelledError()
    while isinstance(found, asyncio.CancelledError):
        kept.dies_after = 1
        found, events = await attempt(thing, kept, value=3)
    assert found == {"number": 12, "text": "6", "inlined": 12}
    assert [recovered for _, recovered in ended(events)].count(False) == 1
    assert set(kept) == {"double", "both", "last", "inner/once", "inner/twice"}


async def test_a_pipeline_of_twenty_steps_that_dies_after_each_runs_each_once() -> None:
    ran: list[int] = []

    @step
    def add(value: int, number: int) -> int:
        ran.append(number)
        return value + number

    @pipeline
    def long(value: int) -> Any:
        for number in range(20):
            value = add(value, number)
        return value

    kept = Kept()
    for number in range(20):
        kept.dies_after = 1
        found, events = await attempt(long, kept, value=1)
        assert [recovered for _, recovered in ended(events)] == [True] * number + [False]
        assert isinstance(found, asyncio.CancelledError) == (number < 19)
        del ran[number + 1 :]  # it had begun, and did not end
    assert (await attempt(long, kept, value=1))[0] == {"output": 191}
    assert ran == list(range(20))


async def test_an_ended_step_is_told_only_once_it_is_kept() -> None:
    kept = Kept()
    kept.dies_after = 0
    found, events = await attempt(straight, kept, value=3)
    assert isinstance(found, asyncio.CancelledError)
    assert ended(events) == []


ANSWERS: list[bool] = []


@step
async def draw() -> int:
    return 3


@step
async def high(value: int) -> Literal["high"]:
    return "high"


@step
async def low(value: int) -> Literal["low"]:
    return "low"


class Moody(int):
    """Compares as the day has it."""

    def __gt__(self, other: object) -> bool:
        return ANSWERS.pop()


@step
async def moody(value: int) -> Any:
    return Moody(value)


@pipeline
def deciding(value: int) -> Any:
    found: Any = moody(draw())
    return high(found) if found > 1 else low(found)


async def test_a_decision_is_made_once() -> None:
    kept = Kept()
    ANSWERS[:] = [False, True]
    outputs, _ = await attempt(deciding, kept, value=1)
    assert outputs == {"output": "high"}
    del kept["high"]
    outputs, events = await attempt(deciding, kept, value=1)
    assert outputs == {"output": "high"}
    assert ANSWERS == [False], "nobody asked again"
    [branch] = [event for event in events if event.kind == "branch"]
    assert (branch.data["answer"], branch.data["recovered"]) == (True, True)


async def test_a_decision_is_kept_before_what_follows_from_it_begins() -> None:
    kept = Kept()
    kept.dies_after = 1  # what was drawn; moody's value cannot be written
    ANSWERS[:] = [True]
    assert isinstance((await attempt(deciding, kept, value=1))[0], asyncio.CancelledError)
    assert set(kept) == {"draw"}
    assert "high" not in CALLS


# ------------------------------------------------------------------------------------------ dynamic bodies


@pipeline(dynamic=True)
async def body(count: int) -> int:
    values = await load(count)
    doubled = await double.map(values)
    first = inner.submit(doubled[1])
    found: int = await total(doubled) + await first
    return found


async def test_a_body_runs_again_and_what_it_calls_does_not() -> None:
    kept = Kept()
    kept.dies_after = 4
    assert isinstance((await attempt(body, kept, count=3))[0], asyncio.CancelledError)
    kept.dies_after = float("inf")
    assert (await attempt(body, kept, count=3))[0] == {"output": 14}
    assert set(kept) == {"load", "double[0]", "double[1]", "double[2]", "inner/once", "inner/twice", "total"}
    assert CALLS.count("load") == 1
    CALLS.clear()
    assert (await attempt(body, kept, count=3))[0] == {"output": 14}
    assert CALLS == []


# ------------------------------------------------------------------------------------- hooks and retries


async def test_what_is_recovered_calls_no_hook_and_is_no_attempt() -> None:
    called: list[str] = []

    @step(on_start=lambda: called.append("start"), on_success=lambda value: called.append(f"success {value}"))
    async def hooked(value: int) -> int:
        return value

    @pipeline
    def one(value: int) -> Any:
        return hooked(value)

    kept = Kept()
    await attempt(one, kept, value=1)
    _, events = await attempt(one, kept, value=1)
    assert called == ["start", "success 1"]
    assert [(event.kind, event.step, event.attempt) for event in events] == [("step_completed", "hooked", None)]
    assert events[0].data == {"duration": 0.0, "recovered": True}


async def test_what_failed_is_not_kept() -> None:
    times: list[int] = []

    @step(retry=Retry(attempts=2))
    def flaky(value: int) -> int:
        times.append(value)
        if len(times) < 4:
            raise ConnectionError
        return value

    @pipeline
    def one(value: int) -> Any:
        return flaky(double(value))

    kept = Kept()
    assert isinstance((await attempt(one, kept, value=1))[0], StepFailedError)
    assert set(kept) == {"double"}
    assert (await attempt(one, kept, value=1))[0] == {"output": 2}
    assert CALLS == ["double 1"]


async def test_an_effect_has_a_key_that_is_the_same_in_every_attempt() -> None:
    seen: list[str] = []

    @step(retry=Retry(attempts=2))
    def pay(amount: int) -> int:
        seen.append(get_step_context().idempotency_key)
        if len(seen) % 2:
            raise ConnectionError
        return amount

    @pipeline
    def paying(amounts: list[int]) -> Any:
        return pay.map(amounts, max_concurrency=1)

    await attempt(paying, Kept(), amounts=[5, 6])
    assert seen == ["run-1/pay[0]"] * 2 + ["run-1/pay[1]"] * 2
    result = await paying.run(amounts=[5])
    assert seen[-1] == f"{result.run_id}/pay[0]", "without a job as well"


# -------------------------------------------------------------------------------------------- what is kept


class Colour(Enum):
    RED = "red"


class Point(BaseModel):
    x: float
    more: Any = None


@dataclass
class Plain:
    name: str
    tags: tuple[str, ...] = ()


class Unknown:
    """What neither JSON nor a codec can say."""


def form(annotation: Any) -> Form:
    from pipemount.pipelines.specs import OutputField

    return Form((OutputField("output", annotation),))


NAN = float("nan")


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Any, {"a": [1, 2.5, None, True, "é"]}),
        (int, 10**30),
        (float, float("inf")),
        (bytes, b"\x00\xff"),
        (Any, b"\x00\xff"),
        (dict[str, bytes], {"a": b"\xff"}),
        (tuple[int, ...], (1, 2)),
        (set[str], {"b", "a"}),
        (date, date(2026, 11, 21)),
        (Decimal, Decimal("1.10")),
        (Colour, Colour.RED),
        (Point, Point(x=1.5, more=[1])),
        (list[Point] | None, [Point(x=1)]),
        (Plain, Plain("a", ("b",))),
        (dict[int, Plain], {1: Plain("a")}),
        (None, None),
    ],
)
def test_values_come_back_as_they_were(annotation: Any, value: Any) -> None:
    written = form(annotation).write(value)
    assert written is not None
    again = form(annotation).read(written)
    assert (type(again), again) == (type(value), value)


def test_not_a_number_comes_back() -> None:
    written = form(list[float]).write([NAN])
    assert written is not None
    assert form(list[float]).read(written)[0] != 0


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Any, date(2026, 11, 21)),
        (Any, (1, 2)),
        (dict[str, Any], {"at": date(2026, 11, 21)}),
        (dict[Any, Any], {1: 2}),
        (Point, Point(x=1, more=(1,))),
        (Point, Unknown()),
        (Unknown, Unknown()),
        (Any, lambda: 1),
        (str, "\ud800"),
        (list[int], ["no"]),
    ],
)
def test_what_would_come_back_as_another_is_not_written(annotation: Any, value: Any) -> None:
    assert form(annotation).write(value) is None


def test_arrays_and_tables_are_kept_by_their_codecs() -> None:
    numpy, pandas = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    array = numpy.array([[1.5, NAN], [3, 4]])
    written = form(numpy.ndarray).write(array)
    assert written is not None
    again = form(numpy.ndarray).read(written)
    assert again.dtype == array.dtype and again.tobytes() == array.tobytes()
    table = pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    written = form(pandas.DataFrame).write(table)
    assert written is not None
    assert form(pandas.DataFrame).read(written).equals(table)
    odd = pandas.DataFrame({"a": [1, 2]}, index=["u", "v"])
    assert form(pandas.DataFrame).write(odd) is None or form(pandas.DataFrame).read(
        form(pandas.DataFrame).write(odd)  # type: ignore[arg-type]  # as the line before has found
    ).equals(odd)


async def test_a_step_whose_value_cannot_be_written_runs_again_and_that_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @step
    def opened(name: str) -> Unknown:
        CALLS.append("opened")
        return Unknown()

    @step
    def named(thing: Unknown) -> str:
        CALLS.append("named")
        return type(thing).__name__

    @pipeline
    def opening(name: str) -> Any:
        return named(opened(name))

    kept = Kept()
    with caplog.at_level(logging.WARNING, "pipemount"):
        _, events = await attempt(opening, kept, name="a")
        await attempt(opening, kept, name="a")
    assert CALLS == ["opened", "named", "opened"]
    assert [event.data.get("kept", True) for event in events if event.kind == "step_completed"] == [False, True]
    assert "what step 'opened' gave cannot be written down" in caplog.text


async def test_what_was_kept_and_fits_no_more_is_made_again(caplog: pytest.LogCaptureFixture) -> None:
    kept = Kept()
    await attempt(mapping, kept, count=2)
    kept["double[1]"] = b'"other"'
    CALLS.clear()
    assert (await attempt(mapping, kept, count=2))[0] == {"output": 2}
    assert CALLS == ["double 1"]
    assert "what step 'double[1]' has kept is no value of it any more" in caplog.text


# -------------------------------------------------------------------------------------------- questions


def asking(kind: str) -> Any:
    if kind == "async":

        @step(retry=Retry(attempts=3, on=(BaseException,)), on_failure=lambda error: CALLS.append("failure"))
        async def ask(topic: str, context: StepContext) -> str:
            CALLS.append("ask")
            try:
                return f"{topic}: {context.suspend('publish?', bool, data={'topic': topic})}"
            except Exception as error:
                raise AssertionError("a question is no failure") from error

    else:

        @step
        def ask(topic: str, context: StepContext) -> str:
            CALLS.append("ask")
            return f"{topic}: {context.suspend('publish?', bool, data={'topic': topic})}"

    @pipeline
    def publishing(count: int) -> Any:
        return ask("a", after=load(count))

    return publishing


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_a_step_asks_and_goes_on_with_the_answer(kind: str) -> None:
    kept, thing = Kept(), asking(kind)
    found, events = await attempt(thing, kept, count=1)
    assert isinstance(found, RunSuspendedError)
    assert found.question == {
        "key": "ask?1",
        "step": "ask",
        "reason": "publish?",
        "schema": {"type": "boolean"},
        "data": {"topic": "a"},
    }
    assert [(event.kind, event.step) for event in events][-2:] == [("step_started", "ask"), ("suspended", "ask")]
    assert events[-1].data == found.question
    kept["ask?1"] = b"true"
    outputs, _ = await attempt(thing, kept, count=1)
    assert outputs == {"output": "a: True"}
    assert CALLS == ["load", "ask", "ask"]


async def test_an_answer_that_does_not_fit_is_asked_for_again() -> None:
    kept = Kept()
    kept["ask?1"] = b'"perhaps"'
    found, _ = await attempt(asking("async"), kept, count=1)
    assert isinstance(found, RunSuspendedError) and found.question is not None
    assert found.question["faults"][0]["type"] == "bool_parsing"


async def test_a_step_may_ask_more_than_once() -> None:
    @step
    async def twice(context: StepContext) -> list[int]:
        return [context.suspend("first", int), context.suspend("second", int)]

    @pipeline
    def asks() -> Any:
        return twice()

    kept = Kept()
    for number in (1, 2):
        found, _ = await attempt(asks, kept)
        assert isinstance(found, RunSuspendedError) and found.question is not None
        kept[found.question["key"]] = b"%d" % number
    assert (await attempt(asks, kept))[0] == {"output": [1, 2]}


async def test_bodies_and_the_items_of_maps_ask() -> None:
    @step
    def review(page: int) -> bool:
        answer: bool = get_step_context().suspend(f"page {page}?", bool)
        return answer

    @pipeline(dynamic=True)
    async def book(pages: int, context: StepContext) -> list[bool]:
        try:
            found = await review.map(list(range(pages)), max_concurrency=1)
        except Exception as error:
            raise AssertionError("a question is no failure") from error
        return [*found, context.suspend("print it?", bool)]

    kept, asked = Kept(), list[str]()
    while isinstance((found := (await attempt(book, kept, pages=2))[0]), RunSuspendedError):
        assert found.question is not None
        asked.append(found.question["reason"])
        kept[found.question["key"]] = b"true"
    assert asked == ["page 0?", "page 1?", "print it?"]
    assert found == {"output": [True, True, True]}
    assert set(kept) == {"review[0]?1", "review[0]", "review[1]?1", "review[1]", "?1"}


async def test_what_has_begun_ends_before_the_run_is_suspended_and_nothing_else_begins() -> None:
    begun, asked = asyncio.Event(), asyncio.Event()

    @step
    async def ask(context: StepContext) -> bool:
        await begun.wait()
        asked.set()
        answer: bool = context.suspend("so?", bool)
        return answer

    @step
    async def slow(value: int) -> int:
        CALLS.append("slow")
        begun.set()
        await asked.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        return value

    @pipeline
    def beside(value: int) -> Any:
        return ask(), double(slow(value))

    kept = Kept()
    assert isinstance((await attempt(beside, kept, value=1))[0], RunSuspendedError)
    assert (CALLS, set(kept)) == (["slow"], {"slow"})
    kept["ask?1"] = b"true"
    assert (await attempt(beside, kept, value=1))[0] == {"ask.output": True, "double.output": 2}
    assert CALLS == ["slow", "double 1"]


async def test_items_that_ask_at_the_same_time_are_answered_one_by_one() -> None:
    @step
    def review(page: int) -> bool:
        answer: bool = get_step_context().suspend(f"page {page}?", bool)
        return answer

    @pipeline
    def reviewing(pages: list[int]) -> Any:
        return review.map(pages)

    kept, asked = Kept(), set[str]()
    while isinstance((found := (await attempt(reviewing, kept, pages=[1, 2, 3]))[0]), RunSuspendedError):
        assert found.question is not None
        asked.add(found.question["reason"])
        kept[found.question["key"]] = b"true"
    assert (found, asked) == ({"output": [True] * 3}, {"page 1?", "page 2?", "page 3?"})


async def test_a_body_that_awaits_another_call_is_suspended_too() -> None:
    @step
    async def ask(context: StepContext) -> int:
        return context.suspend("how many?", int)

    @pipeline(dynamic=True)
    async def asks(value: int) -> int:
        asking = ask.submit()
        await asyncio.sleep(0.01)
        found: int = await double(value) + await asking
        return found

    kept = Kept()
    found, _ = await asyncio.wait_for(attempt(asks, kept, value=2), 10)
    assert isinstance(found, RunSuspendedError) and found.question is not None
    assert (found.question["reason"], CALLS) == ("how many?", [])
    kept["ask?1"] = b"3"
    assert (await attempt(asks, kept, value=2))[0] == {"output": 7}


async def test_a_failure_beside_a_question_is_a_failure() -> None:
    begun, asked = asyncio.Event(), asyncio.Event()

    @step
    async def ask(context: StepContext) -> bool:
        await begun.wait()
        asked.set()
        answer: bool = context.suspend("so?", bool)
        return answer

    @step
    async def fails() -> int:
        begun.set()
        await asked.wait()
        await asyncio.sleep(0)
        raise ConnectionError

    @pipeline
    def beside() -> Any:
        return ask(), fails()

    assert isinstance((await attempt(beside, Kept()))[0], StepFailedError)


async def test_a_run_that_nobody_can_resume_fails_when_it_asks() -> None:
    thing = asking("async")
    with pytest.raises(RunSuspendedError) as caught:
        await thing.run(count=1)
    assert caught.value.question is None
    assert caught.value.interrupts[0]["id"] == "ask?1"
    assert caught.value.step == "ask"
    assert CALLS == ["load", "ask", "failure"]
