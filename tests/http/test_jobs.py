"""Jobs over HTTP, seen from outside."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.support.asgi import Answer, Connection, get, post, request
from tests.support.stores import STORES

from pipemount import AuthKeys, PipelineApp, PipelineError, Settings, pipeline, step
from pipemount.auth import Key

RUNS: list[str] = []
RELEASE = asyncio.Event()


@step
async def speak(word: str, loud: bool) -> str:
    RUNS.append(word)
    if word == "wait":
        await RELEASE.wait()
    if word == "linger":  # as who has to clean up when cancelled
        try:
            await asyncio.Event().wait()
        finally:
            await RELEASE.wait()
    if word == "fail":
        raise PipelineError("no such word", status=418)
    return word.upper() if loud else word


@pipeline
def say(word: str, loud: bool = True) -> str:
    said: str = speak(word, loud)
    return said


@pytest.fixture(autouse=True, params=STORES)
def fresh(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test is of every store: no route knows which one it is."""
    global RELEASE
    RUNS.clear()
    RELEASE = asyncio.Event()
    monkeypatch.setattr("pipemount.http.application.MemoryStore", STORES[request.param])


@pytest.fixture
async def app() -> AsyncIterator[PipelineApp]:
    app = PipelineApp(say, settings=Settings(cleanup_timeout=5))
    async with app.lifespan(None):
        yield app
        RELEASE.set()


@pytest.fixture
async def locked() -> AsyncIterator[PipelineApp]:
    keys = [Key(name, f"{name}-key", permissions=("invoke", "read", "cancel")) for name in ("ada", "bob")]
    auth = AuthKeys([*keys, Key("root", "root-key", permissions=("admin",))])
    app = PipelineApp({"say": say, "tell": say}, auth=auth, settings=Settings(cleanup_timeout=5))
    async with app.lifespan(None):
        yield app
        RELEASE.set()


def asked(word: str = "hello") -> dict[str, Any]:
    return {"parameters": {"word": word}}


async def submitted(app: PipelineApp, word: str = "hello", path: str = "/submit", **options: Any) -> str:
    answer = await post(app, path, asked(word), **options)
    assert answer.status == 202, answer.body
    return str(answer.json()["job_id"])


async def begun(app: PipelineApp, word: str = "wait") -> str:
    """A job that runs until ``RELEASE`` is set."""
    job_id = await submitted(app, word)
    async with asyncio.timeout(30):
        while not RUNS:
            await asyncio.sleep(0.001)
    return job_id


async def ended(app: PipelineApp, job_id: str, **options: Any) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while True:
            record: dict[str, Any] = (await get(app, f"/jobs/{job_id}", **options)).json()
            if record["status"] in ("succeeded", "failed", "cancelled"):
                return record
            await asyncio.sleep(0)


def by(name: str) -> dict[str, Any]:
    return {"headers": {"x-api-key": f"{name}-key"}}


def keyed(key: str) -> dict[str, Any]:
    return {"headers": {"idempotency-key": key}}


# ------------------------------------------------------------------------------------------- accepting


@pytest.mark.parametrize("path", ["/submit", "/invoke?mode=async", "/pipelines/say/submit", "/say/submit"])
async def test_a_job_is_accepted(app: PipelineApp, path: str) -> None:
    answer = await post(app, path, asked())
    body = answer.json()
    assert answer.status == 202
    assert body == {
        "job_id": body["job_id"],
        "run_id": body["job_id"],
        "status": "queued",
        "poll_url": f"/jobs/{body['job_id']}",
        "stream_url": f"/jobs/{body['job_id']}/events",
    }
    assert answer.headers["location"] == body["poll_url"]
    assert answer.headers["x-run-id"] == body["job_id"]
    assert (await ended(app, body["job_id"]))["outputs"] == {"output": "HELLO"}


@pytest.mark.parametrize("root", ["/ai", "/a/b c", "/proxy/app"])
async def test_links_begin_where_the_request_came_in(app: PipelineApp, root: str) -> None:
    answer = await post(app, f"{root}/submit", asked(), root_path=root)
    base = root.replace(" ", "%20")
    assert answer.headers["location"] == f"{base}/jobs/{answer.json()['job_id']}"
    record = (await get(app, f"{root}/jobs/{answer.json()['job_id']}", root_path=root)).json()
    assert {
        record[name].removesuffix(record["job_id"])[: len(base) + 6] for name in record if name.endswith("_url")
    } == {f"{base}/jobs/"}


