"""Jobs that something brings to this process, one by one: nothing is claimed before there is a place for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pipemount import Local, PipelineApp, Settings, pipeline, step
from pipemount.jobs.alone import Alone
from pipemount.jobs.models import Lease, Outcome
from pipemount.jobs.work import Work

GATE = asyncio.Event()
BEGUN: list[int] = []


@step
async def hold(number: int) -> int:
    BEGUN.append(number)
    if number == 0:
        await GATE.wait()
    return number


@pipeline
def holding(number: int) -> Any:
    return hold(number)


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[PipelineApp]:
    global GATE
    GATE = asyncio.Event()
    BEGUN.clear()
    app = PipelineApp(
        holding, jobs=Local(f"sqlite:///{tmp_path}/jobs.db"), settings=Settings(max_concurrency=2, cleanup_timeout=1)
    )
    app.runner.claims = False
    async with app.lifespan(None):
        yield app
    assert (app.admission.active, app.admission.queued) == (0, 0), "every place was given back"


async def test_more_jobs_than_there_are_places_are_performed_one_after_another(app: PipelineApp) -> None:
    jobs = [await app.submit(number=number) for number in range(1, 6)]
    for job in jobs:
        assert await app.runner.perform(job.id)
        assert app.admission.active == 0
        assert not await app.runner.perform(job.id), "it has ended"
    assert {(await app.get(job)).status for job in jobs} == {"succeeded"}
    assert BEGUN == [1, 2, 3, 4, 5]


async def test_a_job_for_which_there_is_no_place_is_left_to_others_until_there_is_one(app: PipelineApp) -> None:
    held = [await app.submit(number=0), await app.submit(number=0)]
    performing = [asyncio.create_task(app.runner.perform(job.id)) for job in held]
    while len(BEGUN) < 2:
        await asyncio.sleep(0.01)
    job = await app.submit(number=1)
    waiting = asyncio.create_task(app.runner.perform(job.id))
    while not app.admission.queued:
        await asyncio.sleep(0.01)
    assert (await app.get(job)).status == "queued"
    GATE.set()
    assert await asyncio.gather(*performing, waiting) == [True, True, True]
    assert (await app.get(job)).status == "succeeded"


async def test_a_job_that_crashed_waits_for_a_turn_in_the_store_and_takes_nobodys_place(
    app: PipelineApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What brings it brings it again, to whom has a turn; in whose places it waited nothing else was begun."""

    async def performed(self: Alone, target: str, lease: Lease, work: Work) -> str:
        alone.append(lease.job.id)
        await GATE.wait()
        await app.jobs.store.finish(lease, Outcome(status="succeeded"))
        return "done"

    alone: list[str] = []
    monkeypatch.setattr(Alone, "_perform", performed)
    monkeypatch.setattr(Alone, "target", "shop:app")
    monkeypatch.setattr(app.runner.performing.alone, "at_once", 1)
    crashed = [await app.submit(number=0) for _ in range(3)]
    for job in crashed:
        lease = await app.jobs.store.claim_job(job.id, "w")
        assert lease is not None and await app.jobs.store.requeue(lease, crashed=True)
    first = asyncio.create_task(app.runner.perform(crashed[0].id))
    while not alone:
        await asyncio.sleep(0.01)
    async with asyncio.timeout(30):
        assert not any(await asyncio.gather(*(app.runner.perform(job.id) for job in crashed[1:])))
        assert await app.runner.perform((await app.submit(number=1)).id)
    left = [await app.get(job) for job in crashed[1:]]
    assert [(job.status, job.attempt, job.crashes) for job in left] == [("queued", 1, 1)] * 2
    GATE.set()
    assert await first
    async with asyncio.timeout(30):
        while not await app.runner.perform(crashed[1].id):
            await asyncio.sleep(0.05)
    assert alone == [crashed[0].id, crashed[1].id]
