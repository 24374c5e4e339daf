"""A store of jobs that cannot be reached: what needs it is told to come back, nothing else notices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from tests.support.asgi import get, post, request
from tests.support.stores import Elsewhere

from pipemount import PipelineApp, Settings, pipeline, step

ENTERED, RELEASE = asyncio.Event(), asyncio.Event()


@step
async def hold(number: int) -> int:
    if number == 0:
        ENTERED.set()
        await RELEASE.wait()
    return number


@pipeline
def held(number: int = 1) -> int:
    found: int = hold(number)
    return found


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    global ENTERED, RELEASE
    ENTERED, RELEASE = asyncio.Event(), asyncio.Event()
    monkeypatch.setattr("pipemount.http.application.MemoryStore", Elsewhere)


@pytest.fixture
async def app() -> AsyncIterator[PipelineApp]:
    app = PipelineApp(held, settings=Settings(cleanup_timeout=0.1))
    async with app.lifespan(None):
        yield app
        store_of(app).down = False


def store_of(app: PipelineApp) -> Elsewhere:
    return cast("Elsewhere", app.jobs.store)


def keyed(key: str) -> dict[str, Any]:
    return {"headers": {"idempotency-key": key}}


async def test_what_needs_it_is_told_to_come_back(app: PipelineApp) -> None:
    job_id = (await post(app, "/submit", {"parameters": {}})).json()["job_id"]
    await app.jobs.until_ended(job_id, None)
    one: dict[str, Any] = {"parameters": {}}

    async def all_of_them() -> list[int]:
        answers = [
            await post(app, "/submit", one),
            await post(app, "/invoke?mode=async", one),
            await post(app, "/invoke?mode=stream", one, headers={"accept": "text/event-stream"}),
            await post(app, "/invoke", one, **keyed("a")),
            await post(app, "/batch", b"[{}]", **keyed("b")),
            await get(app, "/jobs"),
            await get(app, f"/jobs/{job_id}"),
            await get(app, f"/jobs/{job_id}/events", headers={"last-event-id": "1"}),
            await get(app, "/health/ready"),
            await get(app, "/health"),
            await request(app, "DELETE", f"/jobs/{job_id}"),
        ]
        for answer in answers:
            if answer.status == 503:
                assert (answer.json()["code"], answer.headers["retry-after"]) == ("store", "1")
                assert answer.json()["detail"] == "the database cannot be reached"
        return [answer.status for answer in answers]

    store_of(app).down = True
    assert await all_of_them() == [503] * 11
    assert (await request(app, "POST", f"/jobs/{job_id}/cancel")).status == 503
    assert (await post(app, "/invoke", one)).json()["outputs"] == {"output": 1}, "it needs no job"
    assert (await post(app, "/batch", b"[{}]")).status == 200
    assert (await get(app, "/health/live")).status == 200
    store_of(app).down = False
    assert await all_of_them() == [202, 202, 200, 200, 200, 200, 200, 200, 200, 200, 204]
    assert (app.admission.active, app.admission.queued) == (0, 0)


async def test_a_run_under_which_it_goes_down_gives_its_place_back(
    app: PipelineApp, caplog: pytest.LogCaptureFixture
) -> None:
    waiting = asyncio.create_task(post(app, "/invoke", {"parameters": {"number": 0}}, **keyed("k")))
    async with asyncio.timeout(30):
        await ENTERED.wait()
        while not store_of(app).asked_to_wait:
            await asyncio.sleep(0)
        store_of(app).down = True
        RELEASE.set()
        while app.admission.active:
            await asyncio.sleep(0)
        assert "could not be performed to its end" in caplog.text
        store_of(app).down = False
        await app.lifecycle.shutdown()
        answer = await waiting
    assert (answer.status, answer.json()["code"]) == (503, "draining"), "whoever waits is not left alone"