async def test_a_record(app: PipelineApp) -> None:
    record = await ended(app, await submitted(app))
    assert record["parameters"] == {"word": "hello", "loud": True}
    assert record["outputs"] == {"output": "HELLO"}
    assert (record["status"], record["error"], record["reason"], record["attempt"]) == ("succeeded", None, None, 1)
    moments = [datetime.fromisoformat(record[name]) for name in ("created_at", "started_at", "finished_at")]
    assert moments == sorted(moments)
    assert {moment.utcoffset() for moment in moments} == {timedelta(0)}
    assert record["run_name"] == f"say-{record['job_id']}"


async def test_the_record_of_a_failure(app: PipelineApp) -> None:
    record = await ended(app, await submitted(app, "fail"))
    assert (record["status"], record["outputs"]) == ("failed", None)
    assert (record["error"]["status"], record["error"]["detail"]) == (418, "no such word")
    assert record["error"]["step"] == "speak"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/submit", b"{", 400),
        ("/submit", {"parameters": {}}, 422),
        ("/submit", {"parameters": {"word": "x"}, "other": 1}, 422),
        ("/invoke?mode=async", {"parameters": {"word": 1}}, 422),
        ("/invoke?mode=async&mode=sync", asked(), 422),
    ],
)
async def test_what_is_no_good_is_refused_at_once(app: PipelineApp, path: str, body: Any, status: int) -> None:
    assert (await post(app, path, body)).status == status
    assert (await get(app, "/jobs")).json() == {"jobs": [], "next_cursor": None}


async def test_a_body_over_the_limit_is_refused() -> None:
    app = PipelineApp(say, settings=Settings(max_body_bytes=100))
    async with app.lifespan(None):
        assert (await post(app, "/submit", asked("x" * 100))).status == 413
        assert (await request(app, "POST", "/submit", body=b"{}", headers={"content-type": "text/plain"})).status == 415
        assert (await post(app, "/submit", asked(), headers={"accept": "text/html"})).status == 406


# --------------------------------------------------------------------------------------------- listing


async def test_a_list_pages_through_all(app: PipelineApp) -> None:
    ids = [await submitted(app) for _ in range(5)]
    for job_id in ids:
        await ended(app, job_id)
    found, cursor = [], ""
    while True:
        page = (await get(app, f"/jobs?limit=2{cursor}")).json()
        found += page["jobs"]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert [job["job_id"] for job in found] == ids[::-1]
    assert all("outputs" not in job and "parameters" not in job for job in found)


async def test_a_list_by_status_and_by_pipeline(locked: PipelineApp) -> None:
    good = await submitted(locked, "hello", "/say/submit", **by("ada"))
    bad = await submitted(locked, "fail", "/tell/submit", **by("ada"))
    waits = await submitted(locked, "wait", "/tell/submit", **by("ada"))
    await ended(locked, good, **by("ada"))
    await ended(locked, bad, **by("ada"))
    async with asyncio.timeout(30):
        while "wait" not in RUNS:
            await asyncio.sleep(0.001)
    expected = {
        "status=succeeded": [good],
        "status=failed&status=succeeded": [bad, good],
        "status=failed,running": [waits, bad],
        "status=cancelled": [],
        "pipeline=tell": [waits, bad],
        "pipeline=tell&status=failed": [bad],
        "pipeline=other": [],
        "": [waits, bad, good],
    }
    for query, ids in expected.items():
        page = (await get(locked, f"/jobs?{query}", **by("ada"))).json()
        assert [job["job_id"] for job in page["jobs"]] == ids, query


@pytest.mark.parametrize(
    "query",
    [
        *(
            "status=done",
            "status=",
            "status=queued,",
            "limit=0",
            "limit=201",
            "limit=1e9",
            "limit=-1",
            "limit=",
            "limit=٣",
        ),
        "limit=1&limit=2",
        "cursor=x",
        "cursor=",
        "cursor=1&cursor=2",
        "pipeline=a&pipeline=b",
        "cursor=" + "9" * 19,
    ],
)
async def test_d9_what_a_list_cannot_be_asked_for_is_422(app: PipelineApp, query: str) -> None:
    answer = await get(app, f"/jobs?{query}")
    assert answer.status == 422
    assert answer.json()["errors"][0]["loc"] == ["query", query.partition("=")[0]]


