"""Tasks that belong together: the first that fails ends all, and whoever waits learns why."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from tests.support.graphs import call, execute, graph, node, of

from pipemount import step
from pipemount.errors import StepTimeoutError
from pipemount.runtime.call import Call
from pipemount.runtime.crew import Crew
from pipemount.runtime.executor import Executor
from pipemount.runtime.plan import build_plan
from pipemount.runtime.run import Run
from pipemount.runtime.threads import ThreadPool


def crew() -> tuple[Crew, Run]:
    empty = graph()
    run = Run(Call(empty.input.validate({}), "id"), build_plan(empty))
    return Crew(run), run


async def test_a_crew_without_tasks_has_nothing_to_wait_for() -> None:
    together, run = crew()
    await together.wait()
    assert not run.cancelled


async def test_the_first_failure_is_raised_and_nothing_starts_after_it() -> None:
    together, run = crew()
    started: list[str] = []

    async def fail() -> None:
        together.fail(KeyError("first"))
        together.fail(ValueError("second"))
        together.start(late)

    async def late() -> None:
        started.append("late")

    together.start(fail)
    with pytest.raises(KeyError, match="first"):
        await together.wait()
    await asyncio.sleep(0)
    assert (started, run.cancelled) == ([], True)


async def test_a_failure_stands_though_who_waits_is_cancelled_while_the_others_end() -> None:
    together, _ = crew()
    ending = asyncio.Event()

    async def fail() -> None:
        together.fail(KeyError("first"))

    async def slow() -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            ending.set()
            await asyncio.sleep(0.01)

    together.start(slow)
    await asyncio.sleep(0)
    together.start(fail)
    waiting = asyncio.create_task(together.wait())
    await ending.wait()
    waiting.cancel()
    with pytest.raises(KeyError):
        await waiting


async def test_the_end_of_the_loop_passes_through() -> None:
    together, _ = crew()
    with pytest.raises(GeneratorExit):
        together.fail(GeneratorExit())
    await together.wait()


@pytest.mark.parametrize("swiftly", [True, False])
async def test_a_step_that_keeps_its_cancellation_to_itself_is_the_last_of_its_run(swiftly: bool) -> None:
    begun = asyncio.Event()
    ran: list[str] = []

    @step
    async def stubborn() -> int:
        begun.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(30)
        ran.append("stubborn")
        return 1

    @step
    async def after(x: int) -> int:
        ran.append("after")
        return x

    body = graph(node("stubborn", stubborn), node("after", after, x=of("stubborn")), outputs={"y": of("after")})
    pool = ThreadPool(1)
    executor, asked = Executor(body, pool), call(body, {})
    running: Any = executor.run_swiftly if swiftly else executor.run
    task = asyncio.create_task(running(asked, dict))
    await begun.wait()
    asked.cancel()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    pool.close()
    assert ran == ["stubborn"]


async def test_a_step_that_keeps_its_timeout_to_itself_fails_all_the_same() -> None:
    @step(timeout=0.01)
    async def stubborn() -> int:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(30)
        return 1

    with pytest.raises(StepTimeoutError):
        await execute(graph(node("stubborn", stubborn)))
