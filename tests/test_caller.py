"""The team's own code: sync forms, terms of a call, runs within runs, whoever acts, and the thread that asks."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest
from tests.support.servers import serve
from tests.test_service import Direct

from pipemount import PipelineApp, Principal, Settings, StepContext, acting_as, caller, get_step_context, pipeline, step
from pipemount.errors import (
    ConfigurationError,
    DeadlineExceededError,
    HomeLoopError,
    InvalidInputsError,
    OverloadedError,
    RunCancelledError,
    StepFailedError,
    UnavailableError,
)
from pipemount.runtime import loops

TRACE: ContextVar[str] = ContextVar("trace", default="none")


def here() -> str:
    return threading.current_thread().name


@step
def add(a: int, b: int) -> int:
    return a + b


@pipeline
def addition(a: int, b: int = 1) -> Any:
    """Driven in place."""
    return add(add(a, b), 0)


@step
async def add_slowly(a: int, b: int) -> int:
    await asyncio.sleep(0)
    return a + b


@pipeline
def slow_addition(a: int, b: int = 1) -> Any:
    """Takes the loop."""
    return add_slowly(a, b)


@step
def fail(a: int) -> int:
    raise ValueError(a)


@step
async def wait(seconds: float = 30.0) -> int:
    await asyncio.sleep(seconds)
    return 1


@step
def tell_trace(context: StepContext) -> dict[str, str]:
    return {"trace": TRACE.get(), "thread": here(), "principal": context.principal.name if context.principal else ""}


@step
async def tell_trace_async(context: StepContext) -> dict[str, str]:
    await asyncio.sleep(0)
    return {"trace": TRACE.get(), "thread": here(), "principal": context.principal.name if context.principal else ""}


def app_of(pipelines: Any, **settings: Any) -> PipelineApp:
    return PipelineApp(pipelines, settings=Settings(**settings))


@contextlib.contextmanager
def stopped_after(app: PipelineApp) -> Iterator[PipelineApp]:
    try:
        yield app
    finally:
        app.lifecycle.close()


def both() -> PipelineApp:
    return PipelineApp({"in_place": addition, "on_loop": slow_addition, "failing": fail, "waiting": wait})


# ------------------------------------------------------------------------------------------ run_sync


@pytest.mark.parametrize("name", ["in_place", "on_loop"])
def test_it_runs_without_any_server_and_answers_as_run_does(name: str) -> None:
    with stopped_after(both()) as app:
        first, second = app.run_sync(name, a=1), app.run_sync(name, a=1, b=2)

        assert (first.value, second.value) == (2, 3)
        assert first.outputs == {"output": 2}
        assert first.run_id != second.run_id
        assert first.run_name == f"{name}-{first.run_id}"
        assert app.admission.active == 0


def test_a_row_of_plain_functions_is_performed_in_the_thread_that_asks() -> None:
    @pipeline
    def told() -> Any:
        return tell_trace()

    with stopped_after(PipelineApp(told)) as app:
        app.run_sync()  # starts it
        token = TRACE.set("t-1")
        assert app.run_sync().value == {"trace": "t-1", "thread": here(), "principal": ""}
        TRACE.reset(token)


async def test_a_step_performed_in_place_changes_no_context_variable_of_its_caller() -> None:
    @step
    def change() -> int:
        TRACE.set("changed")
        return 1

    app = PipelineApp(change)

    def ask() -> str:
        app.run_sync()
        app.run_sync()
        return TRACE.get()

    assert await asyncio.to_thread(ask) == "none"
    await app.lifecycle.aclose()


@pytest.mark.parametrize("told", [tell_trace, tell_trace_async])
async def test_context_variables_and_principal_are_carried_from_any_thread(told: Any) -> None:
    app = PipelineApp({"told": told})

    def ask(number: int) -> dict[str, str]:
        TRACE.set(f"trace-{number}")
        with acting_as(f"user-{number}"):
            value: dict[str, str] = app.calling(timeout=20).run_sync("told").value  # with a timeout: on the loop
        return value

    with ThreadPoolExecutor(8) as threads:
        answers = await asyncio.gather(
            *(asyncio.get_running_loop().run_in_executor(threads, ask, n) for n in range(20))
        )
    await app.lifecycle.aclose()

    assert [(a["trace"], a["principal"]) for a in answers] == [(f"trace-{n}", f"user-{n}") for n in range(20)]
    assert {a["thread"].partition("-")[0] for a in answers} == {"pipemount"}


@pytest.mark.parametrize("name", ["in_place", "on_loop"])
def test_what_fails_is_raised_as_over_http(name: str) -> None:
    with stopped_after(both()) as app:
        app.run_sync(name, a=1)
        with pytest.raises(InvalidInputsError):
            app.run_sync(name, a="many")
        with pytest.raises(ConfigurationError, match="several pipelines; say which to run, of: in_place"):
            app.run_sync()
        with pytest.raises(ConfigurationError, match="no pipeline named 'other'"):
            app.run_sync("other")
        with pytest.raises(StepFailedError) as caught:
            app.run_sync("failing", a=1)

        assert isinstance(caught.value.cause, ValueError)
        assert caught.value.run_id
        assert app.admission.active == 0


async def test_it_is_refused_on_the_home_loop_with_the_way_out() -> None:
    app = both()
    async with app.lifespan(None):
        with pytest.raises(HomeLoopError, match=r"await pipelines\.run"):
            app.run_sync("on_loop", a=1)
        with pytest.raises(HomeLoopError, match=r"await pipelines\.run"):
            next(app.stream_sync("on_loop", a=1))
        with pytest.raises(HomeLoopError):
            app.run_sync("in_place", a=1)


async def test_it_is_refused_on_the_loop_that_would_become_the_home_loop() -> None:
    ready: list[bool] = []

    def fail_once() -> None:
        if not ready:
            ready.append(True)
            raise OSError("not yet")

    @pipeline(on_init=fail_once)
    def late() -> Any:
        return add_slowly(1, 1)

    app = PipelineApp(late)
    with pytest.raises(OSError, match="not yet"):
        await app.lifecycle.startup()
    app.lifecycle._lifespans.enter(asyncio.get_running_loop())  # as a second lifespan that is open on this loop
    app.lifecycle._backoff.succeeded()
    with pytest.raises(HomeLoopError):
        app.run_sync()
    await app.lifecycle.aclose()


@pytest.mark.parametrize("name", ["in_place", "on_loop"])
async def test_another_running_loop_is_only_blocked(name: str) -> None:
    """So notebooks and browsers driven from sync tests, which run a loop in the main thread, can call."""
    app = both()
    app.run_sync(name, a=1)

    assert app.run_sync(name, a=1).value == 2
    assert app.lifecycle.home is not asyncio.get_running_loop()
    await app.lifecycle.aclose()


def test_a_script_needs_no_word_about_start_and_stop() -> None:
    script = """
