"""J4: durable jobs that are cancelled in every state, twice at the same time, and after their end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic, time
from typing import Any

import pytest
from tests.support.services import shared_postgres

from pipemount import Local, PipelineApp, Settings, StepContext, pipeline, step
from pipemount.errors import JobEndedError
from pipemount.jobs.models import ENDED, Job, JobQuery, JobRequest
from pipemount.service import new_run_id

WHY = "enough"
BEGUN: list[str] = []
AFTER: list[str] = []
LET_GO = threading.Event()
CANCELLED_AT: dict[str, float] = {}

MANY = [20, pytest.param(1000, marks=[pytest.mark.full, pytest.mark.timeout(600)])]


@step
async def hang(context: StepContext) -> str:
    BEGUN.append(context.run_id)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        CANCELLED_AT[context.run_id] = monotonic()
        raise
    return context.run_id


@step
def block(context: StepContext) -> str:
    BEGUN.append(context.run_id)
    LET_GO.wait(60)
    return context.run_id


@step
async def ask(context: StepContext) -> str:
    return str(context.suspend("go on?", bool))


@step
async def after(before: str) -> str:
    AFTER.append(before)
    return before


@pipeline
def hanging() -> Any:
    return after(hang())


@pipeline
def blocking() -> Any:
    return after(block())


@pipeline
def asking() -> Any:
    return after(ask())


@pipeline
def quick(word: str = "done") -> Any:
    return after(word)


PIPELINES = {"hanging": hanging, "blocking": blocking, "asking": asking, "quick": quick}


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    for each in (BEGUN, AFTER, CANCELLED_AT, LET_GO):
        each.clear()
    yield
    LET_GO.set()


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/jobs.db" if request.param == "sqlite" else shared_postgres().new_schema()


@asynccontextmanager
async def serving(url: str, runner: Any = "auto", **settings: Any) -> AsyncIterator[PipelineApp]:
    limits = {"max_jobs": 10_000, "max_queue": 5000, "max_concurrency": 10, **settings}
    app = PipelineApp(PIPELINES, jobs=Local(url, runner=runner), settings=Settings(cleanup_timeout=1.0, **limits))
    async with app.lifespan(None):
        yield app
        async with asyncio.timeout(30):  # a place is given back when the end of its job is written
            while app.admission.active or app.admission.queued or app.runner.leased:
                await asyncio.sleep(0.005)


async def submitted(app: PipelineApp, name: str, count: int, **options: Any) -> list[str]:
    def asked() -> JobRequest:
        return JobRequest(job_id=new_run_id(), pipeline=name, fingerprint="", inputs=b"{}", **options)

    return [(await app.jobs.submit(asked())).job.id for _ in range(count)]


async def until(app: PipelineApp, jobs: Sequence[str], *statuses: str) -> list[Job]:
    found: list[Job] = []
    async with asyncio.timeout(110):
        for job_id in jobs:
            while (job := await app.get(job_id)).status not in statuses:
                await asyncio.sleep(0.005)
            found.append(job)
    return found


async def cancelled_twice(app: PipelineApp, jobs: Sequence[str]) -> None:
    """Each by two callers at the same time, and all as quickly as they can be told of."""
    told = [app.jobs.cancel(job_id, None, WHY) for job_id in jobs for _ in range(2)]
    assert {job.status for job in await asyncio.gather(*told)} <= {"cancelled", "cancelling"}


async def all_cancelled(app: PipelineApp, jobs: Sequence[str]) -> None:
    """All have ended so, are told of so once, and stay so."""
    for job in await until(app, jobs, *ENDED):
        assert (job.status, job.reason) == ("cancelled", WHY)
        events = await app.jobs.store.read_events(job.id, 0, 100)
        assert [event.sequence for event in events] == list(range(1, job.last_event + 1))
        assert [event.kind for event in events if event.kind in ("run_cancelled", "run_completed", "run_failed")] == [
            "run_cancelled"
        ]
        assert await app.jobs.cancel(job.id, None, "once more") == job, "it stays so"
    assert AFTER == [], "no step began behind it"


@pytest.mark.parametrize("many", MANY)
async def test_j4_cancels_of_jobs_that_wait_and_that_run(url: str, many: int) -> None:
    async with serving(url) as app:
        jobs = await submitted(app, "hanging", many)
        async with asyncio.timeout(110):
            while len(BEGUN) < 10:
                await asyncio.sleep(0.005)
        running = list(BEGUN)
        began = monotonic()
        await cancelled_twice(app, running)
        late = sorted(CANCELLED_AT[job_id] - began for job_id in running if job_id in CANCELLED_AT)
        await cancelled_twice(app, jobs)
        await all_cancelled(app, jobs)
        print(f"{len(late)} of {len(running)} runs had ended when they were told of; the last after {late[-1]:.3f} s")
        assert set(CANCELLED_AT) == set(BEGUN), "whatever had begun was stopped"


@pytest.mark.parametrize("many", MANY)
async def test_j4_cancels_of_jobs_that_ask_and_that_are_not_due(url: str, many: int) -> None:
    async with serving(url) as app:
        asking = await submitted(app, "asking", many // 2)
        late = await submitted(app, "hanging", many // 2, run_at=time() + 3600)
        await until(app, asking, "suspended")
        await cancelled_twice(app, [*asking, *late])
        await all_cancelled(app, [*asking, *late])
        assert BEGUN == []


@pytest.mark.parametrize("many", MANY)
async def test_j4_cancels_of_jobs_that_have_ended_change_nothing(url: str, many: int) -> None:
    async with serving(url) as app:
        before = await until(app, await submitted(app, "quick", many), "succeeded")
        for job in before:
            for _ in range(2):
                with pytest.raises(JobEndedError):
                    await app.jobs.cancel(job.id, None, WHY)
            assert await app.get(job.id) == job
        assert len(AFTER) == many


async def test_j4_a_job_in_a_thread_is_cancelling_until_it_returns_and_no_step_begins_behind_it(url: str) -> None:
    async with serving(url, threads=4) as app, serving(url, "external") as other:
        jobs = await submitted(app, "blocking", 4)
        async with asyncio.timeout(60):
            while len(BEGUN) < 4:
                await asyncio.sleep(0.005)
        await cancelled_twice(app, jobs)
        for each in (app, other):
            found = (await each.jobs.list(JobQuery(status=("cancelling",)), None)).jobs
            assert sorted(job.id for job in found) == sorted(jobs), "until they return"
        LET_GO.set()
        await all_cancelled(app, jobs)


async def test_j4_cancels_in_another_process_reach_who_performs_the_jobs(url: str) -> None:
    async with serving(url) as app, serving(url, "external") as other:
        jobs = await submitted(other, "hanging", 10)
        async with asyncio.timeout(60):
            while len(BEGUN) < 10:
                await asyncio.sleep(0.005)
        began = monotonic()
        await cancelled_twice(other, jobs)
        await all_cancelled(app, jobs)
        print(f"10 runs of another process were stopped within {max(CANCELLED_AT.values()) - began:.3f} s")
        assert set(CANCELLED_AT) == set(jobs)
