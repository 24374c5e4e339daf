"""However a run is asked for, the same places, quotas and deadlines hold for it, and are told in the same words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.http.test_limits import KEYS, Gate, keys, until
from tests.support.asgi import Answer, Connection, get, post
from tests.support.sockets import Socket

from pipemount import Limits, PipelineApp, RateLimit, Settings, step
from pipemount.errors import OverloadedError, RateLimitedError
from pipemount.types import Principal

WAYS: dict[str, tuple[str, bytes, dict[str, str]]] = {
    "invoke": ("/slow/invoke", b'{"parameters":{}}', {}),
    "keyed invoke": ("/slow/invoke", b'{"parameters":{}}', {"idempotency-key": '"one"'}),
    "mode=async": ("/slow/invoke?mode=async", b'{"parameters":{}}', {}),
    "submit": ("/slow/submit", b'{"parameters":{}}', {}),
    "mode=stream": ("/slow/invoke?mode=stream", b'{"parameters":{}}', {}),
    "event stream": ("/slow/invoke", b'{"parameters":{}}', {"accept": "text/event-stream"}),
    "batch": ("/slow/batch", b"[{}]", {}),
    "keyed batch": ("/slow/batch", b"[{}]", {"idempotency-key": '"one"'}),
}
FULL: dict[str, dict[str, Any]] = {
    "app": {"max_concurrency": 1, "max_queue": 0},
    "pipeline": {"pipeline_limits": {"slow": Limits(1, 0)}},
    "key": {"key_concurrency": 1},
}


@asynccontextmanager
async def busy(gate: Gate, **settings: Any) -> AsyncIterator[PipelineApp]:
    """An app in which ann's run goes on until the test lets it go."""
    pipelines = {"slow": step(gate.wait), "other": step(gate.wait)}
    app = PipelineApp(pipelines, auth=keys(), settings=Settings(**settings))
    async with app.lifespan(None):
        first = asyncio.create_task(app.calling(principal=person()).run("slow"))
        await until(lambda: app.admission.active)
        try:
            yield app
        finally:
            gate.free.set()
        assert (await first).value == 1
        await until(lambda: not app.admission.active)


def person() -> Principal:
    return keys().authenticate(None, KEYS["ann"].encode())


def asked(app: PipelineApp, way: str) -> Connection:
    """A request whose body has not come, and would be read."""
    path, body, more = WAYS[way]
    path, _, query = path.partition("?")
    headers = {"content-type": "application/json", "content-length": str(len(body)), "x-api-key": KEYS["ann"], **more}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    connection = Connection(app, "POST", path, headers=raw, query=query.encode())
    connection.feed(body)
    return connection


async def answered(app: PipelineApp, way: str) -> tuple[Answer, int]:
    """The answer, and how much of the body was read for it."""
    connection = asked(app, way)
    await asyncio.wait_for(connection.run(), 30)
    return connection.answer, connection.received


@pytest.mark.parametrize("full", FULL)
@pytest.mark.parametrize("way", WAYS)
async def test_what_is_full_refuses_before_a_body_is_read(way: str, full: str) -> None:
    async with busy(Gate(), **FULL[full]) as app:
        answer, read = await answered(app, way)

        assert (answer.status, read) == (429, 0)
        assert (answer.json()["code"], answer.json()["full"]) == ("overloaded", full)
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.headers["content-type"] == "application/problem+json"
        assert app.admission.refusals == {full: 1}
        assert (await get(app, "/jobs", headers={"x-api-key": KEYS["ann"]})).json()["jobs"] == []


@pytest.mark.parametrize("full", FULL)
async def test_a_socket_and_calls_of_our_own_are_refused_as_well(full: str) -> None:
    async with busy(Gate(), **FULL[full]) as app:
        async with Socket(app, "/stream", headers={"x-api-key": KEYS["ann"]}) as socket:
            told = await socket.ask(type="invoke", pipeline="slow", parameters={}, id=1)
            assert (told["type"], told["problem"]["code"], told["problem"]["full"]) == ("error", "overloaded", full)
        calling = app.calling(principal=person(), wait=False)
        with pytest.raises(OverloadedError) as refused:
            await calling.run("slow")
        assert refused.value.full == full
        with pytest.raises(OverloadedError):
            await asyncio.to_thread(calling.run_sync, "slow")
        with pytest.raises(OverloadedError):
            async for _ in calling.stream("slow"):
                raise AssertionError("it was not begun")


async def test_calls_of_our_own_wait_until_their_deadline() -> None:
    gate = Gate()
    async with busy(gate, max_concurrency=1) as app:
        waiting = [asyncio.create_task(app.calling(principal=person()).run("slow"))]
        waiting.append(asyncio.create_task(asyncio.to_thread(app.calling(principal=person()).run_sync, "slow")))
        await until(lambda: app.admission.queued == 2)
        gate.free.set()
        assert [(await task).value for task in waiting] == [1, 1]


