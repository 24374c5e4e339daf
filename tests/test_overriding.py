"""Other functions in the places of steps, another state: what a test puts in place while it lasts."""

from __future__ import annotations

import asyncio
import threading
import types
from collections.abc import AsyncGenerator, Generator, Mapping
from typing import Annotated, Any, Literal
from unittest.mock import AsyncMock, Mock

import pytest
from pydantic import BaseModel
from tests.support.asgi import post
from tests.test_service import Direct

from pipemount import PipelineApp, PipelineError, Retry, Static, StepContext, pipeline, step
from pipemount.errors import ConfigurationError, InvalidOutputsError, StepFailedError, UnknownStepError


class Report(BaseModel):
    city: str
    celsius: float = 0.0


CALLS: list[str] = []


def make_state() -> str:
    CALLS.append("init")
    return "own"


@step
def measure(city: str, unit: str = "C") -> float:
    return 21.5


@step
async def describe(city: str, celsius: float) -> str:
    return f"{celsius} in {city}"


@pipeline(on_init=make_state, on_cleanup=lambda: CALLS.append("cleanup"))
def weather(city: str) -> Any:
    return describe(city, measure(city))


@step
def tell_state(context: StepContext) -> str:
    return str(context.pipeline_state)


@pipeline(on_init=make_state, on_cleanup=lambda: CALLS.append("cleanup"))
def state() -> Any:
    return tell_state()


@pytest.fixture(autouse=True)
def calls() -> list[str]:
    CALLS.clear()
    return CALLS


async def asked(app: PipelineApp, name: str | None = None, /, **inputs: Any) -> Any:
    return (await app.run(name, **inputs)).value


# ------------------------------------------------------------------------------------------ functions


async def test_a_function_takes_the_place_of_a_step_while_the_block_lasts() -> None:
    app = PipelineApp(weather)
    async with app.lifespan(None):
        with app.override(measure=lambda city: 3.0):
            assert await asked(app, city="Oslo") == "3.0 in Oslo"
        assert await asked(app, city="Oslo") == "21.5 in Oslo"


async def test_it_may_be_in_place_before_the_app_starts_and_stay_when_it_starts_anew() -> None:
    app = PipelineApp(weather)
    with app.override(measure=lambda city: 3.0):
        for _ in range(2):
            async with app.lifespan(None):
                assert await asked(app, city="Oslo") == "3.0 in Oslo"
    async with app.lifespan(None):
        assert await asked(app, city="Oslo") == "21.5 in Oslo"


async def test_it_holds_for_requests_and_events() -> None:
    app = PipelineApp(weather)
    request = {"parameters": {"city": "Oslo"}}
    async with app.lifespan(None):
        with app.override(measure=lambda city: 3.0):
            answer = await post(app, "/invoke", request)
            events = [event async for event in app.stream(city="Oslo")]
    assert answer.json()["outputs"] == {"output": "3.0 in Oslo"}
    assert [event.step for event in events if event.kind == "step_completed"] == ["measure", "describe"]


async def test_they_nest_and_the_inner_one_counts() -> None:
    app = PipelineApp(weather)
    outer, inner = app.override(measure=lambda city: 1.0), app.override({measure: lambda city: 2.0})
    async with app.lifespan(None):
        with outer:
            with inner, app.override(describe=lambda city, celsius: f"{celsius}!"):
                assert await asked(app, city="Oslo") == "2.0!"
            assert await asked(app, city="Oslo") == "1.0 in Oslo"
            with inner:
                assert await asked(app, city="Oslo") == "2.0 in Oslo"
        assert await asked(app, city="Oslo") == "21.5 in Oslo"


async def test_one_may_be_entered_within_itself() -> None:
    @step
    def tell() -> str:
        return "own"

    app = PipelineApp(tell)
    override = app.override(tell=lambda: "fake")
    told = []
    async with app.lifespan(None):
        with override:
            with override:
                told.append((await app.run()).value)
            told.append((await app.run()).value)
        told.append((await app.run()).value)

    assert told == ["fake", "fake", "own"]


async def test_a_run_keeps_what_it_began_with() -> None:
    running, go_on = asyncio.Event(), asyncio.Event()

    @step
    async def first() -> int:
        running.set()
        await go_on.wait()
        return 1

    @step
    async def second(number: int) -> str:
        return f"own {number}"

    @pipeline
    def both() -> Any:
        return second(first())

    async def fake(number: int) -> str:
        return f"fake {number}"

    app = PipelineApp(both)
    async with app.lifespan(None):
        before = asyncio.create_task(app.run())
        await running.wait()
        with app.override(second=fake):
            go_on.set()
            assert (await before).value == "own 1"
            running.clear()
            go_on.clear()
            within = asyncio.create_task(app.run())
            await running.wait()
        go_on.set()
        assert (await within).value == "fake 1"


