"""Row D9 of the hardening matrix: little that is sent never makes much that is done."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from tests.support.asgi import Connection, get, request
from tests.support.spending import within

from pipemount import AuthKeys, PipelineApp, Settings, pipeline, step

SLOWER = 3
KEYS = {name: name * 43 for name in ("a", "b")}

runs: list[int] = []


@step
async def note(number: int) -> int:
    runs.append(number)
    return number


@pipeline
def noting(number: int = 0) -> Any:
    return note(number)


@step
async def wait() -> None:
    await asyncio.Event().wait()


@pipeline
def waiting() -> Any:
    return wait()


BATCHES = {
    "empty": b"{}",
    "alike": b'{"number":1}',
    "wrong": b'{"number":[]}',
    "no objects": b"1",
}


@pytest.mark.parametrize("key", [None, '"one"'])
@pytest.mark.parametrize("item", BATCHES)
async def test_d9_a_batch_of_a_million_is_refused_unread_by_the_pipeline(item: str, key: str | None) -> None:
    body = b"[" + b",".join([BATCHES[item]] * 1_000_000) + b"]"
    headers = {"content-type": "application/json"} | ({} if key is None else {"idempotency-key": key})
    app = PipelineApp(noting, settings=Settings(max_body_bytes=len(body)))
    async with app.lifespan(None):
        answer = await within(0.2 * SLOWER, lambda: request(app, "POST", "/batch", body=body, headers=headers))
        assert (answer.status, answer.json()["errors"][0]["type"]) == (422, "too_long")
        assert (await get(app, "/jobs")).json()["jobs"] == []
        assert app.admission.active == 0
    assert runs == []


@pytest.mark.parametrize("limit", ["1e9", "1000000000", "201", "9" * 5000])
async def test_d9_a_list_of_a_billion_is_422(limit: str) -> None:
    app = PipelineApp(noting)
    async with app.lifespan(None):
        answer = await get(app, f"/jobs?limit={limit}")
        assert (answer.status, answer.json()["errors"][0]["loc"]) == (422, ["query", "limit"])
        assert len((await get(app, "/jobs?limit=200")).json()["jobs"]) <= 200


@pytest.mark.parametrize(("most", "asked"), [(50, 500), pytest.param(1000, 10_000, marks=pytest.mark.full)])
async def test_d9_ten_thousand_streams_of_a_key_are_a_thousand_and_429s(most: int, asked: int) -> None:
    app = PipelineApp(waiting, auth=AuthKeys(KEYS), settings=Settings(max_streams=most, max_concurrency=1))

    def reader(path: str, key: str) -> Connection:
        return Connection(app, "GET", path, headers=[(b"x-api-key", KEYS[key].encode())])

    async with app.lifespan(None):
        headers = {"content-type": "application/json", "x-api-key": KEYS["a"]}
        made = await request(app, "POST", "/submit", body=b'{"parameters":{}}', headers=headers)
        path = made.json()["stream_url"]
        readers = [reader(path, "a") for _ in range(asked)]
        tasks = [asyncio.create_task(each.run()) for each in readers]
        async with asyncio.timeout(100):
            while not all(each.sent for each in readers):
                await asyncio.sleep(0.01)
        statuses = Counter(each.sent[0]["status"] for each in readers)
        assert statuses == {200: most, 429: asked - most}
        refused = next(each.answer for each in readers if each.sent[0]["status"] == 429)
        assert (refused.json()["code"], refused.json()["limit"]) == ("too-many-streams", most)
        assert int(refused.headers["retry-after"]) >= 1

        other = reader(path, "b")
        await other.run()
        assert other.answer.status == 404, "it is told that this is not its job, not that there is no place"
        for each in readers:
            each.disconnect()
        await asyncio.wait(tasks)
        assert len(app.streams) == 0
        again = reader(path, "a")
        task = asyncio.create_task(again.run())
        while not again.sent:
            await asyncio.sleep(0)
        assert again.sent[0]["status"] == 200
        again.disconnect()
        await task
        await request(app, "POST", path.replace("/events", "/cancel"), headers=headers)