# ----------------------------------------------------------------------------- cancelling and forgetting


async def test_a_job_is_cancelled(app: PipelineApp) -> None:
    job_id = await begun(app, "linger")
    first = await request(app, "POST", f"/jobs/{job_id}/cancel")
    assert (first.status, first.json()["status"]) == (200, "cancelling")
    RELEASE.set()
    record = await ended(app, job_id)
    assert (record["status"], record["reason"]) == ("cancelled", "cancelled on request")
    again = await request(app, "POST", f"/jobs/{job_id}/cancel")
    assert (again.status, again.json()) == (200, record)


async def test_who_cancelled_is_told(locked: PipelineApp) -> None:
    job_id = await submitted(locked, "wait", "/say/submit", **by("ada"))
    await request(locked, "POST", f"/jobs/{job_id}/cancel", **by("root"))
    assert (await ended(locked, job_id, **by("ada")))["reason"] == "cancelled on request of root"


async def test_what_ended_is_not_cancelled(app: PipelineApp) -> None:
    job_id = await submitted(app)
    await ended(app, job_id)
    answer = await request(app, "POST", f"/jobs/{job_id}/cancel")
    assert (answer.status, answer.json()["code"], answer.json()["job_status"]) == (409, "job-ended", "succeeded")


async def test_a_job_that_failed_is_retried(app: PipelineApp) -> None:
    job_id = await submitted(app, "fail")
    await ended(app, job_id)
    answer = await request(app, "POST", f"/jobs/{job_id}/retry")
    second = answer.json()["job_id"]
    assert (answer.status, answer.headers["location"], answer.headers["x-run-id"]) == (202, f"/jobs/{second}", second)
    assert answer.json() == {
        "job_id": second,
        "run_id": second,
        "status": "queued",
        "poll_url": f"/jobs/{second}",
        "stream_url": f"/jobs/{second}/events",
    }
    record = await ended(app, second)
    assert (record["status"], record["parameters"]) == ("failed", {"word": "fail", "loud": True})
    assert RUNS == ["fail", "fail"]


async def test_what_has_not_ended_is_not_retried_nor_what_succeeded(app: PipelineApp) -> None:
    job_id = await begun(app)
    early = await request(app, "POST", f"/jobs/{job_id}/retry")
    assert (early.status, early.json()["code"]) == (409, "job-not-ended")
    assert early.json()["job_status"] in ("queued", "running")
    RELEASE.set()
    await ended(app, job_id)
    late = await request(app, "POST", f"/jobs/{job_id}/retry")
    assert (late.status, late.json()["code"], late.json()["job_status"]) == (409, "job-ended", "succeeded")
    assert RUNS == ["wait"]


async def test_a_retry_with_a_key_happens_once(app: PipelineApp) -> None:
    first, other = await submitted(app, "fail"), await submitted(app, "fail")
    for job_id in (first, other):
        await ended(app, job_id)
    key = {"idempotency-key": '"k"'}
    answers = [await request(app, "POST", f"/jobs/{job_id}/retry", headers=key) for job_id in (first, first, other)]
    assert [answer.status for answer in answers] == [202, 202, 202]
    assert answers[1].body == answers[0].body
    assert answers[1].headers["idempotency-replayed"] == "true"
    assert answers[2].json()["job_id"] != answers[0].json()["job_id"]
    wrong = await request(app, "POST", f"/jobs/{first}/retry", headers={"idempotency-key": '"'})
    assert wrong.status == 400


async def test_who_may_not_see_a_job_does_not_retry_it(locked: PipelineApp) -> None:
    job_id = await submitted(locked, "fail", "/say/submit", **by("ada"))
    await ended(locked, job_id, **by("ada"))
    hidden = await request(locked, "POST", f"/jobs/{job_id}/retry", **by("bob"))
    assert (hidden.status, hidden.json()["code"]) == (404, "not-found")
    by_admin = await request(locked, "POST", f"/jobs/{job_id}/retry", **by("root"))
    assert by_admin.status == 202
    assert (await ended(locked, by_admin.json()["job_id"], **by("ada")))["status"] == "failed"