async def fake_async(city: str, celsius: float) -> str:
    return "async"


def fake_generator(city: str, celsius: float) -> Generator[str, None, str]:
    yield "half"
    return "generated"


def fake_with_context(city: str, celsius: float, told: StepContext) -> str:
    return told.step_name


class Callable_:  # noqa: N801 - an object that can be called
    def __call__(self, **anything: Any) -> str:
        return "object"


@pytest.mark.parametrize(
    ("fake", "value"),
    [
        (lambda city, celsius: "plain", "plain"),
        (lambda **anything: "any", "any"),
        (fake_async, "async"),
        (fake_generator, "generated"),
        (fake_with_context, "describe"),
        (Callable_(), "object"),
        (Mock(return_value="mock"), "mock"),
        (AsyncMock(return_value="async mock"), "async mock"),
        (Mock(spec=fake_with_context, return_value="alike"), "alike"),
        (step(lambda city, celsius: "step"), "step"),
        ("{} in {}".format, None),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
async def test_whatever_can_be_called_can_stand_in(fake: Any, value: str | None) -> None:
    app = PipelineApp(weather)
    async with app.lifespan(None):
        with app.override(describe=fake):
            if value is None:
                with pytest.raises(StepFailedError):
                    await asked(app, city="Oslo")
            else:
                assert await asked(app, city="Oslo") == value


async def test_the_step_keeps_its_retries_its_hooks_and_its_public_errors() -> None:
    seen: list[str] = []
    fake = Mock(side_effect=[OSError, OSError, "at last"])

    @step(retry=Retry(attempts=3, on=(OSError,)), on_success=seen.append)
    def fetch() -> str:
        raise AssertionError

    app = PipelineApp({"fetch": fetch})
    async with app.lifespan(None):
        with app.override(fetch=fake):
            assert await asked(app) == "at last"

    assert (fake.call_count, seen) == (3, ["at last"])


async def test_what_it_returns_is_validated_as_what_the_step_promises() -> None:
    @step
    def report(city: str) -> Report:
        return Report(city=city)

    @step
    def split(report: Report) -> tuple[Annotated[str, "name"], Annotated[float, "celsius"]]:
        return report.city, report.celsius

    @step
    def anything(name: str) -> Any:
        return name

    @pipeline
    def reported(city: str) -> Any:
        name, celsius = split(report(city))
        return anything(name), celsius

    app = PipelineApp(reported)
    async with app.lifespan(None):
        with app.override(report=lambda city: {"city": "Rome", "celsius": 2}):
            assert await asked(app, city="Oslo") == ("Rome", 2.0)
        wrong: list[tuple[dict[str, Any], str]] = [
            ({"report": lambda city: {"celsius": 2}}, r"stands in for step 'report'.*does not promise: Field required"),
            ({"split": lambda report: ("x", "y")}, "should be a valid number"),
            ({"split": lambda report: "x"}, "declares 2 outputs"),
        ]
        for fake, message in wrong:
            with app.override(**fake), pytest.raises(InvalidOutputsError, match=message):
                await asked(app, city="Oslo")
        with app.override(split=lambda report: ("x", 1), anything=lambda name: [name]):
            assert await asked(app, city="Oslo") == (["x"], 1.0)


async def test_steps_that_collect_what_they_yield() -> None:
    @step
    async def count(to: int) -> AsyncGenerator[int, None]:
        for number in range(to):
            yield number

    @step
    def letters(to: int) -> Generator[str, None, None]:
        yield from "abc"[:to]

    @pipeline
    def counted(to: int) -> Any:
        return count(to), letters(to)

    async def downwards(to: int) -> AsyncGenerator[int, None]:
        yield to

    def upper(to: int) -> Generator[str, None, None]:
        yield "A"

    app = PipelineApp(counted)
    async with app.lifespan(None):
        with app.override(count=downwards, letters=upper):
            assert await asked(app, to=2) == ([2], ["A"])
        with app.override(count=lambda to: [7, 8], letters=lambda to: ["z"]):
            assert await asked(app, to=2) == ([7, 8], ["z"])


# ------------------------------------------------------------------------------------- which step


@step
def inner_step(n: int) -> int:
    return n + 1


@pipeline
def inner(n: int) -> Any:
    return inner_step(n)


async def test_a_name_stands_for_all_calls_an_id_for_one() -> None:
    @pipeline
    def outer(n: int) -> Any:
        return {"a": inner_step(n), "b": inner_step(n), "c": inner(n), "d": inner_step(n, id="mine")}

    app = PipelineApp(outer)
    async with app.lifespan(None):
        with app.override(inner_step=lambda n: 0):
            assert await asked(app, n=1) == {"a": 0, "b": 0, "c": 0, "d": 0}
        with app.override({inner_step: lambda n: 0}):
            assert await asked(app, n=1) == {"a": 0, "b": 0, "c": 0, "d": 0}
        with app.override({"inner/inner_step": lambda n: 7}, mine=lambda n: 8, inner_step_2=lambda n: 9):
            assert await asked(app, n=1) == {"a": 2, "b": 9, "c": 7, "d": 8}


async def test_steps_of_maps_and_of_mapped_pipelines() -> None:
    @pipeline
    def mapped(numbers: list[int]) -> Any:
        return {"steps": inner_step.map(numbers), "pipelines": inner.map(numbers)}

    app = PipelineApp(mapped)
    async with app.lifespan(None):
        with app.override(inner_step=lambda n: -n):
            assert await asked(app, numbers=[1, 2]) == {"steps": [-1, -2], "pipelines": [-1, -2]}
        assert await asked(app, numbers=[1, 2]) == {"steps": [2, 3], "pipelines": [2, 3]}


async def test_static_parameters_with_what_is_compiled_on_demand() -> None:
    @pipeline
    def powers(n: int, times: Static[int] = 1, mode: Static[Literal["up", "down"]] = "up") -> Any:
        for _ in range(times):
            n = inner_step(n)
        return n

    app = PipelineApp(powers)
    async with app.lifespan(None):
        with app.override(inner_step=lambda n: 10 * n):
            assert [await asked(app, n=1, times=times) for times in (1, 2, 3)] == [10, 100, 1000]
            assert await asyncio.to_thread(lambda: app.run_sync(n=1, times=4, mode="down").value) == 10_000
        assert await asked(app, n=1, times=2) == 3


tools = types.ModuleType("tools")
tools.inner_step = inner_step  # type: ignore[attr-defined]  # as if it were imported


@step
def hidden(n: int) -> int:
    return -n


HIDDEN = {"hidden": hidden}


@pipeline(dynamic=True)
async def deeper(n: int) -> int:
    value: int = await tools.inner_step(n)
    return value


def dynamic_app() -> PipelineApp:
    @step
    async def local(n: int) -> int:
        return n * 2

    @pipeline(dynamic=True)
    async def dynamic(n: int) -> list[Any]:
        handle = local.submit(n)
        mapped = await inner_step.map([n, n])
        parts = [await part for part in [inner(n), deeper(n), HIDDEN["hidden"](n)]]
        return [await handle, *mapped, *parts, dynamic.name]

    return PipelineApp({"dynamic": dynamic})


async def test_steps_that_a_dynamic_body_calls() -> None:
    app = dynamic_app()
    async with app.lifespan(None):
        assert await asked(app, n=1) == [2, 2, 2, 2, 2, -1, "dynamic"]
        with app.override({hidden: lambda n: 6}, local=lambda n: 4, inner_step=lambda n: 5):
            assert await asked(app, n=1) == [4, 5, 5, 5, 5, 6, "dynamic"]
        assert await asked(app, n=1) == [2, 2, 2, 2, 2, -1, "dynamic"]


def test_a_dynamic_body_s_steps_are_known_by_name_as_far_as_its_code_tells() -> None:
    with pytest.raises(UnknownStepError) as caught:
        dynamic_app().override(hidden=lambda n: n)

    assert set(caught.value.known) == {"local", "inner_step"}
    with pytest.raises(ConfigurationError, match="takes \\(m\\), and is called with \\(n=\\)"):
        dynamic_app().override(local=lambda m: m)


def test_a_name_that_was_deleted_names_nothing() -> None:
    def make() -> tuple[PipelineApp, types.CellType]:
        @step
        def gone(n: int) -> int:
            return n

        @pipeline(dynamic=True)
        async def late(n: int) -> int:
            value: int = await gone(n)
            return value

        [filled] = late.function.__closure__ or ()
        return PipelineApp(late), filled

    app, cell = make()
    with app.override(gone=lambda n: n):
        pass
    del cell.cell_contents
    with pytest.raises(UnknownStepError, match="the pipelines have: none"):
        app.override(gone=lambda n: n)


# ----------------------------------------------------------------------------------------- refusals


def test_a_step_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(UnknownStepError, match="no step named 'describ'; the pipelines have: measure, describe, tell"):
        PipelineApp({"weather": weather, "state": state}).override(describ=lambda: None)
    with pytest.raises(UnknownStepError, match="no step named 'inner_step'"):
        PipelineApp(weather).override({inner_step: lambda n: n})


@pytest.mark.parametrize(
    ("fake", "message"),
    [
        (lambda city: "", r"step 'describe' takes \(city\), and is called with \(city=, celsius=\): got an unexpected"),
        (lambda city, celsius, more: "", "missing a required argument: 'more'"),
        (lambda city, celsius, /: "", "positional"),
        ("sunny", r"override\(describe='sunny'\): give a function, e\.g\. lambda \*\*_: 'sunny'"),
        (None, "give a function"),
    ],
)
def test_a_function_that_cannot_be_called_as_the_step_is_refused(fake: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        PipelineApp(weather).override(describe=fake)
    with pytest.raises(ConfigurationError):
        PipelineApp(weather).override({describe: fake})


async def test_of_another_library_s_pipeline_only_the_state_can_be_replaced() -> None:
    class Drawn(Direct):
        graph = PipelineApp(weather).pipelines["weather"].graph

    app = PipelineApp({"drawn": Drawn("state"), "weather": weather})
    with pytest.raises(UnknownStepError):
        PipelineApp({"bare": Direct()}).override(measure=lambda city: 1.0)
    with pytest.raises(ConfigurationError, match="'measure' is part of 'drawn', which another library runs"):
        PipelineApp({"drawn": Drawn()}).override(measure=lambda city: 1.0)
    with app.override(measure=lambda city: 1.0):  # the other one's
        pass

    foreign = Foreign_()
    app = PipelineApp({"foreign": foreign})
    async with app.lifespan(None):
        with app.override(state="fake"):
            await asked(app, x=1)
        await asked(app, x=1)
    assert foreign.log == ["started", "fake", "state", "stopped with state"]


class Foreign_(Direct):  # noqa: N801 - not the one of the other module
    async def start(self, resources: Mapping[str, Any]) -> Any:
        self.log.append("started")
        return "state"

    async def run(self, call: Any) -> Mapping[str, Any]:
        self.log.append(call.state)
        return {"y": 1}


# -------------------------------------------------------------------------------------------- state


async def test_a_state_takes_the_place_of_the_pipeline_s_own(calls: list[str]) -> None:
    app = PipelineApp(state)
    async with app.lifespan(None):
        with app.override(state="fake"):
            assert await asked(app) == "fake"
            with app.override(state=None), app.override(tell_state=tell_state):
                assert await asked(app) == "None"
            assert await asked(app) == "fake"
        assert await asked(app) == "own"

    assert calls == ["init", "cleanup"]


async def test_an_app_that_starts_with_it_need_not_make_its_own(calls: list[str]) -> None:
    app = PipelineApp(state)
    with app.override(state="fake"):
        async with app.lifespan(None):
            assert await asked(app) == "fake"
    assert calls == []


async def test_the_own_state_is_made_once_it_is_needed(calls: list[str]) -> None:
    app = PipelineApp(state)
    override = app.override(state="fake")
    override.__enter__()
    async with app.lifespan(None):
        assert await asked(app) == "fake"
        override.__exit__(None, None, None)
        assert await asyncio.gather(*(asked(app) for _ in range(5))) == ["own"] * 5
        with override:
            assert await asked(app) == "fake"

    assert calls == ["init", "cleanup"]


def test_it_is_made_for_a_sync_call_as_well(calls: list[str]) -> None:
    app = PipelineApp(state)
    with app.override(state="fake"):
        assert app.run_sync().value == "fake"
        assert app.run_sync().value == "fake"
    assert app.run_sync().value == "own"
    assert app.run_sync().value == "own"
    app.lifecycle.close()

    assert calls == ["init", "cleanup"]


async def test_states_by_pipeline() -> None:
    app = PipelineApp({"a": state, "b": state.with_options(name="b")})
    async with app.lifespan(None):
        with app.override(state={"b": "fake"}):
            assert [await asked(app, "a"), await asked(app, "b")] == ["own", "fake"]
        with pytest.raises(ConfigurationError, match="several pipelines; give a state by name, of: a, b"):
            app.override(state="fake")
        with pytest.raises(ConfigurationError, match="by name"):
            app.override(state={"c": "fake"})


def test_from_any_thread_while_others_run() -> None:
    app = PipelineApp(weather)
    found: set[str] = set()
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            found.add(app.run_sync(city="Oslo").value)

    app.run_sync(city="Oslo")
    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        with app.override(measure=lambda city: 3.0, describe=lambda city, celsius: f"{celsius} fake"):
            assert app.run_sync(city="Oslo").value == "3.0 fake"
    stop.set()
    for thread in threads:
        thread.join()
    app.lifecycle.close()

    assert found <= {"21.5 in Oslo", "3.0 fake"}


def test_what_fails_in_the_block_passes_and_nothing_stays() -> None:
    app = PipelineApp(weather)
    with pytest.raises(PipelineError), app.override(measure=lambda city: 1.0):
        raise PipelineError("on purpose")
    assert app.run_sync(city="Oslo").value == "21.5 in Oslo"
    app.lifecycle.close()
