"""The thread that asks: what it performs while it waits, which steps go there, and what surrounds them."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from queue import Empty
from types import ModuleType
from typing import Any

import pytest

from pipemount import Retry, Settings, StepContext, get_step_context, pipeline, step
from pipemount.app import PipelineApp
from pipemount.errors import ConfigurationError, RunCancelledError, RunError
from pipemount.runtime.environment import AMBIENT, ambient, combined
from pipemount.runtime.lending import REQUEST_THREAD, InlineThread, WaitingThread, drive

COLOUR: ContextVar[str] = ContextVar("colour", default="none")


def here() -> str:
    return threading.current_thread().name


@step
def anywhere(thread: str = "") -> str:
    return here()


@step(affinity="request")
def at_home(thread: str = "") -> str:
    return here()


@step(affinity="any")
def away(thread: str = "") -> str:
    return here()


def loop_future() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


async def test_a_waiting_thread_performs_work_before_its_messages() -> None:
    thread = WaitingThread()
    COLOUR.set("red")
    call = asyncio.ensure_future(thread.run(lambda: (here(), COLOUR.get())))
    await asyncio.sleep(0)
    thread.put("message")
    found: list[Any] = []
    waiter = threading.Thread(target=lambda: found.append(thread.get()), name="waiter")
    waiter.start()
    assert await call == ("waiter", "red")
    waiter.join()
    assert found == ["message"]


async def test_what_the_work_raises_reaches_the_caller() -> None:
    thread = WaitingThread()
    call = asyncio.ensure_future(thread.run(lambda: 1 // 0))
    await asyncio.sleep(0)
    thread.put(None)
    await asyncio.to_thread(thread.get)
    with pytest.raises(ZeroDivisionError):
        await call


async def test_a_thread_that_went_on_refuses_work() -> None:
    thread = WaitingThread()
    early = asyncio.ensure_future(thread.run(here))
    await asyncio.sleep(0)
    thread.put("left unread")
    thread.close()
    with pytest.raises(RunCancelledError, match="has ended"):
        await early
    with pytest.raises(RunCancelledError, match="has ended"):
        await thread.run(here)


def test_waiting_can_end_without_anything() -> None:
    with pytest.raises(Empty):
        WaitingThread().get(timeout=0.01)


def test_a_driven_coroutine_may_not_suspend() -> None:
    async def twice(number: int) -> int:
        return await InlineThread().run(lambda: 2 * number)

    async def waits() -> None:
        await asyncio.sleep(0)

    assert drive(twice(4)) == 8
    with pytest.raises(RuntimeError, match="waits"):
        drive(waits())


# ------------------------------------------------------------------------------------------- affinity


@pipeline
def mixed() -> Any:
    first = anywhere()
    second = at_home(first)
    third = at_home(second)
    return {"first": first, "second": second, "third": third, "last": away(third)}


async def run_asked(app: PipelineApp) -> Any:
    found: list[Any] = []

    async def work() -> None:
        found.append((await app.run()).outputs)

    loop, ended = asyncio.get_running_loop(), loop_future()

    def ask() -> None:
        thread = WaitingThread()
        token = REQUEST_THREAD.set(thread)
        asyncio.run_coroutine_threadsafe(work(), loop).add_done_callback(thread.put)
        thread.get(timeout=20).result()
        REQUEST_THREAD.reset(token)
        thread.close()
        loop.call_soon_threadsafe(ended.set_result, None)

    threading.Thread(target=ask, name="asker").start()
    await ended
    await app.lifecycle.aclose()
    return found[0]


async def test_steps_that_want_it_run_in_the_thread_that_asked() -> None:
    outputs = await run_asked(PipelineApp(mixed))
    assert outputs["second"] == outputs["third"] == "asker"
    assert "asker" not in (outputs["first"], outputs["last"])


async def test_the_app_may_want_it_for_all_steps_that_do_not_say() -> None:
    outputs = await run_asked(PipelineApp(mixed, settings=Settings(affinity="request")))
    assert outputs["first"] == outputs["second"] == outputs["third"] == "asker"
    assert outputs["last"] != "asker"


async def test_with_nobody_asking_they_run_in_the_apps_threads() -> None:
    app = PipelineApp(mixed)
    outputs = (await app.run()).outputs
    await app.lifecycle.aclose()
    assert all(name.startswith("pipemount") for name in outputs.values())


async def test_items_of_a_map_take_turns_in_that_thread() -> None:
    inside = threading.Lock()

    @step(affinity="request")
    def item(number: int) -> str:
        assert inside.acquire(blocking=False), "two at a time"
        inside.release()
        return here()

    @pipeline
    def items() -> Any:
        return item.map([1, 2, 3, 4])

    assert await run_asked(PipelineApp(items)) == {"output": ["asker"] * 4}


async def test_retries_and_timeouts_keep_the_thread() -> None:
    tried: list[str] = []

    @step(affinity="request", retry=Retry(attempts=2), timeout=20)
    def shaky() -> str:
        tried.append(here())
        if len(tried) < 2:
            raise OSError
        return here()

    @pipeline
    def shaken() -> Any:
        return shaky()

    assert await run_asked(PipelineApp(shaken)) == {"output": "asker"}
    assert tried == ["asker", "asker"]


def test_an_affinity_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="affinity='main'"):
        step(affinity="main")(here)  # type: ignore[call-overload]  # that is the fault
    with pytest.raises(ConfigurationError, match="affinity='main'"):
        Settings(affinity="main")  # type: ignore[arg-type]  # that is the fault


def test_a_copy_may_have_another() -> None:
    assert at_home.with_options(affinity=None).spec.affinity is None
    assert at_home.with_options(name="other").spec.affinity == "request"


# --------------------------------------------------------------------------------------- environments


class Notes:
    """A step environment that notes who it surrounds, and in which thread."""

    def __init__(self) -> None:
        self.entered: list[tuple[str | None, str]] = []
        self.left = 0

    @contextmanager
    def __call__(self, context: StepContext | None) -> Iterator[None]:
        self.entered.append((context.step_name if context else None, here()))
        try:
            yield
        finally:
            self.left += 1

    @property
    def names(self) -> list[str | None]:
        return [name for name, _ in self.entered]


async def run_in(environment: Any, thing: Any, **inputs: Any) -> Any:
    app = PipelineApp(thing, step_environment=environment)
    try:
        return (await app.run(**inputs)).outputs
    finally:
        await app.lifecycle.aclose()


async def test_an_environment_surrounds_each_sync_step_in_its_thread() -> None:
    notes = Notes()

    @step
    async def on_the_loop(text: str) -> str:
        return text

    @pipeline
    def three() -> Any:
        return on_the_loop(anywhere(away()))

    outputs = await run_in(notes, three)
    assert notes.names == ["away", "anywhere"]
    assert {thread for _, thread in notes.entered} == {outputs["output"]}
    assert notes.left == 2


async def test_it_surrounds_sync_hooks_too() -> None:
    notes = Notes()
    called: list[str] = []

    @step(on_start=lambda: called.append("start"))
    def hooked() -> str:
        return get_step_context().step_name

    @pipeline(on_init=lambda: called.append("init"), on_cleanup=lambda: called.append("cleanup"))
    def whole() -> Any:
        return hooked()

    await run_in(notes, whole)
    assert called == ["init", "start", "cleanup"]
    assert notes.names == [None, "hooked", "hooked", None]


async def test_it_is_left_when_the_step_raises_and_fails_the_step_when_it_raises() -> None:
    notes = Notes()

    @step
    def fails() -> None:
        raise OSError

    @pipeline
    def failing() -> Any:
        fails()

    with pytest.raises(RunError):
        await run_in(notes, failing)
    assert notes.left == 1

    def broken(context: StepContext | None) -> Any:
        if context is not None:
            raise OSError("no connection")
        return Notes()(context)

    with pytest.raises(RunError, match="anywhere"):
        await run_in(broken, pipeline(name="one")(lambda: anywhere()))


async def test_a_step_in_the_thread_that_asked_has_that_threads_own() -> None:
    notes = Notes()
    outputs = await run_asked(PipelineApp(mixed, step_environment=notes))
    assert outputs["second"] == "asker"
    assert notes.names == ["anywhere", "away"]


def test_several_environments_are_nested() -> None:
    order: list[str] = []

    def named(name: str) -> Any:
        @contextmanager
        def environment(context: StepContext | None) -> Iterator[None]:
            order.append(f"+{name}")
            yield
            order.append(f"-{name}")

        return environment

    assert combined(()) is None
    alone = named("a")
    assert combined((alone,)) is alone
    both = combined((named("a"), named("b")))
    assert both is not None
    with both(None):
        order.append("step")
    assert order == ["+a", "+b", "step", "-b", "-a"]


async def test_a_library_in_use_brings_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    notes = Notes()
    library, module = ModuleType("a_library"), ModuleType("an_environment")
    vars(module)["around"] = notes
    monkeypatch.setitem(AMBIENT, "a_library", "an_environment:around")
    monkeypatch.setitem(sys.modules, "an_environment", module)
    assert notes not in ambient()
    monkeypatch.setitem(sys.modules, "a_library", library)
    assert notes in ambient()
    await run_in(None, pipeline(name="one")(lambda: anywhere()))
    assert notes.names == ["anywhere"]