from pipemount import PipelineApp, pipeline, step

@step
async def greet(name: str) -> str:
    return f"hello {name}"

@pipeline(on_init=lambda: print("init"), on_cleanup=lambda: print("cleanup"))
def greeting(name: str):
    return greet(name)

pipelines = PipelineApp(greeting)
print(pipelines.run_sync(name="Ada").value)
print([event.kind for event in pipelines.stream_sync(name="Bob")])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)

    assert done.stderr == ""
    events = "['run_started', 'step_started', 'step_completed', 'run_completed']"
    assert done.stdout.splitlines() == ["init", "hello Ada", events, "cleanup"]


def test_a_start_is_waited_for_as_long_as_a_server_would() -> None:
    @pipeline(on_init=lambda: time.sleep(0.3))
    def late() -> Any:
        return add(1, 1)

    with stopped_after(PipelineApp(late, settings=Settings(lazy_wait=0.05))) as app:
        assert app.run_sync().value == 2
        app.lifecycle.close()
        assert asyncio.run(app.run()).value == 2
        app.lifecycle.close()
        assert [event.kind for event in app.stream_sync()][-1] == "run_completed"

    app = PipelineApp(late, settings=Settings(startup_budget=0.05))
    with stopped_after(app), pytest.raises(UnavailableError, match="on_init still runs"):
        app.run_sync()


def test_ctrl_c_is_the_program_s_and_not_the_step_s() -> None:
    @step
    def interrupted() -> int:
        raise KeyboardInterrupt

    with stopped_after(PipelineApp({"interrupted": interrupted, "add": addition})) as app:
        app.run_sync("add", a=1)
        with pytest.raises(KeyboardInterrupt):
            app.run_sync("interrupted")
        with pytest.raises(KeyboardInterrupt):
            list(app.stream_sync("interrupted"))
        assert app.admission.active == 0


