"""What the earlier serving package got wrong, and what a deployment is held to: each case by its number there."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import pytest
from starlette.requests import Request
from tests.support.asgi import Answer, get, post, request
from tests.support.events import EventReader
from tests.support.following import begun, following
from tests.support.sockets import Socket

from pipemount import Cors, Endpoint, PipelineApp, SecureHeaders, Settings, StepContext, pipeline, step

words: asyncio.Queue[str]
called: list[str]
begins, goes_on = threading.Event(), threading.Event()


@step
async def say(count: int) -> AsyncIterator[str]:
    for _ in range(count):
        yield await words.get()


@pipeline
def talk(count: int = 1) -> Any:
    return say(count)


@step
def block(text: str) -> str:
    begins.set()
    assert goes_on.wait(20)
    called.append("block")
    return text


@step
def after(text: str) -> Annotated[str, "text"]:
    called.append("after")
    return text


@pipeline
def blocked(text: str = "done") -> Any:
    return after(block(text))


@step
async def stall() -> None:
    called.append("stalls")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        called.append("cancelled")
        raise


@pipeline
def stalled() -> Any:
    return stall()


@step
def pour(count: int, context: StepContext) -> datetime:
    for number in range(count):
        context.emit({"number": number, "at": datetime(2026, 11, 1, tzinfo=UTC)})
    return datetime(2026, 11, 1, tzinfo=UTC)


@pipeline
def poured(count: int = 3) -> Any:
    return pour(count)


@step
def first(number: int) -> Annotated[int, "first"]:
    return number


@step
def second(number: int) -> Annotated[int, "second"]:
    return -number


@pipeline
def both(number: int = 7) -> Any:
    return first(number), second(number)


async def own_health(asked: Request) -> dict[str, bool]:
    return {"own": True}


PIPELINES = {"talk": talk, "blocked": blocked, "stalled": stalled, "poured": poured, "both": both}
RUN: dict[str, Any] = {"parameters": {}}


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., Any]]:
    global words, called
    words, called = asyncio.Queue(), []
    begins.clear()
    goes_on.clear()
    apps: list[PipelineApp] = []

    async def made(*, endpoints: Any = (), **settings: Any) -> PipelineApp:
        app = PipelineApp(PIPELINES, settings=Settings(**settings), endpoints=endpoints)
        apps.append(app)
        await app.lifecycle.startup()
        return app

    yield made
    goes_on.set()
    for app in apps:
        await app.lifecycle.shutdown()


@pytest.fixture
async def app(make: Any) -> PipelineApp:
    made: PipelineApp = await make()
    return made


def tell(*told: str) -> None:
    for word in told:
        words.put_nowait(word)


async def submit(app: PipelineApp, name: str, **parameters: Any) -> str:
    answer = await post(app, f"/{name}/submit", {"parameters": parameters})
    assert answer.status == 202
    job_id: str = answer.json()["job_id"]
    return job_id


async def status_of(app: PipelineApp, job_id: str) -> str:
    found: str = (await get(app, f"/jobs/{job_id}")).json()["status"]
    return found


async def ended(app: PipelineApp, job_id: str) -> Any:
    """Its record, once it has ended."""
    await app.jobs.until_ended(job_id, None)
    return (await get(app, f"/jobs/{job_id}")).json()


async def begun_thread() -> None:
    assert await asyncio.to_thread(begins.wait, 20)


# ------------------------------------------------------------------------------------------- the cases


async def test_case_18_a_submitted_job_is_accepted_found_listed_told_and_cancelled(app: PipelineApp) -> None:
    accepted = await post(app, "/talk/submit", {"parameters": {"count": 1}})
    job_id = accepted.json()["job_id"]
    assert (accepted.status, accepted.headers["location"]) == (202, f"/jobs/{job_id}")
    assert (await get(app, accepted.json()["poll_url"])).json()["outputs"] is None
    tell("hello")
    told = (await get(app, accepted.json()["stream_url"])).body
    assert b"event: delta" in told
    assert (await ended(app, job_id))["outputs"] == {"output": ["hello"]}

    other = await submit(app, "stalled")
    listed = (await get(app, "/jobs?status=queued,running")).json()["jobs"]
    assert [job["job_id"] for job in listed] == [other]
    assert (await request(app, "POST", f"/jobs/{other}/cancel")).status == 200
    assert (await ended(app, other))["status"] == "cancelled"
    assert (await request(app, "POST", f"/jobs/{job_id}/cancel")).status == 409


async def test_case_19_overload_timeout_and_a_client_that_leaves(make: Any) -> None:
    app = await make(max_concurrency=1, max_queue=0)
    async with begun(app, "/stalled/invoke?mode=stream") as stream:
        await stream.until("step_started")
        for path in ("/talk/invoke", "/talk/submit", "/talk/invoke?mode=stream"):
            refused = await request(app, "POST", path, body=b"no JSON", headers={"content-type": "application/json"})
            assert (refused.status, refused.json()["code"]) == (429, "overloaded")
            assert int(refused.headers["retry-after"]) >= 1
    assert (await ended(app, stream.job_id))["reason"] == "the caller left"
    assert called == ["stalls", "cancelled"]

    late = await post(app, "/stalled/invoke", {**RUN, "timeout": 0.05})
    assert (late.status, late.json()["code"]) == (504, "deadline-exceeded")

    app = await make(stream_disconnect="continue")
    async with begun(app, "/talk/invoke?mode=stream") as stream:
        await stream.until("step_started")
    while len(app.streams):
        await asyncio.sleep(0)
    tell("still here")
    assert (await ended(app, stream.job_id))["outputs"] == {"output": ["still here"]}


async def test_case_22_an_unknown_path_is_404_and_no_page(app: PipelineApp) -> None:
    for path in ("/nothing", "/talk/nothing", "/jobs/nothing/nothing", "/stream/a/b"):
        answer = await get(app, path)
        assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json")


async def test_case_23_endpoints_replaced_and_switched_off_a_preflight_and_headers(make: Any) -> None:
    app = await make(
        endpoints=[Endpoint("/health", own_health)],
        without=("/metrics",),
        cors=Cors(["https://app.example"]),
        secure_headers=SecureHeaders(frame_options="SAMEORIGIN"),
    )
    health = await get(app, "/health")
    assert health.json() == {"own": True}
    assert health.headers["x-frame-options"] == "SAMEORIGIN"
    assert (await get(app, "/metrics")).status == 404
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    preflight = await request(app, "OPTIONS", "/talk/invoke", headers=asked)
    assert preflight.headers["access-control-allow-origin"] == "https://app.example"


async def test_case_27_every_subscriber_sees_every_event(make: Any) -> None:
    """Two from the start, one late, one that resumes; silence is filled; the stream ends with the run."""
    app = await make(heartbeat=0.01)
    job_id = await submit(app, "talk", count=2)
    async with following(app, job_id) as one, following(app, job_id) as two:
        tell("a")
        assert (await one.until("delta")).json()["data"]["value"] == "a"
        waiting = asyncio.ensure_future(two.rest())
        while not two.reader.comments:  # nothing happens in the run, and the reader hears that it is there
            await asyncio.sleep(0)
        async with following(app, job_id) as late:
            tell("b")
            whole = await late.rest()
    assert await waiting == whole
    assert [told.type for told in whole] == [
        *("run_started", "step_started", "delta", "delta", "step_completed", "run_completed"),
    ]
    resumed = await get(app, f"/jobs/{job_id}/events", headers={"last-event-id": "3"})
    assert list(EventReader().feed(resumed.body)) == whole[3:]
    assert (await get(app, f"/jobs/{job_id}/events", headers={"last-event-id": whole[-1].id})).status == 204


# ------------------------------------------------------------------------------------ the old defects


async def test_former_defect_subscribers_competed_for_events(app: PipelineApp) -> None:
    job_id = await submit(app, "poured", count=20)
    async with Socket(app) as socket, following(app, job_id) as stream:
        await socket.ask(type="subscribe", job_id=job_id)
        over_socket = [message["event"] for message in (await socket.hear_until("ended"))[:-1]]
        assert [told.json() for told in await stream.rest()] == over_socket
    assert len(over_socket) == 24


async def test_former_defect_a_late_subscriber_waited_for_ever(app: PipelineApp) -> None:
    job_id = await submit(app, "poured")
    await ended(app, job_id)
    for _ in range(2):
        late = list(EventReader().feed((await get(app, f"/stream/{job_id}")).body))
        assert [late[0].type, late[-1].type] == ["run_started", "run_completed"]


async def test_former_defect_a_heartbeat_came_only_with_an_event(make: Any) -> None:
    app = await make(heartbeat=0.01)
    async with begun(app, "/stalled/invoke?mode=stream") as stream:
        await stream.until("step_started")
        reading = asyncio.ensure_future(stream.next())
        while len(stream.reader.comments) < 3:
            await asyncio.sleep(0)
        assert not reading.done()
        reading.cancel()
        await asyncio.wait([reading])


async def test_former_defect_a_datetime_broke_the_websocket(app: PipelineApp) -> None:
    async with Socket(app, "/poured/stream") as socket:
        await socket.ask(type="invoke", parameters={"count": 1})
        events = [message["event"] for message in (await socket.hear_until("ended"))[:-1]]
    emitted = next(event for event in events if event["kind"] == "data")
    assert emitted["data"]["value"] == {"number": 0, "at": "2026-11-01T00:00:00Z"}
    assert events[-1]["data"]["outputs"] == {"output": "2026-11-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/events")], ids=str
)
async def test_former_defect_an_unknown_job_was_answered_500(app: PipelineApp, method: str, path: str) -> None:
    answer: Answer = await request(app, method, f"/jobs/unknown{path}")
    assert (answer.status, answer.json()["code"]) == (404, "not-found")


async def test_former_defect_the_figures_of_concurrency_were_never_awaited(app: PipelineApp) -> None:
    async with begun(app, "/stalled/invoke?mode=stream") as stream:
        await stream.until("step_started")
        found = await get(app, "/status")
        assert found.status == 200
        assert found.json()["concurrency"]["active"] == 1


async def test_former_defect_what_had_timed_out_ran_on_unseen(app: PipelineApp) -> None:
    """A thread cannot be stopped: its place is kept until it returns, and no step begins after it."""
    late = asyncio.ensure_future(post(app, "/blocked/invoke", {**RUN, "timeout": 0.5}))
    await begun_thread()
    assert (await late).json()["code"] == "deadline-exceeded"
    assert app.admission.active == 1
    goes_on.set()
    while app.admission.active:
        await asyncio.sleep(0.001)
    assert called == ["block"]


async def test_former_defect_a_cancel_was_seen_between_steps_only(app: PipelineApp) -> None:
    job_id = await submit(app, "stalled")
    while called != ["stalls"]:
        await asyncio.sleep(0)
    await request(app, "POST", f"/jobs/{job_id}/cancel")
    assert (await ended(app, job_id))["status"] == "cancelled"
    assert called == ["stalls", "cancelled"]

    job_id = await submit(app, "blocked")
    await begun_thread()
    assert (await request(app, "POST", f"/jobs/{job_id}/cancel")).json()["status"] == "cancelling"
    assert await status_of(app, job_id) == "cancelling"
    goes_on.set()
    assert (await ended(app, job_id))["status"] == "cancelled"
    assert called[2:] == ["block"]


async def test_former_defect_a_full_buffer_dropped_events_without_a_word(make: Any) -> None:
    app = await make(max_event_buffer=8)
    job_id = await submit(app, "poured", count=100)
    await ended(app, job_id)
    told = list(EventReader().feed((await get(app, f"/jobs/{job_id}/events")).body))
    missed = next(each for each in told if each.type == "missed")
    gone = missed.json()["data"]
    kept = [int(each.id) for each in told if each.type != "missed"]
    assert sorted([*kept, *range(gone["first"], gone["last"] + 1)]) == list(range(1, 105))
    assert (await get(app, f"/jobs/{job_id}/events?after=1")).status in (200, 410)
    assert (await get(app, f"/jobs/{job_id}/events?after=3")).json()["code"] == "events-pruned"


async def test_former_defect_an_accepted_job_was_answered_200(app: PipelineApp) -> None:
    tell("a")
    accepted = await post(app, "/talk/invoke?mode=async", RUN)
    assert accepted.status == 202
    await ended(app, accepted.json()["job_id"])


async def test_former_defect_outputs_were_those_of_the_last_step(app: PipelineApp) -> None:
    async with begun(app, "/both/invoke?mode=stream") as stream:
        told = await stream.until("run_completed")
    assert told.json()["data"]["outputs"] == {"first": 7, "second": -7}


async def test_former_defect_parameters_were_not_validated(app: PipelineApp) -> None:
    for path in ("/both/invoke", "/both/submit", "/both/invoke?mode=stream"):
        for wrong in ({"number": "many"}, {"nobody": 1}):
            assert (await post(app, path, {"parameters": wrong})).status == 422


async def test_former_defect_bodies_were_logged(app: PipelineApp, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    tell("a")
    for path in ("/both/invoke", "/both/submit", "/both/invoke?mode=stream"):
        assert (await post(app, path, {"parameters": {"number": 271828182845}})).status in (200, 202)
    assert "271828182845" not in caplog.text
