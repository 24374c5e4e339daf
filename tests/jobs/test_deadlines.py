"""J5: deadlines of the steps and runs of durable jobs, in a process that has more to do than it can."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from tests.support.services import shared_postgres

from pipemount import Local, PipelineApp, Settings, StepContext, pipeline, step
from pipemount.jobs.models import ENDED, Job, JobRequest
from pipemount.service import new_run_id

LIMIT = 0.2
"""Seconds that a step, or a run, may take here."""

AFTER: list[str] = []
FREED: list[str] = []


async def hang(context: StepContext) -> str:
    try:
        await asyncio.Event().wait()
    finally:
        FREED.append(context.run_id)
    return context.run_id


patient, hasty = step(name="patient")(hang), step(name="hasty", timeout=LIMIT)(hang)


@step
def burn(seconds: float) -> str:
    """Python in a thread, which leaves others little time."""
    end = monotonic() + seconds
    while monotonic() < end:
        sum(range(1000))
    return "burnt"


@step
async def after(before: str) -> str:
    AFTER.append(before)
    return before


@pipeline
def late_steps() -> Any:
    return after(hasty())


@pipeline
def late_runs() -> Any:
    return after(patient())


@pipeline
def burning(seconds: float = 0.1) -> Any:
    return burn(seconds)


PIPELINES = {"late_steps": late_steps, "late_runs": late_runs, "burning": burning}


@pytest.fixture(autouse=True)
def fresh() -> None:
    AFTER.clear()
    FREED.clear()


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/jobs.db" if request.param == "sqlite" else shared_postgres().new_schema()


@asynccontextmanager
async def serving(url: str, **settings: Any) -> AsyncIterator[PipelineApp]:
    limits = {"max_queue": 5000, "max_jobs": 10_000, "max_concurrency": 20, **settings}
    app = PipelineApp(PIPELINES, jobs=Local(url), settings=Settings(cleanup_timeout=1.0, **limits))
    async with app.lifespan(None):
        yield app
        async with asyncio.timeout(30):  # a place is given back when the end of its job is written
            while app.admission.active or app.admission.queued or app.runner.leased:
                await asyncio.sleep(0.005)


async def submitted(
    app: PipelineApp, name: str, count: int, timeout: float | None = None, inputs: bytes = b"{}"
) -> list[str]:
    def asked() -> JobRequest:
        return JobRequest(job_id=new_run_id(), pipeline=name, fingerprint="", inputs=inputs, timeout=timeout)

    return [(await app.jobs.submit(asked())).job.id for _ in range(count)]


async def ended(app: PipelineApp, jobs: list[str]) -> list[Job]:
    found: list[Job] = []
    async with asyncio.timeout(110):
        for job_id in jobs:
            while (job := await app.get(job_id)).status not in ENDED:
                await asyncio.sleep(0.005)
            found.append(job)
    return found


async def lateness(app: PipelineApp, job: Job, since: str) -> float:
    """Seconds after its deadline at which a job was told to have failed."""
    events = await app.jobs.store.read_events(job.id, 0, 100)
    times = {event.kind: _time(event.body) for event in events}
    return times["run_failed"] - times[since] - LIMIT


def _time(body: bytes) -> float:
    return float(json.loads(body)["time"])


@pytest.mark.parametrize("many", [20, pytest.param(500, marks=[pytest.mark.full, pytest.mark.timeout(600)])])
async def test_j5_deadlines_of_steps_and_of_runs_under_load(url: str, many: int) -> None:
    async with serving(url) as app:
        burning = await submitted(app, "burning", 10)
        steps = await submitted(app, "late_steps", many)
        runs = await submitted(app, "late_runs", many, timeout=LIMIT)
        late: list[float] = []
        for jobs, code, since in ((steps, "step-timeout", "step_started"), (runs, "deadline-exceeded", "run_started")):
            for job in await ended(app, jobs):
                assert job.error is not None
                assert (job.status, job.error["code"], job.error["status"]) == ("failed", code, 504)
                late.append(await lateness(app, job, since))
                assert (job.finished or 0) - (job.started or 0) > LIMIT, "none before its time"
        assert sorted(FREED) == sorted([*steps, *runs]), "what they held was freed"
        assert AFTER == [], "no step begins behind a deadline"
        assert {job.status for job in await ended(app, burning)} == {"succeeded"}
        late.sort()
        print(
            f"{len(late)} deadlines under load: half within {late[len(late) // 2]:.3f} s, "
            f"99 of 100 within {late[len(late) * 99 // 100]:.3f} s, all within {late[-1]:.3f} s"
        )


@pytest.mark.parametrize("url", ["sqlite", pytest.param("postgres", marks=pytest.mark.full)], indirect=True)
async def test_j5_a_job_that_waits_for_its_place_has_its_whole_time_when_it_begins(url: str) -> None:
    async with serving(url, max_concurrency=1) as app:
        held = await submitted(app, "burning", 1, inputs=b'{"seconds":2.3}')
        behind = await submitted(app, "burning", 1, timeout=2.0, inputs=b'{"seconds":0}')
        [first, second] = await ended(app, held + behind)
        assert (first.status, second.status) == ("succeeded", "succeeded"), "the queue does not count"
        [began, *_] = await app.jobs.store.read_events(second.id, 0, 1)
        assert _time(began.body) - second.created > 2.0


async def test_j5_a_thread_that_ignores_its_deadline_keeps_its_place_until_it_returns(url: str) -> None:
    async with serving(url, max_concurrency=1) as app:
        [late] = await submitted(app, "burning", 1, timeout=0.05)
        [behind] = await submitted(app, "burning", 1)
        [job] = await ended(app, [late])
        assert job.error is not None and job.error["code"] == "deadline-exceeded"
        assert [job.status for job in await ended(app, [behind])] == ["succeeded"]
