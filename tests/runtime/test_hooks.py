"""Hooks: found by name, handed what they have parameters for, watched so that they change nothing."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest

from pipemount import Retry, StepContext, get_step_context, pipeline, step
from pipemount import compile as compile_pipeline
from pipemount.errors import (
    CompileError,
    ConfigurationError,
    DeadlineExceededError,
    PipelineError,
    RunError,
    StepFailedError,
)
from pipemount.inprocess import run_compiled
from pipemount.pipelines.specs import Hook
from pipemount.runtime.hooks import call_hook, find_hooks, observe, resolve
from pipemount.runtime.threads import ThreadPool


@step
def same(value: Any) -> Any:
    return value


@pytest.fixture
def threads() -> Any:
    pool = ThreadPool(2)
    yield pool
    pool.close()


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    made = types.ModuleType("hooks_of_the_team")
    made.text = "no function"  # type: ignore[attr-defined]  # made here
    made.inner = types.SimpleNamespace(load=lambda size: {"size": size})  # type: ignore[attr-defined]  # made here
    monkeypatch.setitem(sys.modules, made.__name__, made)
    return made


# --------------------------------------------------------------------------------- found by name


async def test_a_hook_named_in_a_module_is_called_with_its_keyword_arguments(module: types.ModuleType) -> None:
    @step
    def read(context: StepContext) -> int:
        return int(context.pipeline_state["size"])

    @pipeline(on_init="hooks_of_the_team:inner.load", on_init_kwargs={"size": 5})
    def loaded() -> Any:
        return read()

    assert (await loaded.run()).value == 5


@pytest.mark.parametrize("target", ["no_such_module:load", "hooks_of_the_team:nothing", "hooks_of_the_team:inner.no"])
def test_a_name_that_leads_nowhere_is_explained(module: types.ModuleType, target: str) -> None:
    with pytest.raises(ConfigurationError, match="make the module importable"):
        resolve(Hook(target))


def test_a_name_that_leads_to_no_function_is_explained(module: types.ModuleType) -> None:
    with pytest.raises(ConfigurationError, match="is not callable but str"):
        resolve(Hook("hooks_of_the_team:text"))


def test_a_named_hook_is_not_imported_at_compile() -> None:
    compiled = pipeline(on_init="no_such_module:load")(lambda x: same(x)).compile()
    assert compiled.hooks.on_init == Hook("no_such_module:load")


OF_STEP = ["on_start", "on_success", "on_failure", "on_end"]


@pytest.mark.parametrize("hook", ["on_init", "on_cleanup", *OF_STEP])
async def test_a_wrong_name_keeps_a_pipeline_from_starting(hook: str) -> None:
    ran: list[int] = []
    wrong: dict[str, Any] = {hook: "no_such_module:load"}
    noted = step(lambda: ran.append(1))
    things: list[Any] = [pipeline(name="named", **wrong)(lambda: noted())]
    if hook in OF_STEP:
        things.append(step(lambda: ran.append(1), **wrong))
    for thing in things:
        with pytest.raises(ConfigurationError, match="'no_such_module:load' cannot be found"):
            await run_compiled(compile_pipeline(thing), {})
    assert ran == []


async def test_a_wrong_name_within_a_mapped_pipeline_is_found_as_well(threads: ThreadPool) -> None:
    outer = pipeline(lambda x: same(x)).compile()
    inner = pipeline(on_end="no_such_module:load")(lambda x: same(x)).compile()
    mapped = dataclasses.replace(outer, nodes=(dataclasses.replace(outer.nodes[0], body=inner),))
    with pytest.raises(ConfigurationError, match="cannot be found"):
        await find_hooks(mapped, threads)


# ------------------------------------------------------------------------------------ the whole matrix

SAID: list[tuple[Any, ...]] = []


def taking(form: str, what: str) -> tuple[Any, dict[str, Any]]:
    """A hook in one of its forms, and its keyword arguments. It notes its name and what else it is handed."""

    def noting(seen: Any = "nothing", *, mark: str) -> None:
        SAID.append((what, mark, seen, get_step_context().step_name))

    async def noting_async(seen: Any = "nothing", *, mark: str) -> None:
        await asyncio.sleep(0)
        noting(seen, mark=mark)

    function = noting_async if "async" in form else noting
    if "named" not in form:
        return function, {"mark": form}
    module = sys.modules["hooks_of_the_team"]
    name = f"{what}_hook"
    setattr(module, name, function)
    return f"hooks_of_the_team:{name}", {"mark": form}


def all_hooks(form: str) -> dict[str, Any]:
    hooks: dict[str, Any] = {}
    for what in OF_STEP:
        hooks[what], hooks[f"{what}_kwargs"] = taking(form, what)
    return hooks


FORMS = ["sync", "async", "named sync", "named async"]
BODIES: dict[str, Callable[[bool], Any]] = {}


def body(function: Callable[[bool], Any]) -> Callable[[bool], Any]:
    BODIES[function.__name__] = function
    return function


@body
def in_thread(fails: bool) -> int:
    if fails:
        raise LookupError("lost")
    return 1


@body
async def as_task(fails: bool) -> int:
    return int(in_thread(fails))


@body
def generator(fails: bool) -> Any:
    yield in_thread(fails)


@body
async def async_generator(fails: bool) -> Any:
    yield in_thread(fails)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", [*BODIES, "on_loop"])
@pytest.mark.parametrize("fails", [False, True], ids=["succeeds", "fails"])
async def test_every_hook_of_a_step_in_every_form(form: str, kind: str, fails: bool, module: types.ModuleType) -> None:
    SAID.clear()
    options: dict[str, Any] = {"thread": False} if kind == "on_loop" else {}
    work = step(name="work", **options, **all_hooks(form))(BODIES.get(kind, in_thread))

    with contextlib.suppress(StepFailedError):
        await run_compiled(compile_pipeline(work), {"fails": fails})

    value: Any = [1] if "generator" in kind else 1
    if not fails:
        middle = ("on_success", form, value, "work")
    else:
        name, mark, error, where = SAID[1]
        assert isinstance(error, LookupError)
        middle = (name, mark, error, where)
        assert (name, where) == ("on_failure", "work")
    assert [("on_start", form, "nothing", "work"), middle, ("on_end", form, "nothing", "work")] == SAID


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("fails", [False, True], ids=["succeeds", "fails"])
async def test_every_hook_of_a_run_in_every_form(form: str, fails: bool, module: types.ModuleType) -> None:
    SAID.clear()
    work = step(in_thread)

    @pipeline(**all_hooks(form))
    def watched(fails: bool) -> Any:
        return work(fails)

    with contextlib.suppress(StepFailedError):
        await watched.run(fails=fails)

    middle = SAID[1]
    assert middle[:2] == (("on_failure" if fails else "on_success"), form)
    assert isinstance(middle[2], LookupError) if fails else middle[2] == "nothing"
    assert [("on_start", form, "nothing", ""), middle, ("on_end", form, "nothing", "")] == SAID


async def test_hooks_of_a_run_are_around_those_of_its_steps(module: types.ModuleType) -> None:
    SAID.clear()
    first = step(name="first", **all_hooks("sync"))(lambda: 1)
    second = step(name="second", **all_hooks("async"))(lambda x: x)
    await pipeline(name="watched", **all_hooks("named async"))(lambda: second(first())).run()
    assert [(said[0], said[3]) for said in SAID] == [
        ("on_start", ""),
        ("on_start", "first"),
        ("on_success", "first"),
        ("on_end", "first"),
        ("on_start", "second"),
        ("on_success", "second"),
        ("on_end", "second"),
        ("on_success", ""),
        ("on_end", ""),
    ]


# --------------------------------------------------------------------------------- what they take


class Both:
    async def __call__(self, state: int) -> tuple[Any, ...]:
        return ("async call", state)


async def wanted(level: int, state: int) -> tuple[Any, ...]:
    return level, state


TAKING: dict[str, tuple[Callable[..., Any], dict[str, Any], Any]] = {
    "nothing": (lambda: "none", {}, "none"),
    "the state": (lambda state: state, {}, 7),
    "after its own": (wanted, {"level": 1}, (1, 7)),
    "before its own": (lambda state, level: (state, level), {"level": 1}, (7, 1)),
    "by keyword": (lambda *, state: state, {}, 7),
    "an option": (lambda *, verbose=False: verbose, {}, False),
    "any number": (lambda *args: args, {}, (7,)),
    "any keyword": (lambda state, **options: (state, options), {"a": 1}, (7, {"a": 1})),
    "positional only": (eval("lambda state, /, level=0: (state, level)"), {"level": 2}, (7, 2)),
    "a built-in": (dict, {"a": 1}, {"a": 1}),
    "an object": (Both(), {}, ("async call", 7)),
}


@pytest.mark.parametrize("case", TAKING)
async def test_a_hook_is_handed_what_it_has_parameters_for(case: str, threads: ThreadPool) -> None:
    function, kwargs, expected = TAKING[case]
    assert await call_hook(Hook(function, kwargs), threads, 7) == expected


async def test_a_steps_hooks_take_keyword_arguments_and_can_be_replaced() -> None:
    seen: list[Any] = []

    @step(on_success=lambda channel, value: seen.append((channel, value)), on_success_kwargs={"channel": "news"})
    def work() -> int:
        return 3

    louder = work.with_options(on_success_kwargs={"channel": "alarm"}, on_end=lambda: seen.append("end"))
    for one in (work, louder):
        await run_compiled(compile_pipeline(one), {})

    assert seen == [("news", 3), ("alarm", 3), "end"]
    with pytest.raises(ConfigurationError, match="on_start_kwargs is given without on_start"):
        step(on_start_kwargs={"a": 1})(lambda: 1)
    with pytest.raises(ConfigurationError, match="knows no on_init"):
        work.with_options(on_init=int)
    assert seen == [("news", 3), ("alarm", 3), "end"]


# ------------------------------------------------------------------------------------------- when


@pytest.mark.parametrize("thread", [True, False])
async def test_a_steps_hooks_are_called_once_around_all_its_attempts(thread: bool) -> None:
    seen: list[Any] = []

    def note(what: str) -> Callable[..., None]:
        return lambda: seen.append((what, get_step_context().step_name, get_step_context().attempt))

    options: Any = {"on_start": note("start"), "on_success": note("success"), "on_end": note("end")}

    @step(retry=Retry(attempts=3), timeout=60, thread=thread, **options)
    def flaky() -> int:
        seen.append(get_step_context().attempt)
        if get_step_context().attempt < 3:
            raise ValueError
        return 1

    await run_compiled(compile_pipeline(flaky), {})

    assert seen == [("start", "flaky", 1), 1, 2, 3, ("success", "flaky", 3), ("end", "flaky", 3)]


async def test_a_failure_hook_sees_the_last_attempts_exception_once() -> None:
    seen: list[str] = []

    @step(retry=Retry(attempts=2), on_failure=lambda error: seen.append(str(error)))
    async def fail() -> int:
        raise ValueError(f"attempt {get_step_context().attempt}")

    with pytest.raises(StepFailedError):
        await run_compiled(compile_pipeline(fail), {})

    assert seen == ["attempt 2"]


async def test_a_failure_hook_ends_before_the_siblings_hear_of_it() -> None:
    seen: list[str] = []

    async def slowly() -> None:
        await asyncio.sleep(0.02)
        seen.append("hook")

    @step(on_failure=slowly)
    def fail() -> int:
        raise ValueError

    @step
    def chatty(context: StepContext) -> Any:
        while not context.cancelled:
            yield 1

    @pipeline
    def both() -> Any:
        return fail(), chatty()

    with pytest.raises(StepFailedError, match="'fail'"):
        await both.run()
    assert seen == ["hook"]


async def test_hooks_see_a_run_that_passes_its_deadline() -> None:
    seen: list[str] = []

    def note(error: BaseException) -> None:
        seen.append(type(error).__name__)

    @step(on_failure=note, on_end=lambda: seen.append("end"))
    async def sleep() -> None:
        await asyncio.sleep(60)

    @pipeline(on_failure=note, on_end=lambda: seen.append("run's end"))
    def late() -> Any:
        return sleep()

    with pytest.raises(DeadlineExceededError):
        await run_compiled(compile_pipeline(late), {}, timeout=0.05)
    assert seen == ["CancelledError", "end", "CancelledError", "run's end"]


# --------------------------------------------------------------------------------- what they raise


async def cancelled() -> None:
    raise asyncio.CancelledError


def leave() -> None:
    raise SystemExit(2)


def interrupt() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("raising", [cancelled, leave, interrupt, lambda: 1 / 0])
async def test_what_a_watching_hook_raises_is_logged_and_changes_nothing(
    raising: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    @step(on_success=raising, on_end=raising)
    def work() -> int:
        return 1

    @pipeline(on_success=raising, on_end=raising)
    def watched() -> Any:
        return work()

    with caplog.at_level(logging.ERROR, "pipemount"):
        assert (await watched.run()).value == 1
    assert len(caplog.records) == 4


@pytest.mark.parametrize("raising", [cancelled, leave, interrupt, lambda: 1 / 0])
async def test_what_a_start_hook_raises_fails_the_run(raising: Callable[..., Any]) -> None:
    ended: list[str] = []

    @step(on_start=raising, on_end=lambda: ended.append("step"))
    def work() -> int:
        return 1

    @pipeline(on_start=raising, on_end=lambda: ended.append("run"))
    def never() -> Any:
        return same(1)

    with pytest.raises(StepFailedError, match="'work'"):
        await run_compiled(compile_pipeline(work), {})
    with pytest.raises(StepFailedError, match="'on_start'"):
        await never.run()
    assert ended == ["step", "run"]


async def test_a_start_hook_may_refuse_with_an_error_of_ours() -> None:
    from pipemount import PipelineError

    def refuse() -> None:
        raise PipelineError("closed on Sundays", status=403)

    @pipeline(on_start=refuse)
    def never() -> Any:
        return same(1)

    with pytest.raises(PipelineError, match="Sundays"):
        await never.run()


@pytest.mark.parametrize("error", [OSError(), PipelineError("closed", status=403)])
async def test_a_step_that_its_start_hook_keeps_from_starting_has_failed(error: Exception) -> None:
    def refuse() -> None:
        raise error

    @step(on_start=refuse)
    def guarded() -> int:
        return 1

    @pipeline
    def strict() -> Any:
        return guarded()

    told = []
    with pytest.raises(RunError) as caught:
        async for event in strict.stream():
            told.append((event.kind, event.step))
    assert told == [("run_started", None), ("step_failed", "guarded"), ("run_failed", None)]
    assert caught.value.step == "guarded"


async def test_a_cancellation_from_outside_passes_through_a_hook(threads: ThreadPool) -> None:
    task = asyncio.ensure_future(observe(Hook(asyncio.sleep, {"delay": 60}), threads))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


# ------------------------------------------------------------------------------------------ on_init


async def test_an_async_on_init_runs_on_the_loop_that_runs_the_steps() -> None:
    async def loop_here(*, offset: int) -> tuple[Any, int]:
        await asyncio.sleep(0)
        return asyncio.get_running_loop(), offset

    @step
    async def check(context: StepContext) -> tuple[bool, int]:
        loop, offset = context.pipeline_state
        return loop is asyncio.get_running_loop(), offset

    @pipeline(on_init=loop_here, on_init_kwargs={"offset": 4})
    def started() -> Any:
        return check()

    assert (await started.run()).value == (True, 4)


def test_a_built_in_without_a_signature_cannot_be_a_step() -> None:
    with pytest.raises(CompileError, match="Write a function with named parameters around it"):
        compile_pipeline(max)


# ------------------------------------------------------------------------------- maps and branches


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["in_thread", "as_task", "async_generator"])
async def test_each_item_of_a_map_has_its_hooks(form: str, kind: str, module: types.ModuleType) -> None:
    SAID.clear()
    work = step(name="work", **all_hooks(form))(BODIES[kind])

    @pipeline
    def mapped(flags: list[bool]) -> Any:
        return work.map(flags)

    await mapped.run(flags=[False, False])
    value: Any = [1] if "generator" in kind else 1
    for item in ("work[0]", "work[1]"):
        assert [said[:3] for said in SAID if said[3] == item] == [
            ("on_start", form, "nothing"),
            ("on_success", form, value),
            ("on_end", form, "nothing"),
        ]
    assert len(SAID) == 6


async def test_hooks_of_a_step_that_no_path_reaches_are_not_called(module: types.ModuleType) -> None:
    SAID.clear()
    work = step(name="work", **all_hooks("sync"))(in_thread)

    @pipeline
    def branching(wanted: bool) -> Any:
        if wanted:
            work(False)
        return same(1)

    await branching.run(wanted=False)
    assert SAID == []
    await branching.run(wanted=True)
    assert [said[0] for said in SAID] == ["on_start", "on_success", "on_end"]
