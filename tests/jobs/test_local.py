"""The runner of the app's own process, where things do not go as usual."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator

from pipemount import PipelineApp, Settings, get_step_context, pipeline, step
from pipemount.jobs.desk import Jobs
from pipemount.jobs.models import JobQuery, JobRequest, Lease
from pipemount.service import new_run_id
from pipemount.types import Principal

GATE = asyncio.Event()


@step
async def hold(a: int, unit: str = "C") -> str:
    get_step_context().emit(a)
    if a == 0:
        await GATE.wait()
    return f"{a} {unit}"


def allowed(value: int) -> int:
    if value > LARGEST:
        raise ValueError("too large by now")
    return value


LARGEST = 100


@pipeline
def holding(a: Annotated[int, AfterValidator(allowed)]) -> Any:
    return hold(a)


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    global GATE
    GATE = asyncio.Event()


@asynccontextmanager
async def running(settings: Settings | None = None) -> AsyncIterator[Jobs]:
    app = PipelineApp(holding, settings=settings or Settings(cleanup_timeout=0.1))
    async with app.lifespan(None):
        yield app.jobs
    assert (app.admission.active, app.admission.queued) == (0, 0), "every place was given back"


def asked(a: int = 1, **options: Any) -> JobRequest:
    inputs = json.dumps({"a": a}).encode()
    return JobRequest(job_id=new_run_id(), pipeline="holding", fingerprint="", inputs=inputs, **options)


async def has(jobs: Jobs, job_id: str, status: str) -> None:
    async with asyncio.timeout(30):
        while (await jobs.get(job_id, None)).status != status:
            await asyncio.sleep(0)


async def test_a_steps_own_parameters_are_those_of_the_request() -> None:
    async with running() as jobs:
        overrides = json.dumps({"hold": {"parameters": {"unit": "F"}}}).encode()
        job = await jobs.until_ended((await jobs.submit(asked(overrides=overrides))).job.id, None)
        assert job.result == b'{"output":"1 F"}'


async def test_inputs_that_were_valid_when_they_were_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as jobs:
        monkeypatch.setattr(f"{__name__}.LARGEST", 1)
        job = await jobs.until_ended((await jobs.submit(asked(7))).job.id, None)
        assert job.error is not None
        assert (job.status, job.error["code"]) == ("failed", "invalid-inputs")
        assert job.error["errors"][0]["loc"] == ["parameters", "a"]


async def test_a_run_whose_lease_is_lost_stops_and_leaves_the_other_outcome_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running() as jobs:
        lost = asyncio.Event()
        append, finish = jobs.store.append, jobs.store.finish

        async def refusing(lease: Lease, events: Any) -> bool:
            if any(event.kind == "data" for event in events):
                lost.set()
                return False
            return await append(lease, events)

        async def stale(lease: Lease, outcome: Any, events: Any = ()) -> bool:
            return await finish(lease._replace(fence=lease.fence - 1), outcome, events)

        monkeypatch.setattr(jobs.store, "append", refusing)
        monkeypatch.setattr(jobs.store, "finish", stale)
        job_id = (await jobs.submit(asked(0))).job.id
        await lost.wait()
        async with asyncio.timeout(30):
            while jobs._runner._works:  # type: ignore[attr-defined]  # of the runner of this process
                await asyncio.sleep(0)
        assert (await jobs.get(job_id, None)).status == "running", "it is another runner's now"


async def test_a_job_that_another_took_meanwhile_is_let_go() -> None:
    async with running(Settings(max_concurrency=1, cleanup_timeout=0.1)) as jobs:
        first = (await jobs.submit(asked(0))).job.id
        second = (await jobs.submit(asked(1))).job.id
        await has(jobs, first, "running")
        assert await jobs.store.claim_job(second, "another") is not None
        GATE.set()
        await jobs.until_ended(first, None)
        third = await jobs.until_ended((await jobs.submit(asked(2))).job.id, None)
        assert third.status == "succeeded", "its place was not lost with it"
        assert (await jobs.get(second, None)).status == "running"


async def test_a_job_that_is_cancelled_just_when_it_gets_its_place() -> None:
    async with running(Settings(max_concurrency=1, cleanup_timeout=0.1)) as jobs:
        first = (await jobs.submit(asked(0))).job.id
        waiting = [(await jobs.submit(asked(1))).job.id for _ in range(3)]
        await has(jobs, first, "running")
        GATE.set()
        for turns in range(3):  # before, while and after it is claimed
            for _ in range(2 * turns):
                await asyncio.sleep(0)
            await jobs.store.request_cancel(waiting[turns], "enough")
            await jobs._runner.revoke(waiting[turns], "enough")
        ended = [await jobs.until_ended(job_id, None) for job_id in waiting]
        assert all(job.status in ("cancelled", "succeeded") for job in ended)
        assert ended[0].status == "cancelled"
        assert (await jobs.list(JobQuery(status=("queued", "running", "cancelling")), None)).jobs == []


async def test_what_nobody_expected_is_logged_and_told_as_such(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("password=1234")

    async with running() as jobs:
        monkeypatch.setattr("pipemount.service.Service.invoke", broken)
        job = await jobs.until_ended((await jobs.submit(asked())).job.id, None)
        assert job.error is not None
        assert (job.status, job.error["status"]) == ("failed", 500)
        assert "1234" not in json.dumps(job.error)
        [last] = await jobs.store.read_events(job.id, 0, 10)
        assert (last.kind, b"1234" in last.body) == ("run_failed", False)
    assert "ZeroDivisionError: password=1234" in caplog.text


async def test_what_the_host_gave_for_its_user_is_let_go_with_the_job() -> None:
    user = object()
    async with running() as jobs:
        ada = Principal("ada", frozenset({"invoke", "read"}), "django", user)
        job = (await jobs.submit(asked(principal=ada))).job
        assert job.request.principal is not None and job.request.principal.user is user
        job = await jobs.until_ended(job.id, replace(ada, user=None))
        assert job.request.principal is not None and job.request.principal.user is None