async def test_a_job_is_deleted_when_it_has_ended(app: PipelineApp) -> None:
    job_id = await submitted(app, "wait")
    early = await request(app, "DELETE", f"/jobs/{job_id}")
    assert (early.status, early.json()["code"]) == (409, "job-not-ended")
    RELEASE.set()
    await ended(app, job_id)
    answer = await request(app, "DELETE", f"/jobs/{job_id}")
    assert (answer.status, answer.body) == (204, b"")
    assert (await get(app, f"/jobs/{job_id}")).status == 404
    assert (await request(app, "DELETE", f"/jobs/{job_id}")).status == 404


async def test_a4_somebody_elses_job_is_answered_as_one_that_never_was(locked: PipelineApp) -> None:
    job_id = await submitted(locked, path="/say/submit", **by("ada"))
    await ended(locked, job_id, **by("ada"))
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/cancel")):
        theirs = await request(locked, method, f"/jobs/{job_id}{path}", **by("bob"))
        unknown = await request(locked, method, f"/jobs/nothing{path}", **by("bob"))
        assert theirs.status == unknown.status == 404
        assert theirs.body.replace(job_id.encode(), b"nothing") == unknown.body
    assert (await get(locked, "/jobs", **by("bob"))).json()["jobs"] == []
    assert len((await get(locked, "/jobs", **by("root"))).json()["jobs"]) == 1
    assert (await get(locked, f"/jobs/{job_id}", **by("ada"))).status == 200


# ------------------------------------------------------------------------------------------- once only


@pytest.mark.parametrize("word", ["hello", "fail"])
async def test_the_same_key_gives_the_same_answer(app: PipelineApp, word: str) -> None:
    first = await post(app, "/invoke", asked(word), **keyed('"k"'))
    again = await post(app, "/invoke", asked(word), **keyed('"k"'))
    assert first.status == (200 if word == "hello" else 418)
    assert (again.status, again.body) == (first.status, first.body)
    assert again.headers.pop("idempotency-replayed") == "true"
    assert again.headers == first.headers
    assert [word] == RUNS


async def test_an_answer_under_a_key_is_like_one_without(app: PipelineApp) -> None:
    for word in ("hello", "fail"):
        plain = await post(app, "/invoke", asked(word))
        once = await post(app, "/invoke", asked(word), **keyed(word))
        assert once.status == plain.status
        assert once.headers.keys() == plain.headers.keys()
        assert shape(once.json()) == shape(plain.json())


def shape(value: Any) -> Any:
    return {key: shape(item) for key, item in value.items()} if isinstance(value, dict) else type(value)


@pytest.mark.parametrize(("one", "other"), [('"k"', "k"), (r'"a\"b"', r'"a\"b"')])
async def test_a_key_may_be_quoted_or_bare(app: PipelineApp, one: str, other: str) -> None:
    assert await submitted(app, **keyed(one)) == await submitted(app, **keyed(other))


@pytest.mark.parametrize("key", ["", '""', '"', '"a', "a b", "a,b", '"a"b', '"ü"', "x" * 256, '"a\\b"', "a\tb", "a;b"])
async def test_a_key_that_is_none_is_refused_before_the_body_is_read(app: PipelineApp, key: str) -> None:
    for path in ("/submit", "/invoke"):
        sent = [(b"content-type", b"application/json"), (b"idempotency-key", key.encode())]
        connection = Connection(app, "POST", path, headers=sent)
        await connection.run()
        assert (connection.answer.status, connection.answer.json()["code"]) == (400, "malformed-request")
        assert connection.received == 0


async def test_two_keys_are_none(app: PipelineApp) -> None:
    sent = [(b"content-type", b"application/json"), (b"idempotency-key", b"a"), (b"idempotency-key", b"b")]
    connection = Connection(app, "POST", "/invoke", headers=sent)
    await connection.run()
    assert connection.answer.status == 400


async def test_a_key_with_another_body_is_refused(app: PipelineApp) -> None:
    await post(app, "/invoke", asked(), **keyed("k"))
    answer = await post(app, "/invoke", asked("other"), **keyed("k"))
    assert (answer.status, answer.json()["code"]) == (422, "idempotency-mismatch")
    assert RUNS == ["hello"]