async def test_a_step_s_own_keyboard_interrupt_in_another_thread_stays_a_failure() -> None:
    @step
    def interrupted() -> int:
        raise KeyboardInterrupt

    app = PipelineApp(interrupted)
    with pytest.raises(StepFailedError):
        await asyncio.to_thread(app.run_sync)
    await app.lifecycle.aclose()


# --------------------------------------------------------------------------------------- limits and ends


def test_without_a_place_it_waits_in_the_queue_or_is_refused() -> None:
    release = threading.Event()

    @step
    def hold(n: int) -> int:
        release.wait(10)
        return n

    with stopped_after(app_of(hold, max_concurrency=1, max_queue=1)) as app, ThreadPoolExecutor(2) as threads:
        first = threads.submit(app.run_sync, n=1)
        while not app.admission.active:
            time.sleep(0.005)
        second = threads.submit(app.run_sync, n=2)
        while not app.admission.queued:
            time.sleep(0.005)
        with pytest.raises(OverloadedError):
            app.run_sync(n=3)
        release.set()

        assert (first.result().value, second.result().value) == (1, 2)
        assert app.admission.active == 0


def test_a_run_that_ends_with_its_home_loop() -> None:
    app = app_of({"wait": wait}, cleanup_timeout=0.05)
    with ThreadPoolExecutor(2) as threads:
        ran = threads.submit(app.run_sync, "wait")
        streamed = threads.submit(lambda: list(app.stream_sync("wait")))
        while app.admission.active < 2:
            time.sleep(0.005)
        app.lifecycle.close()

        for asked in (ran, streamed):
            with pytest.raises(UnavailableError):
                asked.result()


def test_after_a_stop_it_starts_anew() -> None:
    with stopped_after(both()) as app:
        for _ in range(2):
            assert app.run_sync("in_place", a=1).value == 2
            app.lifecycle.close()


def test_a_loop_that_ends_before_it_comes_to_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "LOOK", 0.01)
    loop = asyncio.new_event_loop()
    threading.Timer(0.05, loop.close).start()
    lent = caller.LentThread()

    with pytest.raises(UnavailableError):
        lent.call(loop, asyncio.Event().wait)
    lent.close()


def test_a_home_loop_that_its_host_runs_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "LOOK", 0.01)
    app, loop = both(), asyncio.new_event_loop()
    loop.run_until_complete(app.lifecycle.startup())

    assert app.run_sync("in_place", a=1).value == 2
    with pytest.raises(HomeLoopError, match="stands still"):
        app.run_sync("on_loop", a=1)
    with pytest.raises(HomeLoopError, match="stands still"):
        asyncio.run(app.run("on_loop", a=1))
    loop.run_until_complete(app.lifecycle.shutdown())
    loop.close()


def test_a_stop_between_the_look_and_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    app = both()
    app.run_sync("in_place", a=1)
    enter = app.admission.try_enter

    def stop_and_enter(*of_whom: Any) -> bool:
        monkeypatch.undo()
        app.lifecycle.close()
        return enter()

    monkeypatch.setattr(app.admission, "try_enter", stop_and_enter)
    with stopped_after(app):
        assert app.run_sync("in_place", a=1).value == 2
    assert app.admission.active == 0


def test_a_forked_child_has_all_places() -> None:
    script = """
import os, sys, threading
from pipemount import PipelineApp, Settings, step
begun, end = threading.Event(), threading.Event()
@step
def slow() -> int:
    begun.set()
    end.wait()
    return 1
@step
def quick() -> int:
    return 2
app = PipelineApp({"slow": slow, "quick": quick}, settings=Settings(max_concurrency=1, max_queue=0))
running = threading.Thread(target=app.run_sync, args=("slow",))
running.start()
begun.wait()
if (child := os.fork()) == 0:
    os._exit(app.run_sync("quick").value)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
end.set()
running.join()
print(code)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("2\n", 0), done.stderr


@pytest.mark.parametrize("form", ["stream_sync", "stream"])
def test_a_program_that_ends_with_a_stream_open_ends_without_a_word(form: str) -> None:
    script = f"""
import asyncio
from pipemount import PipelineApp, step
@step
async def quick() -> int:
    return 1
async def first(events):
    await anext(events)