@pytest.mark.parametrize("way", WAYS)
async def test_the_quota_is_told_whatever_the_answer_and_counts_each_run(way: str) -> None:
    gate = Gate()
    gate.free.set()
    app = PipelineApp({"slow": step(gate.wait)}, auth=keys(), settings=Settings(rate_limit=RateLimit(2, 3600)))
    async with app.lifespan(None):
        answer, _ = await answered(app, way)
        assert answer.status in (200, 202)
        assert answer.headers["ratelimit"] == '"default";r=1;t=1800', answer.headers
        path, _, _ = WAYS[way]
        wrong = await post(app, path.replace("slow/", ""), b"nonsense", headers=as_ann(way))
        assert (wrong.status, wrong.headers["ratelimit-policy"]) == (400, '"default";q=2;w=3600')
        await until(lambda: not app.admission.active)
        app.admission.charge(person(), app.admission.rates.left(("key", "ann"))[0])  # type: ignore[union-attr]  # it is

        refused = asked(app, way)
        await refused.run()
        assert (refused.answer.status, refused.received) == (429, 0)
        assert refused.answer.json()["code"] == "quota-exceeded"
        assert refused.answer.headers["ratelimit"] == f'"default";r=0;t={refused.answer.headers["retry-after"]}'
        with pytest.raises(RateLimitedError):
            await app.calling(principal=person()).run()


def as_ann(way: str) -> dict[str, str]:
    more = {name: '"another"' if name == "idempotency-key" else value for name, value in WAYS[way][2].items()}
    return {"x-api-key": KEYS["ann"], **more}


LATE: dict[str, Callable[[PipelineApp], Awaitable[Answer]]] = {
    "invoke": lambda app: post(app, "/invoke", {"parameters": {}, "timeout": 1.5}),
    "submit": lambda app: post(app, "/submit", {"parameters": {}, "timeout": 1.5}),
    "mode=stream": lambda app: post(app, "/invoke?mode=stream", {"parameters": {}, "timeout": 1.5}),
    "batch": lambda app: post(app, "/batch?timeout=1.5", b"[{}]"),
}


@pytest.mark.parametrize("way", LATE)
async def test_a_timeout_beyond_the_apps_own_is_422(way: str) -> None:
    gate = Gate()
    app = PipelineApp(step(gate.wait), settings=Settings(request_timeout=1.0))
    async with app.lifespan(None):
        answer = await LATE[way](app)
        assert (answer.status, answer.json()["errors"][0]["type"]) == (422, "less_than_equal")
        assert gate.seen == []


async def test_j5_a_deadline_holds_for_jobs_too() -> None:
    gate = Gate()
    app = PipelineApp(step(gate.wait))
    async with app.lifespan(None):
        url = (await post(app, "/submit", {"parameters": {}, "timeout": 0.1})).json()["poll_url"]
        async with asyncio.timeout(30):
            while (job := (await get(app, url)).json())["status"] in ("queued", "running"):
                await asyncio.sleep(0.005)
        assert (job["status"], job["error"]["code"], job["error"]["status"]) == ("failed", "deadline-exceeded", 504)
        assert gate.seen == ["begun", "cancelled"]
        assert app.admission.active == 0


async def test_j4_a_job_in_a_thread_is_cancelling_until_its_function_returns() -> None:
    gate = Gate()
    app = PipelineApp(step(gate.hold), settings=Settings(max_concurrency=1, max_queue=0))
    async with app.lifespan(None):
        job_id = (await post(app, "/submit", {"parameters": {}})).json()["job_id"]
        await asyncio.to_thread(gate.running.wait, 30)
        answer = await post(app, f"/jobs/{job_id}/cancel", {})
        assert (answer.status, answer.json()["status"], answer.json()["cancel_requested"]) == (200, "cancelling", True)

        told = (await get(app, "/status")).json()
        assert (told["jobs"]["cancelling"], told["concurrency"]["active"]) == (1, 1)
        assert (await post(app, "/invoke", {"parameters": {}})).status == 429, "its place is kept"
        gate.let_go.set()
        await until(lambda: not app.admission.active)
        assert gate.seen == ["cancelled: True"]
        assert (await get(app, f"/jobs/{job_id}")).json()["status"] == "cancelled"


async def test_j4_a_run_that_nobody_waits_for_is_told_as_cancelling() -> None:
    gate = Gate()
    app = PipelineApp(step(gate.hold))
    async with app.lifespan(None):
        assert (await post(app, "/invoke", {"parameters": {}, "timeout": 0.05})).status == 504
        told = (await get(app, "/status")).json()["concurrency"]
        assert (told["active"], told["cancelling"]) == (1, 1)
        text = (await get(app, "/metrics", headers={"accept": "text/plain"})).body.decode()
        assert "pipemount_places_cancelling 1" in text
        gate.let_go.set()
        await until(lambda: not app.admission.active)
        assert (await get(app, "/status")).json()["concurrency"]["cancelling"] == 0