async def test_a_key_whose_first_request_still_runs(app: PipelineApp) -> None:
    first = asyncio.create_task(post(app, "/invoke", asked("wait"), **keyed("k")))
    while not RUNS:
        await asyncio.sleep(0)
    answer = await post(app, "/invoke", asked("wait"), **keyed("k"))
    assert (answer.status, answer.json()["code"]) == (409, "idempotency-running")
    assert int(answer.headers["retry-after"]) > 0
    RELEASE.set()
    assert (await first).status == 200
    assert (await post(app, "/invoke", asked("wait"), **keyed("k"))).body == (await first).body


async def test_a_second_submit_finds_the_first_while_it_runs(app: PipelineApp) -> None:
    first = await post(app, "/submit", asked("wait"), **keyed("k"))
    again = await post(app, "/submit", asked("wait"), **keyed("k"))
    assert (again.status, again.body) == (202, first.body)
    assert again.headers["idempotency-replayed"] == "true"
    await request(app, "POST", f"/jobs/{first.json()['job_id']}/cancel")


async def test_a_key_is_of_one_caller_and_one_pipeline(locked: PipelineApp) -> None:
    calls = [(path, caller) for path in ("/say/submit", "/tell/submit") for caller in ("ada", "bob")]
    ids = set()
    for path, caller in calls:
        sent = {"headers": {**by(caller)["headers"], "idempotency-key": "k"}}
        ids.add((await post(locked, path, asked(), **sent)).headers["x-run-id"])
    assert len(ids) == len(calls)


async def test_a_key_runs_once_however_it_is_asked_for(app: PipelineApp) -> None:
    first = await post(app, "/invoke", asked(), **keyed("k"))
    stream = await post(app, "/invoke?mode=stream", asked(), **keyed("k"))
    submitted = await post(app, "/submit", asked(), **keyed("k"))
    assert {answer.headers["x-run-id"] for answer in (first, submitted)} == {first.headers["x-run-id"]}
    assert stream.headers["location"].endswith(first.headers["x-run-id"])
    assert b"event: run_completed" in stream.body
    assert len(RUNS) == 1


async def test_who_leaves_a_request_with_a_key_finds_its_answer_later(app: PipelineApp) -> None:
    raw = [(b"content-type", b"application/json"), (b"idempotency-key", b"k")]
    connection = Connection(app, "POST", "/invoke", headers=raw)
    connection.feed(json.dumps(asked("wait")).encode())
    running = asyncio.create_task(connection.run())
    while not RUNS:
        await asyncio.sleep(0)
    connection.disconnect()
    await running
    assert connection.sent == []
    RELEASE.set()
    [job] = (await get(app, "/jobs")).json()["jobs"]
    await ended(app, job["job_id"])
    answer = await post(app, "/invoke", asked("wait"), **keyed("k"))
    assert (answer.status, answer.json()["outputs"]) == (200, {"output": "WAIT"})
    assert RUNS == ["wait"]


async def test_who_waits_for_a_job_that_is_cancelled_is_told(app: PipelineApp) -> None:
    first = asyncio.create_task(post(app, "/invoke", asked("wait"), **keyed("k")))
    while not RUNS:
        await asyncio.sleep(0)
    [job] = (await get(app, "/jobs")).json()["jobs"]
    await request(app, "POST", f"/jobs/{job['job_id']}/cancel")
    answer = await first
    assert (answer.status, answer.json()["code"]) == (409, "job-cancelled")
    assert answer.headers["x-run-id"] == job["job_id"]


async def test_who_waits_when_the_app_stops_is_told_to_come_back() -> None:
    app = PipelineApp(say, settings=Settings(cleanup_timeout=0.1))
    async with app.lifespan(None):
        waiting = asyncio.create_task(post(app, "/invoke", asked("wait"), **keyed("k")))
        while not RUNS:
            await asyncio.sleep(0)
    answer = await waiting
    assert (answer.status, answer.json()["code"]) == (503, "draining")
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize("path", ["/submit", "/invoke"])
async def test_j1_a_hundred_at_once_with_one_key(app: PipelineApp, path: str) -> None:
    answers: list[Answer] = await asyncio.gather(*(post(app, path, asked(), **keyed("k")) for _ in range(100)))
    await ended(app, next(answer.headers["x-run-id"] for answer in answers if answer.status < 300))
    assert RUNS == ["hello"]
    good = {answer.body for answer in answers if answer.status in (200, 202)}
    assert len(good) == 1
    assert {answer.status for answer in answers} <= {200, 202, 409}
