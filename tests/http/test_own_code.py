"""``await pipelines.run(…)``: the host's own code, on any loop, under the app's limits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from tests.support.asgi import post

from pipemount import PipelineApp, Settings, StepContext, pipeline, step
from pipemount import compile as compile_pipeline
from pipemount.adapters.protocol import Result
from pipemount.errors import (
    ConfigurationError,
    DeadlineExceededError,
    InvalidInputsError,
    PipelineError,
    RunError,
    StepFailedError,
    UnavailableError,
)
from pipemount.inprocess import run_compiled
from pipemount.runtime.call import Call
from pipemount.runtime.events import Event


class Lives:
    def __init__(self) -> None:
        self.started = self.stopped = 0


LIVES = Lives()


def open_state() -> str:
    LIVES.started += 1
    return "state"


def close_state() -> None:
    LIVES.stopped += 1


@step
async def tell(text: str, context: StepContext) -> str:
    return f"{context.pipeline_state} {text}"


@pipeline(on_init=open_state, on_cleanup=close_state)
def told(text: str = "x") -> Any:
    return tell(text)


@pytest.fixture(autouse=True)
def lives() -> Lives:
    LIVES.__init__()  # type: ignore[misc]  # begins anew
    return LIVES


async def test_it_uses_the_state_of_the_app(lives: Lives) -> None:
    app = PipelineApp(told)
    async with app.lifespan(None):
        first, second = await app.run(text="a"), await app.run("told")

    assert (first.value, second.value) == ("state a", "state x")
    assert first.run_id != second.run_id
    assert (lives.started, lives.stopped) == (1, 1)


def test_any_loop_may_ask(lives: Lives) -> None:
    app = PipelineApp(told)

    async def ask() -> Any:
        return (await app.run()).value

    answers: list[Any] = []
    threads = [threading.Thread(target=lambda: answers.append(asyncio.run(ask()))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    app.lifecycle.close()

    assert answers == ["state x"] * 4
    assert (lives.started, lives.stopped) == (1, 1)


async def test_names_and_inputs_are_checked_before_anything_starts(lives: Lives) -> None:
    app = PipelineApp({"a": told, "b": told})
    with pytest.raises(ConfigurationError, match="no pipeline named 'c'; the app has: a, b"):
        await app.run("c")
    with pytest.raises(ConfigurationError, match="several pipelines; say which to run, of: a, b"):
        await app.run()
    with pytest.raises(InvalidInputsError):
        await app.run("a", text=5)

    assert lives.started == 0


async def test_the_limit_on_time_holds_running_and_queued() -> None:
    @step
    async def slow() -> int:
        await asyncio.sleep(30)
        return 1

    app = PipelineApp(slow, settings=Settings(max_concurrency=1, request_timeout=0.1))
    async with app.lifespan(None):
        ended = await asyncio.gather(*(app.run() for _ in range(2)), return_exceptions=True)

        assert [type(error) for error in ended] == [DeadlineExceededError] * 2
        assert app.admission.active == 0


async def test_a_run_that_ends_with_its_home_loop() -> None:
    running, here = asyncio.Event(), asyncio.get_running_loop()

    @step
    async def slow() -> int:
        here.call_soon_threadsafe(running.set)
        await asyncio.sleep(30)
        return 1

    app = PipelineApp(slow, settings=Settings(cleanup_timeout=0.05))
    asked = asyncio.create_task(app.run())
    await running.wait()
    await app.lifecycle.aclose()

    with pytest.raises(UnavailableError):
        await asked


async def test_a_step_that_runs_a_pipeline_waits_for_no_place_of_its_own() -> None:
    apps: list[PipelineApp] = []

    @step
    async def inner(n: int) -> int:
        return n + 1

    @step
    async def outer(n: int) -> int:
        value: int = (await apps[0].run("inner", n=n)).value
        return value

    apps.append(PipelineApp({"inner": inner, "outer": outer}, settings=Settings(max_concurrency=1, max_queue=0)))
    async with apps[0].lifespan(None):
        answer = await post(apps[0], "/outer/invoke", {"parameters": {"n": 1}})

        assert answer.json()["outputs"] == {"output": 2}
        assert apps[0].admission.active == 0


async def test_another_app_s_limit_holds_within_a_run() -> None:
    other = PipelineApp(told, settings=Settings(max_concurrency=1))
    seen: list[int] = []

    @step
    async def ask() -> str:
        asked = asyncio.create_task(other.run())
        while not (other.admission.active or asked.done()):
            await asyncio.sleep(0)
        seen.append(other.admission.active)
        return str((await asked).value)

    app = PipelineApp(ask)
    async with app.lifespan(None):
        assert (await app.run()).value == "state x"
    await other.lifecycle.aclose()

    assert seen == [1]


async def test_two_apps_of_one_compiled_pipeline_share_nothing(lives: Lives) -> None:
    compiled = compile_pipeline(told)
    first, second = PipelineApp(compiled), PipelineApp(compiled)
    async with first.lifespan(None):
        async with second.lifespan(None):
            assert (await second.run()).value == "state x"
        assert (await first.run()).value == "state x"

    assert (lives.started, lives.stopped) == (2, 2)


# ------------------------------------------------------------------------------------------- adapters


class Foreign:
    """A pipeline of another library, with a ``run`` beside its ``stream``."""

    def __init__(self, error: BaseException | None = None) -> None:
        native: Any = compile_pipeline(tell_nothing)
        self.info, self.graph, self.input, self.output = native.info, native.graph, native.input, native.output
        self.overrides, self.capabilities = None, frozenset[str]()
        self._error = error

    async def start(self, resources: Mapping[str, Any]) -> None:
        return None

    async def stop(self, state: Any) -> None:
        return None

    async def stream(self, call: Call) -> AsyncIterator[Event | Result]:
        if self._error is not None:
            raise self._error
        yield Result({"output": "streamed"})


class ForeignDirect(Foreign):
    async def run(self, call: Call) -> Mapping[str, Any]:
        if self._error is not None:
            raise self._error
        return {"output": "direct"}


@step
async def tell_nothing() -> str:
    return ""


@pytest.mark.parametrize(("kind", "value"), [(Foreign, "streamed"), (ForeignDirect, "direct")])
async def test_a_foreign_pipeline_is_run_the_short_way_where_it_has_one(kind: type[Foreign], value: str) -> None:
    app = PipelineApp(kind())
    async with app.lifespan(None):
        assert (await app.run()).outputs == {"output": value}


@pytest.mark.parametrize("kind", [Foreign, ForeignDirect])
@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ValueError("a secret"), 500, "step-failed"),
        (asyncio.CancelledError(), 500, "step-failed"),
        (PipelineError("no", status=404), 404, "pipeline-error"),
    ],
    ids=repr,
)
async def test_what_a_foreign_pipeline_raises_is_a_failed_run(
    kind: type[Foreign], error: BaseException, status: int, code: str
) -> None:
    app = PipelineApp(kind(error))
    async with app.lifespan(None):
        answer = await post(app, "/invoke", {"parameters": {}})

    assert (answer.status, answer.json()["code"]) == (status, code)
    assert answer.headers["x-run-id"] == answer.json()["run_id"]
    assert b"a secret" not in answer.body


async def test_a_foreign_run_can_be_cancelled() -> None:
    running = asyncio.Event()

    class Slow(Foreign):
        async def run(self, call: Call) -> Mapping[str, Any]:
            running.set()
            await asyncio.sleep(30)
            return {}

    app = PipelineApp(Slow())
    async with app.lifespan(None):
        asked = asyncio.create_task(app.run())
        await running.wait()
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked


async def test_a_parallel_failure_leaves_its_caller_whole() -> None:
    @step
    async def fail() -> int:
        await asyncio.sleep(0)
        raise ValueError

    @step
    async def cancelled() -> int | None:
        raise asyncio.CancelledError

    @step
    async def wait() -> int:
        await asyncio.sleep(30)
        return 1

    @pipeline
    def failing() -> Any:
        return {"a": fail(), "b": wait()}

    @pipeline
    def losing() -> Any:
        return {"a": cancelled(), "b": wait()}

    app = PipelineApp({"failing": failing, "losing": losing})
    async with app.lifespan(None):
        for name in ("failing", "losing"):
            with pytest.raises(StepFailedError):
                await app.run(name)
            task = asyncio.current_task()
            assert task is not None
            assert task.cancelling() == 0


async def test_a_foreign_stream_that_ends_without_a_result_is_a_failed_run() -> None:
    class Empty(Foreign):
        async def stream(self, call: Call) -> AsyncIterator[Event | Result]:
            yield Event("log", 1, "of its own", 0.0, data={"message": "all I say"})

    told: list[Event] = []
    with pytest.raises(RunError, match="gave no results; a stream ends with one"):
        await run_compiled(Empty(), {}, listener=told.append)

    assert [event.kind for event in told] == ["run_started", "log", "run_failed"]
    assert len({event.run_id for event in told}) == 1


async def test_one_step_feeds_many() -> None:
    @step
    async def first(context: StepContext) -> str:
        return context.step_name

    @step
    async def then(text: str) -> str:
        return text + "!"

    @pipeline
    def fan() -> Any:
        name = first()
        return {"a": then(name), "b": then(name), "c": name}

    @pipeline
    def short() -> Any:
        return first()

    app = PipelineApp({"fan": fan, "short": short})
    async with app.lifespan(None):
        assert (await app.run("fan")).value == {"a": "first!", "b": "first!", "c": "first"}
        assert (await app.run("short")).value == "first"
