"""J5: jobs that are to be begun within some seconds, whoever is busy, whoever is there, and however that is said."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from time import time
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.support.servers import wait_until
from tests.support.services import shared_postgres

from pipemount import Local, PipelineApp, Settings, pipeline, step
from pipemount.client import Client
from pipemount.errors import ConfigurationError, JobExpiredError, OverloadedError
from pipemount.jobs.models import Job, JobRequest
from pipemount.jobs.sending import Letter, Sender
from pipemount.service import new_run_id

BEGUN: list[int] = []
GATE: list[bool] = []
LIMIT = 0.1
"""Seconds in which jobs are to be begun here."""


@step
async def hold(a: int) -> int:
    BEGUN.append(a)
    while a < 0 and not GATE:
        await asyncio.sleep(0.005)
    return a


@pipeline
def holding(a: int) -> Any:
    return hold(a)


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    BEGUN.clear()
    GATE.clear()
    yield
    GATE.clear()


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str | None:
    if request.param == "memory":
        return None
    return f"sqlite:///{tmp_path}/jobs.db" if request.param == "sqlite" else shared_postgres().new_schema()


def app_at(url: str | None, *, runner: Any = "auto", **settings: Any) -> PipelineApp:
    limits = Settings(**{"cleanup_timeout": 0.2, "max_concurrency": 1, **settings})
    return PipelineApp(holding, settings=limits, jobs=None if url is None else Local(url, runner=runner))


@asynccontextmanager
async def running(url: str | None, **options: Any) -> AsyncIterator[PipelineApp]:
    app = app_at(url, **options)
    async with app.lifespan(None):
        yield app


def asked(a: int, **options: Any) -> JobRequest:
    inputs = json.dumps({"a": a}).encode()
    return JobRequest(job_id=new_run_id(), pipeline="holding", fingerprint="", inputs=inputs, **options)


async def ended(app: PipelineApp, job_id: str) -> Job:
    async with asyncio.timeout(60):
        return await app.jobs.until_ended(job_id, None)


async def begun(number: int) -> None:
    async with asyncio.timeout(60):
        while number not in BEGUN:
            await asyncio.sleep(0.005)


def has_expired(job: Job) -> bool:
    error: Mapping[str, Any] = job.error or {}
    return (job.status, error.get("code"), error.get("status")) == ("failed", "job-expired", 504)


@pytest.mark.parametrize("many", [20, pytest.param(500, marks=[pytest.mark.full, pytest.mark.timeout(600)])])
async def test_j5_deadlines_of_the_queue_where_all_places_are_taken(url: str | None, many: int) -> None:
    async with running(url, max_queue=many, max_jobs=10_000) as app:
        held = await app.submit(a=-1)
        await begun(-1)
        expires = 0.5 + many / 100  # so that all stand in line before the first one's time is over
        jobs = await asyncio.gather(*(app.calling(expires=expires).submit(a=number) for number in range(many)))
        with pytest.raises(OverloadedError):
            await app.submit(a=1)
        failed = [await ended(app, job.id) for job in jobs]
        assert all(map(has_expired, failed))
        late = sorted((job.finished or 0.0) - job.created - expires for job in failed)
        assert late[0] >= 0, "none before its time"
        for job in failed:
            [event] = await app.jobs.store.read_events(job.id, 0, 9)
            assert (event.sequence, event.kind) == (1, "run_failed")
        async with asyncio.timeout(60):
            while app.admission.queued:
                await asyncio.sleep(0.005)
        assert (await app.get(held.id)).status == "running", "who was begun has nothing to do with it"
        after = await app.submit(a=many)
        GATE.append(True)
        assert {(await ended(app, job_id)).status for job_id in (held.id, after.id)} == {"succeeded"}
    assert [-1, many] == BEGUN, "what has expired is never begun"
    print(f"{many} deadlines of a full queue: half within {late[many // 2]:.3f} s, all within {late[-1]:.3f} s")


async def test_j5_where_no_worker_runs_whoever_has_the_store_open_sees_to_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db"
    async with running(url, runner="external") as web:
        assert has_expired(await ended(web, (await web.calling(expires=LIMIT).submit(a=1)).id))
        silent = (await web.jobs.store.submit(asked(2, expires=LIMIT))).job
        assert has_expired(await ended(web, silent.id)), "also where another process has taken it"
    assert BEGUN == []


async def test_what_expired_while_nobody_was_there_is_not_begun_when_somebody_is(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db"
    app = app_at(url)
    await app.jobs.store.open()
    job = (await app.jobs.store.submit(asked(1, expires=LIMIT))).job
    await app.jobs.store.close()
    await asyncio.sleep(LIMIT)
    async with running(url) as later:
        assert has_expired(await ended(later, job.id))
    assert BEGUN == []


async def test_a_job_that_was_begun_in_time_is_tried_again_when_its_time_is_over(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db"
    async with running(url) as app:
        job = await app.calling(expires=0.5).submit(a=-1)
        await begun(-1)
    await asyncio.sleep(0.5)
    GATE.append(True)
    async with running(url) as app:
        assert (await ended(app, job.id)).status == "succeeded"
    assert BEGUN == [-1, -1]


async def test_the_time_of_a_job_that_is_retried_begins_anew(url: str | None) -> None:
    async with running(url) as app:
        await app.submit(a=-1)
        await begun(-1)
        job = await ended(app, (await app.calling(expires=LIMIT).submit(a=1)).id)
        second = await app.retry(job)
        assert (second.request.expires, second.expires_at) == (LIMIT, second.created + LIMIT)
        assert has_expired(await ended(app, second.id))


@pytest.mark.parametrize("expires", [0, -1, float("nan"), float("inf"), 3])
def test_times_that_cannot_be(expires: float) -> None:
    with pytest.raises(ConfigurationError, match="expires"):
        app_at(None).calling(delay=3, expires=expires)


async def test_a_run_is_no_job() -> None:
    async with running(None) as app:
        with pytest.raises(ConfigurationError, match="for jobs"):
            await app.calling(expires=1).run(a=1)


# ------------------------------------------------------------------------------------ ways to say it


def http(client: TestClient) -> str:
    job_id: str = client.post("/submit", json={"parameters": {"a": 1}, "expires": LIMIT}).json()["job_id"]
    return job_id


def websocket(client: TestClient) -> str:
    with client.websocket_connect("/stream") as socket:
        socket.send_json({"type": "invoke", "parameters": {"a": 1}, "expires": LIMIT})
        told = [socket.receive_json()]
        while told[-1]["type"] != "ended":
            told.append(socket.receive_json())
    assert [each["event"]["kind"] for each in told[1:-1]] == ["run_failed"]
    job_id: str = told[0]["job_id"]
    return job_id


def of_a_client(client: TestClient) -> str:
    return client_of(client).calling(expires=LIMIT).submit(a=1).id


def client_of(http: Any) -> Client[..., Any]:
    return Client("http://testserver", http=http)


@pytest.mark.parametrize("way", [http, websocket, of_a_client])
def test_whoever_submits_says_it(way: Callable[[TestClient], str]) -> None:
    with TestClient(app_at(None)) as client:
        client.post("/submit", json={"parameters": {"a": -1}})
        job_id = way(client)
        while (record := client.get(f"/jobs/{job_id}").json())["finished_at"] is None:
            assert record["expires_at"] > record["created_at"]
        assert (record["error"]["code"], record["expires_at"]) == ("job-expired", None)
        with pytest.raises(JobExpiredError) as raised:
            client_of(client).result(job_id)
        assert raised.value.expires == LIMIT
    assert BEGUN == [-1]


@pytest.mark.parametrize("expires", [0, 0.01, -1, "1", 1e300])
def test_what_cannot_be_a_time_is_422(expires: Any) -> None:
    with TestClient(app_at(None)) as client:
        refused = client.post("/submit", json={"parameters": {"a": 1}, "expires": expires})
        assert (refused.status_code, refused.json()["errors"][0]["loc"]) == (422, ["expires"])


def test_a_run_that_waited_longer_for_its_place_is_504() -> None:
    with TestClient(app_at(None)) as client:
        held = client.post("/submit", json={"parameters": {"a": -1}}).json()["job_id"]
        while -1 not in BEGUN:
            pass
        assert client.portal is not None
        client.portal.start_task_soon(_let_go)
        late = client.post("/invoke", json={"parameters": {"a": 1}, "expires": LIMIT})
        assert (late.status_code, late.json()["code"]) == (504, "job-expired")
        assert client.get(f"/jobs/{held}").json()["status"] == "succeeded"
        assert client.post("/invoke", json={"parameters": {"a": 2}, "expires": LIMIT}).status_code == 200
    assert BEGUN == [-1, 2]


async def _let_go() -> None:
    await asyncio.sleep(3 * LIMIT)
    GATE.append(True)


# -------------------------------------------------------------------------------------------- sending


class Away:
    """An engine whose broker is away for a while."""

    broker = "the broker"
    passing = (ConnectionError,)

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.left = count(3, -1)

    def begin(self) -> None:
        """Nothing."""

    def hang_up(self) -> None:
        """Nothing."""

    def send(self, letter: Letter) -> None:
        """The first ones in vain."""
        if next(self.left) > 0:
            raise ConnectionError("away")
        self.sent.append(letter.job_id)


def test_what_has_expired_is_not_sent_when_the_broker_is_back(caplog: pytest.LogCaptureFixture) -> None:
    carrier = Away()
    sender = Sender(carrier)
    now = time()
    with caplog.at_level(logging.CRITICAL):
        sender.start()
        for name, until in (("late", now + 0.05), ("later", now + 0.05), ("in time", now + 60), ("any time", None)):
            letter = Letter(name, "holding", None, 1.0)
            sender.post(name, lambda letter=letter: carrier.send(letter), until)  # type: ignore[misc]  # a default
        wait_until(lambda: len(carrier.sent) == 2)
        sender.stop(60)
    assert sorted(carrier.sent) == ["any time", "in time"]