app = PipelineApp(quick)
events = app.{form}()
next(events) if {form == "stream_sync"} else asyncio.run(first(events))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stderr, done.returncode) == ("", 0)


# ------------------------------------------------------------------------------------------- calling


def test_a_timeout_is_watched_even_where_the_steps_could_be_performed_in_place() -> None:
    release = threading.Event()

    @step
    def hold() -> bool:
        return release.wait(10)

    with stopped_after(PipelineApp({"hold": hold, "add": addition})) as app:
        app.run_sync("add", a=1)
        with pytest.raises(DeadlineExceededError, match=r"timeout of 0\.0512345 s"):  # as asked, whatever is left of it
            app.calling(timeout=0.0512345).run_sync("hold")
        release.set()


async def test_a_timeout_holds_in_every_form_and_may_be_longer_than_a_request_s() -> None:
    app = app_of({"wait": wait}, request_timeout=0.05)
    async with app.lifespan(None):
        with pytest.raises(DeadlineExceededError, match=r"timeout of 0\.05 s"):
            await app.run("wait")
        with pytest.raises(DeadlineExceededError):
            async for _ in app.calling(timeout=0.01).stream("wait"):
                pass
        assert (await app.calling(timeout=5).run("wait", seconds=0.1)).value == 1
    with pytest.raises(DeadlineExceededError):
        await asyncio.to_thread(lambda: list(app.calling(timeout=0.01).stream_sync("wait")))
    await app.lifecycle.aclose()


async def test_the_wait_for_a_place_counts() -> None:
    app = app_of({"wait": wait}, max_concurrency=1)
    async with app.lifespan(None):
        first = asyncio.create_task(app.run("wait"))
        while not app.admission.active:
            await asyncio.sleep(0)
        with pytest.raises(DeadlineExceededError, match=r"timeout of 0\.0512345 s"):
            await app.calling(timeout=0.0512345).run("wait", seconds=0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)


