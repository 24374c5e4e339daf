"""Two apps of a process on one file, and one app in two places: jobs are performed once, and all locks hold."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from tests.support.asgi import get, post
from tests.support.remote import remote

from pipemount import Local, PipelineApp, Settings, pipeline, step

RAN: Counter[int] = Counter()
GATES: dict[int, asyncio.Event] = {}


@step
async def hold(number: int) -> int:
    RAN[number] += 1
    await asyncio.sleep(0.002)
    if number in GATES:
        await GATES[number].wait()
    return number


@pipeline
def holding(number: int) -> Any:
    return hold(number)


@pytest.fixture(autouse=True)
def fresh() -> None:
    RAN.clear()
    GATES.clear()


def made(path: Path) -> PipelineApp:
    return PipelineApp(
        holding, jobs=Local(f"sqlite:///{path}"), settings=Settings(cleanup_timeout=1.0, max_concurrency=4)
    )


async def held_by(app: PipelineApp) -> tuple[int, str]:
    """The number and the id of a job that this app performs, and goes on with until its gate is opened."""
    for number in range(100, 200):
        GATES[number] = asyncio.Event()
        job = await app.submit(number=number)
        async with asyncio.timeout(60):
            while not RAN[number]:
                await asyncio.sleep(0.005)
        if job.id in {work.job.id for work in app.runner.leased}:
            return number, job.id
        GATES[number].set()  # the other one was quicker
    raise AssertionError("it performs nothing")


async def all_succeed(app: PipelineApp, jobs: list[str]) -> None:
    async with asyncio.timeout(60):
        for job_id in jobs:
            job = await app.jobs.until_ended(job_id, None)
            assert (job.status, job.attempt, job.crashes) == ("succeeded", 1, 0)


async def test_two_apps_on_one_file_perform_each_job_once_and_one_that_stops_drops_no_lock(tmp_path: Path) -> None:
    path, alias = tmp_path / "jobs.db", tmp_path / "by-another-name"
    alias.symlink_to(tmp_path, target_is_directory=True)
    first, second = made(path), made(alias / "jobs.db")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(second.lifespan(None))
        async with first.lifespan(None):
            jobs = [
                (await app.submit(number=2 * each + at)).id
                for each in range(30)
                for at, app in enumerate((first, second))
            ]
            await all_succeed(second, jobs)
            assert set(RAN.values()) == {1} and len(RAN) == 60
            assert sorted(job.id for job in (await first.list(limit=100)).jobs) == sorted(jobs), "one table for both"
            number, held = await held_by(second)
        async with remote(path) as other:
            assert await other("rescue") == 0, "who is left lives"
            await other("submit_all", [])
        GATES[number].set()
        await all_succeed(second, [held])
        assert RAN[number] == 1


async def test_one_app_in_two_places_performs_each_job_once(tmp_path: Path) -> None:
    app = made(tmp_path / "jobs.db")
    host = Starlette(routes=[Mount("/one", app), Mount("/two/deeper", app)], lifespan=app.lifespan)
    async with host.router.lifespan_context(host):
        jobs = []
        for number in range(40):
            answer = await post(
                host, f"/{('one', 'two/deeper')[number % 2]}/submit", {"parameters": {"number": number}}
            )
            assert answer.status == 202
            jobs.append(answer.json()["job_id"])
        await all_succeed(app, jobs)
        assert set(RAN.values()) == {1} and len(RAN) == 40
        for place in ("/one", "/two/deeper"):
            assert (await get(host, f"{place}/jobs/{jobs[0]}")).json()["status"] == "succeeded"
        assert len(list((tmp_path / "jobs.db-files" / "workers").iterdir())) == 1, "it is one worker"
        async with remote(tmp_path / "jobs.db") as other:
            assert await other("rescue") == 0
