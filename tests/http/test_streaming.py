"""Streams of jobs' events, with a client that reads part by part: who sees what, and what ends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from tests.support.asgi import Connection
from tests.support.events import EventReader
from tests.support.following import begun, following

from pipemount import AuthKeys, PipelineApp, Settings, StepContext, pipeline, step
from pipemount.errors import ConfigurationError
from pipemount.http.streams import Streams
from pipemount.jobs.models import Job, JobQuery
from pipemount.runtime import draining

HEADERS = {"content-type": "application/json"}

words: asyncio.Queue[str | None]
heard: list[str]


@step
async def say(count: int, context: StepContext) -> AsyncIterator[str]:
    try:
        for _ in range(count):
            word = await words.get()
            if word is None:
                return
            yield word
    except asyncio.CancelledError:
        heard.append("cancelled")
        raise


@pipeline
def talk(count: int = 1000) -> Any:
    return say(count)


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., Any]]:
    global words, heard
    words, heard = asyncio.Queue(), []
    apps: list[PipelineApp] = []

    async def made(auth: AuthKeys | None = None, **settings: Any) -> PipelineApp:
        app = PipelineApp(talk, auth=auth, settings=Settings(**settings))
        apps.append(app)
        await app.lifecycle.startup()
        return app

    yield made
    for app in apps:
        await app.lifecycle.shutdown()


async def get(app: PipelineApp, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with app.client() as client:
        return await client.request(method, path, headers=named)


def tell(*told: str | None) -> None:
    for word in told:
        words.put_nowait(word)


async def ended(app: PipelineApp, job_id: str) -> Job:
    return await app.jobs.until_ended(job_id, None)


async def all_left(app: PipelineApp) -> None:
    while len(app.streams):
        await asyncio.sleep(0)


# ------------------------------------------------------------------------------------------ mode=stream


async def test_a_run_is_told_as_it_happens(make: Any) -> None:
    app = await make()
    async with begun(app, count=2) as stream:
        headers = stream.response.headers
        assert headers["content-type"] == "text/event-stream; charset=utf-8"
        assert headers["cache-control"] == "no-store"
        assert headers["x-accel-buffering"] == "no"
        assert headers["location"] == f"/jobs/{stream.job_id}"
        assert (await stream.until("step_started")).id == "2"
        assert stream.reader.retry == 2000
        tell("one")
        assert (await stream.until("delta")).json()["data"] == {"value": "one"}
        tell("two")
        told = await stream.rest()

    assert [each.type for each in told] == ["delta", "step_completed", "run_completed"]
    assert told[-1].json()["data"]["outputs"] == {"output": ["one", "two"]}
    assert told[-1].json()["run_id"] == stream.job_id
    assert (await ended(app, stream.job_id)).status == "succeeded"
    assert len(app.streams) == 0


async def test_accept_asks_for_a_stream_too(make: Any) -> None:
    app = await make()
    async with app.client() as client:
        found = await client.post(
            "/talk/invoke", json={"parameters": {"count": 0}}, headers={"accept": "text/event-stream"}
        )

    assert found.headers["content-type"].startswith("text/event-stream")
    assert "event: run_completed" in found.text


async def test_mode_stream_asks_for_a_stream_by_itself(make: Any) -> None:
    app = await make()
    async with app.client() as client:
        body, headers = {"parameters": {"count": 0}}, {"accept": "application/json"}  # as `curl --json` says
        found = await client.post("/invoke?mode=stream", json=body, headers=headers)

    assert (found.status_code, found.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")


@pytest.mark.parametrize(
    ("parameters", "headers", "status"),
    [
        ({"count": "many"}, {}, 422),
        ({"count": 1, "unknown": 2}, {}, 422),
        ({"count": 1}, {"content-type": "text/plain"}, 415),
        ({"count": 1}, {"accept": "text/html"}, 406),
        ({"count": 1}, {"content-length": str(2**40)}, 413),
    ],
)
async def test_what_is_refused_is_refused_before_the_stream_begins(
    make: Any, parameters: Any, headers: dict[str, str], status: int
) -> None:
    app = await make()
    async with app.client() as client:
        found = await client.post("/invoke?mode=stream", json={"parameters": parameters}, headers=HEADERS | headers)

    assert found.status_code == status
    assert found.headers["content-type"] == "application/problem+json"
    assert len(app.streams) == 0


async def test_a_failure_of_the_run_is_its_last_event(make: Any) -> None:
    app = await make()
    async with app.client() as client:
        body = {"parameters": {}, "timeout": 0.05}
        found = await client.post("/invoke?mode=stream", json=body)
    told = list(EventReader().feed(found.content))

    assert found.status_code == 200
    assert told[-1].type == "run_failed"
    assert told[-1].json()["data"]["code"] == "deadline-exceeded"


async def test_h3_a_caller_who_leaves_cancels_the_run(make: Any) -> None:
    app = await make()
    async with begun(app) as stream:
        await stream.until("step_started")

    job = await ended(app, stream.job_id)
    assert (job.status, job.reason) == ("cancelled", "the caller left")
    assert heard == ["cancelled"]


async def test_h3_unless_the_app_lets_it_go_on(make: Any) -> None:
    app = await make(stream_disconnect="continue")
    async with begun(app) as stream:
        await stream.until("step_started")
    await all_left(app)
    tell("still", None)

    job = await ended(app, stream.job_id)
    assert (job.status, job.result) == ("succeeded", b'{"output":["still"]}')


async def test_h3_a_caller_who_leaves_before_the_answer_begins_cancels_the_run(make: Any) -> None:
    app = await make()
    connection = Connection(
        app, "POST", "/invoke", query=b"mode=stream", headers=[(b"content-type", b"application/json")]
    )
    connection.feed(b'{"parameters": {}}')

    async def broken(message: Any) -> None:
        raise OSError("closed")

    connection._send = broken  # type: ignore[method-assign]
    await connection.run()

    page = await app.jobs.list(JobQuery(), None)
    assert (await ended(app, page.jobs[0].id)).status == "cancelled"
    assert len(app.streams) == 0


# --------------------------------------------------------------------------------- readers of a job


async def test_case_27_two_readers_a_late_one_and_a_slow_one_see_the_same(make: Any) -> None:
    app = await make()
    async with begun(app, count=3) as first, following(app, first.job_id) as second:
        tell("a", "b")
        seen = [await second.next() for _ in range(4)]
        async with following(app, first.job_id, f"/stream/{first.job_id}") as late:
            tell("c")
            seen += await second.rest()
            seen_late = await late.rest()
        seen_slowly = await first.rest()

    async with following(app, first.job_id) as afterwards:
        assert [each.id for each in seen if each] == [str(number) for number in range(1, len(seen) + 1)]
        assert seen == seen_late == seen_slowly == await afterwards.rest()


@pytest.mark.parametrize("how", ["header", "query", "both"])
async def test_a_reader_goes_on_behind_the_last_event_that_it_has(make: Any, how: str) -> None:
    app = await make()
    async with begun(app, count=1) as stream:
        tell("a")
        told = await stream.rest()
    target = f"/jobs/{stream.job_id}/events" + {"header": "", "query": "?after=2", "both": "?after=0"}[how]
    headers = {} if how == "query" else {"last_event_id": "2"}

    async with following(app, stream.job_id, target, **headers) as resumed:
        assert await resumed.rest() == told[2:]


async def test_a_reader_that_has_all_is_told_not_to_come_back(make: Any) -> None:
    app = await make()
    async with begun(app, count=0) as stream:
        last = (await stream.rest())[-1].id

    found = await get(app, f"/jobs/{stream.job_id}/events", last_event_id=last)
    assert (found.status_code, found.content) == (204, b"")
    assert "content-type" not in found.headers


@pytest.mark.parametrize("value", ["x", "-1", "1.0", "0x1", "1" * 30, "1, 2", "²"])
async def test_an_id_that_no_event_has_is_refused(make: Any, value: str) -> None:
    app = await make()
    async with begun(app, count=0) as stream:
        await stream.rest()
    path = f"/jobs/{stream.job_id}/events"
    async with app.client() as client:
        by_header = await client.get(path, headers={"last-event-id": value.encode()})
        by_query = await client.get(path, params={"after": value})

    assert {by_header.status_code, by_query.status_code} == {422}
    assert by_header.json()["errors"][0]["loc"] == ["header", "Last-Event-ID"]
    assert by_query.json()["errors"][0]["loc"] == ["query", "after"]


async def test_the_same_with_two_of_them(make: Any) -> None:
    app = await make()
    async with begun(app, count=0) as stream:
        await stream.rest()

    assert (await get(app, f"/jobs/{stream.job_id}/events?after=1&after=2")).status_code == 422
    assert (await get(app, f"/jobs/{stream.job_id}/events?after=")).status_code == 200


async def test_410_for_events_that_are_not_kept_and_a_note_of_them_from_the_start(make: Any) -> None:
    app = await make(max_event_buffer=8)
    async with begun(app, count=40) as stream:
        for number in range(40):
            tell(str(number))
            await stream.until("delta")
        await stream.rest()

    gone = await get(app, f"/jobs/{stream.job_id}/events", last_event_id="5")
    assert (gone.status_code, gone.json()["code"]) == (410, "events-pruned")
    async with following(app, stream.job_id) as anew:
        told = await anew.rest()
    missed = next(each for each in told if each.type == "missed")
    after = told[told.index(missed) + 1]
    assert int(after.id) == missed.json()["data"]["last"] + 1 == int(missed.id) + 1
    assert told[-1].type == "run_completed"


async def test_head_unknown_jobs_and_other_media_types(make: Any) -> None:
    app = await make()
    async with begun(app, count=0) as stream:
        await stream.rest()
    path = f"/jobs/{stream.job_id}/events"

    head = await get(app, path, "HEAD")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"].startswith("text/event-stream")
    assert (await get(app, path, accept="application/json")).status_code == 406
    assert (await get(app, path, accept="text/*")).status_code == 200
    assert (await get(app, "/jobs/nothing/events")).json()["code"] == "not-found"
    assert (await get(app, path, "POST")).headers["allow"] == "GET, HEAD"


async def test_a4_the_events_of_somebody_else_are_not_there(make: Any) -> None:
    auth = AuthKeys({"ada": "a" * 43, "bob": "b" * 43})
    app = await make(auth)
    async with app.client() as client:
        ada, bob = {"x-api-key": "a" * 43}, {"x-api-key": "b" * 43}
        told = await client.post("/invoke?mode=stream", json={"parameters": {"count": 0}}, headers=ada)
        path = f"/jobs/{told.headers['x-run-id']}/events"
        theirs, nobodys = await client.get(path, headers=bob), await client.get("/jobs/x/events", headers=bob)

        assert (await client.get(path, headers=ada)).status_code == 200
        assert theirs.status_code == nobodys.status_code == 404
        assert theirs.json() | {"instance": ""} == nobodys.json() | {"instance": ""}


# ------------------------------------------------------------------------------- silence, and ends


async def test_silence_is_filled_with_comments(make: Any) -> None:
    app = await make(heartbeat=0.01)
    async with begun(app) as stream:
        await stream.until("step_started")
        reading = asyncio.ensure_future(stream.until("delta"))
        while len(stream.reader.comments) < 3:
            await asyncio.sleep(0)
        tell("a")
        assert (await reading).json()["data"]["value"] == "a"

    assert set(stream.reader.comments) == {""}


async def test_an_old_stream_ends_and_its_reader_goes_on_where_it_was(make: Any) -> None:
    app = await make(max_stream_age=0.05, stream_retry=1.0)
    async with begun(app) as stream:
        told = await stream.rest()
    assert told[-1][1:] == ("reconnect", '{"reason":"age"}')
    assert 1000 <= (stream.reader.retry or 0) <= 2000

    tell("a", None)
    while told[-1].type == "reconnect":
        async with following(app, stream.job_id, last_event_id=told[-1].id) as again:
            told[-1:] = await again.rest()
    assert [each.id for each in told] == [str(number) for number in range(1, len(told) + 1)]
    assert told[-1].json()["data"]["outputs"] == {"output": ["a"]}
    assert (await ended(app, stream.job_id)).status == "succeeded"


async def test_l3_a_server_that_stops_ends_its_streams(make: Any) -> None:
    app = await make()
    async with begun(app) as stream, following(app, stream.job_id) as other:
        await stream.until("step_started")
        assert len(app.streams) == 2
        draining.tell()

        for told in [(await each.rest())[-1] for each in (stream, other)]:
            assert told[1:] == ("reconnect", '{"reason":"draining"}')
        job = await app.jobs.get(stream.job_id, None)
        assert job.status == "running"

        async with app.client() as client:
            refused = await client.post("/invoke?mode=stream", json={"parameters": {}})
            assert refused.status_code == 503
            at_once = await client.get(f"/jobs/{stream.job_id}/events", headers={"last-event-id": "2"})
            assert [each.type for each in EventReader().feed(at_once.content)] == ["reconnect"]
    tell(None)


async def test_l3_a_reader_that_takes_nothing_keeps_no_server_from_stopping(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipemount.http.streams.FAREWELL", 0.01)
    app = await make()
    async with begun(app) as stream:
        await stream.until("step_started")
        connection = Connection(app, "GET", f"/jobs/{stream.job_id}/events")
        connection.feed(b"")
        stuck = asyncio.Event()

        async def never(message: Any) -> None:
            stuck.set()
            await asyncio.Event().wait()

        connection._send = never  # type: ignore[method-assign]
        answering = asyncio.ensure_future(connection.run())
        await stuck.wait()
        draining.tell()

        await answering
    tell(None)


async def test_d9_a_caller_may_open_so_many_streams(make: Any) -> None:
    auth = AuthKeys({"ada": "a" * 43, "bob": "b" * 43})
    app = await make(auth, max_streams=2)
    ada, bob = {"x-api-key": "a" * 43}, {"x-api-key": "b" * 43}
    body: dict[str, Any] = {"parameters": {}}
    async with app.client() as client:
        async with (
            client.stream("POST", "/invoke?mode=stream", json=body, headers=ada) as one,
            client.stream("GET", f"/jobs/{one.headers['x-run-id']}/events", headers=ada) as two,
        ):
            assert two.status_code == 200
            path = f"/jobs/{one.headers['x-run-id']}/events"
            refused = [
                await client.get(path, headers=ada),
                await client.post("/invoke?mode=stream", content=b"not read", headers=ada | HEADERS),
            ]
            async with client.stream("POST", "/invoke?mode=stream", json=body, headers=bob) as other:
                assert other.status_code == 200
        assert [each.status_code for each in refused] == [429, 429]
        assert refused[0].json()["code"] == "too-many-streams"
        assert refused[0].headers["retry-after"] == "5"
        assert refused[0].json()["limit"] == 2
        await all_left(app)
        tell(None)
        assert (await client.get(path, headers=ada)).status_code == 200


def test_no_stream_at_all_is_no_limit() -> None:
    with pytest.raises(ConfigurationError, match="max_open_streams=0"):
        Settings(max_open_streams=0)


async def test_all_together_may_open_so_many_streams(make: Any) -> None:
    auth = AuthKeys({"ada": "a" * 43, "bob": "b" * 43})
    app = await make(auth, max_open_streams=1)
    ada, bob = {"x-api-key": "a" * 43}, {"x-api-key": "b" * 43}
    body: dict[str, Any] = {"parameters": {}}
    async with app.client() as client:
        async with client.stream("POST", "/invoke?mode=stream", json=body, headers=ada) as one:
            refused = await client.post("/invoke?mode=stream", json=body, headers=bob)
            assert (refused.status_code, refused.headers["retry-after"], refused.json()["limit"]) == (429, "5", 1)
            assert refused.json()["detail"] == "1 streams are open, as many as there may be; come back later"
            watched = await client.get(f"/jobs/{one.headers['x-run-id']}", headers=ada)
            assert watched.json()["status"] == "running"
        await all_left(app)
        async with client.stream("POST", "/invoke?mode=stream", json=body, headers=bob) as other:
            assert other.status_code == 200


async def test_a_task_that_somebody_else_cancels_is_cancelled(make: Any) -> None:
    app = await make()
    connection = Connection(
        app, "POST", "/invoke", query=b"mode=stream", headers=[(b"content-type", b"application/json")]
    )
    connection.feed(b'{"parameters": {}}')
    answering = asyncio.ensure_future(connection.run())
    while len(connection.sent) < 3:
        await asyncio.sleep(0)
    answering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answering

    run_id = dict(connection.sent[0]["headers"])[b"x-run-id"].decode()
    assert (await ended(app, run_id)).status == "cancelled"
    assert len(app.streams) == 0


async def test_a_reader_whom_both_the_server_and_somebody_else_end(make: Any) -> None:
    app = await make()
    async with begun(app) as stream:
        connection = Connection(app, "GET", f"/jobs/{stream.job_id}/events")
        connection.feed(b"")
        answering = asyncio.ensure_future(connection.run())
        while len(connection.sent) < 3:
            await asyncio.sleep(0)
        connection.disconnect()
        answering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await answering


async def test_a_server_that_fails_to_tell_of_its_caller_has_none(make: Any) -> None:
    app = await make()
    async with begun(app) as stream:
        connection = Connection(app, "GET", f"/jobs/{stream.job_id}/events")

        async def broken() -> Any:
            raise ValueError("no such connection")

        connection._receive = broken  # type: ignore[method-assign]
        await connection.run()
        assert connection.sent[-1]["type"] == "http.response.body"


async def test_readers_on_another_loop_are_told_as_well(make: Any) -> None:
    app = await make(heartbeat=0.01)

    async def read() -> tuple[list[str], int]:
        async with following(app, stream.job_id) as other:
            await other.until("delta")
            while len(other.reader.comments) < 2:
                other._told += other.reader.feed(await anext(other._parts))
            home.call_soon_threadsafe(tell, "b", None)
            return [each.type for each in await other.rest()], len(app.streams)

    async with begun(app) as stream:
        tell("a")
        home = asyncio.get_running_loop()
        told, _ = await asyncio.to_thread(asyncio.run, read())
        assert told[-1] == "run_completed"
        assert "delta" in told
    assert len(app.streams) == 0


async def test_a_child_process_has_none_of_its_parents_streams() -> None:
    streams = Streams(1, 60.0, asyncio.Event().wait)  # type: ignore[arg-type]
    with streams.open("ada", asyncio.Event().wait):  # type: ignore[arg-type]
        streams.forget()
        assert len(streams) == 0
        streams.check("ada")
    assert len(streams) == 0