async def test_a_run_can_be_named_and_its_steps_told_what_requests_may_tell_them() -> None:
    @step
    def convert(celsius: float, unit: str = "C") -> str:
        return f"{celsius}{unit}"

    @pipeline
    def converted(celsius: float) -> Any:
        return convert(celsius)

    app = PipelineApp({"converted": converted})
    calling = app.calling(run_name="nightly-{run_id}", steps={"convert": {"parameters": {"unit": "F"}}})
    async with app.lifespan(None):
        result = await calling.run(celsius=1.0)

    assert result.value == "1.0F"
    assert result.run_name == f"nightly-{result.run_id}"


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"timeout": 0}, "timeout"),
        ({"timeout": "soon"}, "timeout"),
        ({"run_name": "{user}"}, "date, time or run_id"),
        ({"run_name": "{"}, "date, time or run_id"),
        ({"run_name": "{date.year.x}"}, "date, time or run_id"),
    ],
)
def test_terms_that_cannot_be_used_are_refused(terms: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        both().calling(**terms)


async def test_steps_that_are_not_there_are_refused() -> None:
    steps: dict[str, Any] = {"other": {"parameters": {}}}
    with pytest.raises(InvalidInputsError):
        await both().calling(steps=steps).run("in_place", a=1)
    with pytest.raises(ConfigurationError, match="'foreign' takes nothing for single steps"):
        await PipelineApp({"foreign": Direct()}).calling(steps=steps).run(x=1)


# ------------------------------------------------------------------------------------- whoever acts


def principal_of(value: Any) -> tuple[str, str] | None:
    return None if value is None else (value.name, value.source)


@step
async def who() -> tuple[str, str] | None:
    return principal_of(get_step_context().principal)


async def test_whoever_acts_is_the_principal() -> None:
    app = PipelineApp({"who": who})
    asked: list[str] = []

    def provider() -> Any:
        asked.append(here())
        return "current-user"

    async with app.lifespan(None):
        assert (await app.run("who")).outputs["output"] is None

        app.users += [lambda: None, provider]
        assert (await app.run("who")).value == ("current-user", "host")
        with acting_as({"username": "ada"}, source="django") as principal:
            assert principal_of(principal) == ("ada", "django")
            assert (await app.run("who")).value == ("ada", "django")
            with acting_as(None):
                assert (await app.run("who")).value is None
            named = Principal("grace", frozenset({"admin"}), "key")
            assert (await app.calling(principal=named).run("who")).value == ("grace", "key")
            assert (await app.calling(principal=None).run("who")).value is None

    assert asked == [here()]


async def test_a_provider_is_asked_in_the_thread_that_calls() -> None:
    app = PipelineApp({"who": who})
    app.users.append(here)

    def ask() -> list[Any]:
        events = list(app.stream_sync("who"))
        return [here(), app.run_sync("who").value[0], events[-1].data["outputs"]["output"][0]]

    assert len(set(await asyncio.to_thread(ask))) == 1
    await app.lifecycle.aclose()


async def test_a_run_within_a_run_is_on_behalf_of_the_same_principal() -> None:
    apps: list[PipelineApp] = []

    @step
    async def ask() -> list[Any]:
        plain = (await apps[0].run("who")).value
        with acting_as("another"):
            other = (await apps[0].run("who")).value
            deeper = (await apps[0].run("ask_again")).value
        return [plain, other, deeper]

    @step
    def ask_again() -> Any:
        return apps[0].run_sync("who").value

    apps.append(PipelineApp({"who": who, "ask": ask, "ask_again": ask_again}))
    apps[0].users.append(lambda: "the host's")
    async with apps[0].lifespan(None):
        with acting_as("outside"):
            found = (await apps[0].calling(principal="named").run("ask")).value

    assert found == [("named", "host"), ("another", "host"), ("another", "host")]


# ------------------------------------------------------------------------------------ runs within runs


class Nested:
    """An app whose steps ask it for other runs."""

    def __init__(self, **settings: Any) -> None:
        self.seen: list[int] = []

        @step
        def ask_sync(name: str) -> Any:
            value = self.app.run_sync(name, a=1).value
            self.seen.append(self.app.admission.active)
            return value

        @step
        def ask_stream(name: str) -> Any:
            return [event.kind for event in self.app.stream_sync(name, a=1)]

        @step
        async def ask(name: str) -> Any:
            return (await self.app.run(name, a=1)).value

        @step
        def twice(a: int) -> int:
            return 2 * a

        @pipeline
        def parallel(a: int) -> Any:
            return add(twice(a), twice(a))

        self.app = app_of(
            {
                "ask_sync": ask_sync,
                "ask_stream": ask_stream,
                "ask": ask,
                "in_place": addition,
                "on_loop": slow_addition,
                "parallel": parallel,
                "again": ask_sync.with_options(name="again"),
            },
            **settings,
        )


@pytest.mark.parametrize("name", ["in_place", "on_loop"])
@pytest.mark.parametrize("asking", ["ask_sync", "ask"])
async def test_a_run_within_a_run_takes_no_second_place(asking: str, name: str) -> None:
    nested = Nested(max_concurrency=1, max_queue=0)
    async with nested.app.lifespan(None):
        assert (await nested.app.run(asking, name=name)).value == 2

    assert nested.seen in ([], [1])
    assert nested.app.admission.active == 0


@pytest.mark.parametrize("name", ["in_place", "on_loop", "parallel"])
async def test_steps_that_wait_for_runs_do_not_keep_their_threads_from_them(name: str) -> None:
    nested = Nested(threads=2)
    async with nested.app.lifespan(None):
        asked = [nested.app.calling(timeout=20).run("ask_sync", name=name) for _ in range(6)]
        assert {result.value for result in await asyncio.gather(*asked)} == {4 if name == "parallel" else 2}


async def test_streams_within_runs() -> None:
    nested = Nested(threads=1, max_concurrency=1, max_queue=0)
    async with nested.app.lifespan(None):
        kinds = (await nested.app.calling(timeout=20).run("ask_stream", name="parallel")).value

    assert (kinds[0], kinds[-1]) == ("run_started", "run_completed")


def test_a_run_in_place_may_ask_for_another_in_place() -> None:
    nested = Nested()
    with stopped_after(nested.app) as app:
        app.run_sync("in_place", a=1)
        assert app.run_sync("ask_sync", name="in_place").value == 2
        assert app.run_sync("ask_sync", name="on_loop").value == 2


def test_runs_within_runs_of_two_apps_take_one_place_of_each() -> None:
    apps: list[PipelineApp] = []

    @step
    def back(a: int) -> int:
        value: int = apps[0].run_sync("slow_addition", a=a).value
        return value

    @step
    def forth(a: int) -> int:
        value: int = apps[1].run_sync(a=a).value
        return value

    limits = {"max_concurrency": 1, "max_queue": 0, "threads": 1}
    apps.append(app_of({"forth": forth, "slow_addition": slow_addition}, **limits))
    apps.append(app_of(back, **limits))
    with stopped_after(apps[0]), stopped_after(apps[1]):
        assert apps[0].run_sync("forth", a=1).value == 2
        assert [app.admission.active for app in apps] == [0, 0]


async def test_a_run_within_a_run_ends_when_that_must() -> None:
    apps: list[PipelineApp] = []
    deadlines: list[float | None] = []
    late = threading.Event()
    ended: list[BaseException] = []

    @step
    async def tell_deadline(context: StepContext) -> int:
        deadlines.append(context.deadline)
        return 1

    @step
    async def ask(context: StepContext) -> int:
        deadlines.append(context.deadline)
        await apps[0].calling(timeout=100).run("tell_deadline")
        await apps[0].calling(timeout=1).run("tell_deadline")
        return 1

    @step
    def ask_too_late() -> int:
        late.wait(10)
        try:
            apps[0].run_sync("tell_deadline")
        except BaseException as error:
            ended.append(error)
        return 1

    apps.append(PipelineApp({"tell_deadline": tell_deadline, "ask": ask, "ask_too_late": ask_too_late}))
    async with apps[0].lifespan(None):
        await apps[0].calling(timeout=20).run("ask")
        outer, longer, shorter = deadlines
        assert outer is not None and longer is not None and shorter is not None
        assert abs(longer - outer) < 0.1
        assert shorter < outer - 10

        with pytest.raises(DeadlineExceededError):
            await apps[0].calling(timeout=0.05).run("ask_too_late")
        late.set()
        while not ended:
            await asyncio.sleep(0.01)

    assert isinstance(ended[0], DeadlineExceededError)
    assert len(deadlines) == 3


async def test_a_step_of_a_cancelled_run_can_ask_for_no_other() -> None:
    apps: list[PipelineApp] = []
    running, cancelled = threading.Event(), threading.Event()
    ended: list[BaseException] = []

    @step
    def ask() -> int:
        running.set()
        cancelled.wait(10)
        try:
            apps[0].run_sync("add", a=1, b=1)
        except BaseException as error:
            ended.append(error)
        return 1

    apps.append(PipelineApp({"add": add, "ask": ask}))
    async with apps[0].lifespan(None):
        asked = asyncio.create_task(apps[0].run("ask"))
        await asyncio.to_thread(running.wait, 10)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        cancelled.set()
        while not ended:
            await asyncio.sleep(0.01)

    assert isinstance(ended[0], RunCancelledError)


async def test_what_a_step_leaves_behind_asks_on_its_own() -> None:
    apps: list[PipelineApp] = []
    left: list[asyncio.Task[Any]] = []
    go_on = asyncio.Event()

    async def later() -> tuple[int, Any]:
        await go_on.wait()
        asked = asyncio.create_task(apps[0].calling(timeout=20).run("who"))
        while not (apps[0].admission.active or asked.done()):
            await asyncio.sleep(0)
        return apps[0].admission.active, (await asked).value

    @step
    async def leave() -> int:
        left.append(asyncio.create_task(later()))
        return 1

    @step
    async def who_slowly() -> str:
        await asyncio.sleep(0.01)
        principal = get_step_context().principal
        return principal.name if principal else ""

    apps.append(PipelineApp({"who": who_slowly, "leave": leave}))
    async with apps[0].lifespan(None):
        await apps[0].calling(timeout=0.2, principal="ada").run("leave")
        await asyncio.sleep(0.25)  # the deadline of the run that left it behind
        go_on.set()
        assert await left[0] == (1, "ada")


# ------------------------------------------------------------------------------- the thread that asks


@step(affinity="request")
def where() -> str:
    return here()


@step(affinity="request")
def where_then(before: str) -> list[str]:
    return [before, here()]


@step
async def pass_on(text: str) -> str:
    await asyncio.sleep(0)
    return text


@pipeline
def wandering() -> Any:
    return where_then(pass_on(where()))


@pytest.mark.parametrize("form", ["run_sync", "stream_sync"])
async def test_steps_that_want_it_are_performed_in_the_thread_that_asks(form: str) -> None:
    app = PipelineApp(wandering)

    def ask() -> tuple[list[str], str]:
        if form == "run_sync":
            return app.run_sync().value, here()
        return list(app.stream_sync())[-1].data["outputs"]["output"], here()

    threads, own = await asyncio.to_thread(ask)
    await app.lifecycle.aclose()

    assert threads == [own, own]


async def test_within_a_run_they_are_performed_in_the_thread_that_asked_for_the_outer_one() -> None:
    apps: list[PipelineApp] = []

    @step
    def ask_in_pool() -> list[str]:
        return [here(), *apps[0].run_sync("wandering").value]

    @step(affinity="request")
    def ask_there() -> list[str]:
        return [here(), *apps[0].run_sync("wandering").value]

    @pipeline
    def asking() -> Any:
        return {"pool": ask_in_pool(), "there": ask_there(), "loop": pass_on("x")}

    apps.append(PipelineApp({"wandering": wandering, "asking": asking}))

    def ask() -> tuple[Any, str]:
        return apps[0].run_sync("asking").value, here()

    value, own = await asyncio.to_thread(ask)
    await apps[0].lifecycle.aclose()

    assert value["there"] == [own, own, own]
    assert value["pool"][0] != own
    assert value["pool"][1:] == [own, own]


async def test_that_thread_is_found_also_where_the_steps_could_be_performed_in_place() -> None:
    apps: list[PipelineApp] = []

    @step
    def ask_in_pool() -> list[str]:
        return [here(), apps[0].run_sync("where").value]

    @pipeline
    def asking() -> Any:
        return {"pool": ask_in_pool(), "loop": pass_on("x")}

    apps.append(PipelineApp({"where": where, "asking": asking}))

    def ask() -> tuple[list[str], str]:
        return apps[0].run_sync("asking").value["pool"], here()

    (pool, asked), own = await asyncio.to_thread(ask)
    await apps[0].lifecycle.aclose()

    assert pool != own
    assert asked == own


def test_a_step_performed_in_place_may_ask_on_a_loop_of_its_own() -> None:
    apps: list[PipelineApp] = []

    @step
    def tell_thread() -> str:
        return here()

    @step
    def ask() -> str:
        value: str = asyncio.run(apps[0].run("tell_thread")).value
        return value

    apps.append(PipelineApp({"tell_thread": tell_thread, "ask": ask}))
    with stopped_after(apps[0]) as app:
        app.run_sync("tell_thread")
        home = app.lifecycle.call_sync(tell_home)
        asked = app.run_sync("ask").value

    assert asked not in (home, here())


async def tell_home() -> str:
    return here()


async def test_where_no_thread_waits_the_step_that_asks_is_the_one() -> None:
    apps: list[PipelineApp] = []

    @step
    def ask() -> list[str]:
        return [here(), *apps[0].run_sync("wandering").value]

    apps.append(PipelineApp({"wandering": wandering, "ask": ask}))
    async with apps[0].lifespan(None):
        own, *threads = (await apps[0].run("ask")).value

    assert threads == [own, own]


# ----------------------------------------------------------------------------------------- stream_sync


@step
async def count(to: int, context: StepContext) -> int:
    for number in range(to):
        context.emit(number)
        await asyncio.sleep(0)
    return to


def test_events_come_one_by_one_and_the_outputs_last() -> None:
    with stopped_after(PipelineApp(count)) as app:
        events = list(app.stream_sync(to=3))

        assert [e.kind for e in events][:2] == ["run_started", "step_started"]
        assert [e.data["value"] for e in events if e.kind == "data"] == [0, 1, 2]
        assert events[-1].data["outputs"] == {"output": 3}
        assert app.admission.active == 0


def test_an_event_is_there_while_the_run_goes_on() -> None:
    release = threading.Event()

    @step
    def hold(context: StepContext) -> bool:
        context.emit("first")
        return release.wait(10)

    with stopped_after(PipelineApp(hold)) as app:
        stream = app.stream_sync()
        assert next(event for event in stream if event.kind == "data").data["value"] == "first"
        release.set()
        assert list(stream)[-1].data["outputs"] == {"output": True}


def test_inputs_are_checked_at_the_call_and_nothing_runs_before_the_first_event() -> None:
    with stopped_after(PipelineApp(count)) as app:
        with pytest.raises(InvalidInputsError):
            app.stream_sync(to="many")
        stream = app.stream_sync(to=1)
        assert app.lifecycle.state == "new"
        stream.close()
        assert app.lifecycle.state == "new"


def test_a_failed_run_is_raised_after_its_last_event() -> None:
    kinds = []
    with stopped_after(both()) as app, pytest.raises(StepFailedError):
        for event in app.stream_sync("failing", a=1):
            kinds.append(event.kind)

    assert kinds[-1] == "run_failed"


@pytest.mark.parametrize("how", ["close", "forget"])
def test_leaving_it_early_cancels_the_run(how: str) -> None:
    ended = threading.Event()

    @step
    async def hold() -> int:
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()
        return 1

    with stopped_after(PipelineApp(hold)) as app:
        stream = app.stream_sync()
        next(stream)
        next(stream)
        if how == "close":
            stream.close()
        else:
            del stream
            gc.collect()

        assert ended.wait(10)
        assert app.admission.active == 0


def test_one_that_is_collected_on_the_home_loop_does_not_wait_for_itself() -> None:
    with stopped_after(both()) as app:
        streams = [app.stream_sync("waiting")]
        next(streams[0])

        async def forget() -> None:
            streams.clear()
            gc.collect()

        app.lifecycle.call_sync(forget)
        while app.admission.active:
            time.sleep(0.005)


def test_one_that_outlives_its_loop_is_closed_without_a_word() -> None:
    app = app_of({"wait": wait}, cleanup_timeout=0.05)
    stream = app.stream_sync("wait")
    next(stream)
    app.lifecycle.close()
    stream.close()

    assert app.lifecycle.state == "stopped"


async def test_threads_may_take_turns_with_it() -> None:
    """As frameworks do that iterate in a thread pool."""
    app = PipelineApp(count)
    stream = app.stream_sync(to=5)
    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
        loop, kinds = asyncio.get_running_loop(), []
        for number in range(9):
            event = await loop.run_in_executor((first, second)[number % 2], next, stream, None)
            kinds.append(event.kind if event else None)
    await app.lifecycle.aclose()

    assert kinds[-1] == "run_completed"


# ------------------------------------------------------------------------------------ on a real server

HOST = """
import threading
from contextvars import ContextVar

from pipemount import PipelineApp, StepContext, acting_as, pipeline, step
from pipemount.errors import HomeLoopError
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route

TRACE = ContextVar("trace", default="")

@step
async def tell(name: str, context: StepContext) -> str:
    return f"{name} {TRACE.get()} {context.principal.name if context.principal else ''}"

@step(affinity="request")
def here(text: str) -> list[str]:
    return [text, threading.current_thread().name]

@pipeline
def told(name: str):
    return here(tell(name))

pipelines = PipelineApp(told)

def blocking(request):
    TRACE.set(request.query_params["trace"])
    with acting_as("ada"):
        text, thread = pipelines.run_sync(name="sync").value
    return PlainTextResponse(f"{text} {thread == threading.current_thread().name}")

async def awaiting(request):
    TRACE.set(request.query_params["trace"])
    return PlainTextResponse((await pipelines.run(name="async")).value[0])

async def refused(request):
    try:
        pipelines.run_sync(name="x")
    except HomeLoopError as error:
        return PlainTextResponse(str(error))

def streamed(request):
    return StreamingResponse(event.kind + "\\n" for event in pipelines.stream_sync(name="x"))

routes = [Route(f"/{view.__name__}", view) for view in (blocking, awaiting, refused, streamed)]
app = Starlette(routes=[*routes, Mount("/ai", pipelines)], lifespan=pipelines.lifespan)
"""


@pytest.mark.server
def test_the_views_of_a_host_on_a_real_server(tmp_path: Path) -> None:
    (tmp_path / "host.py").write_text(HOST)
    command = ["uvicorn", "--app-dir", str(tmp_path), "host:app", "--port", "{port}"]
    with serve(command, folder=tmp_path) as server:
        answers = server.at_once(20, lambda: server.get("/blocking?trace=t-1"))
        assert {answer.body for answer in answers} == {b"sync t-1 ada True"}
        assert server.get("/awaiting?trace=t-2").body == b"async t-2 "
        assert b"await pipelines.run(" in server.get("/refused").body
        assert server.get("/streamed").body.split()[0::5] == [b"run_started", b"run_completed"]
