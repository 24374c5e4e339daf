"""What is said over a WebSocket: runs asked for, told, cancelled; what goes wrong; and how it ends."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.websockets import WebSocketDisconnect
from tests.support.sockets import Socket

from pipemount import AuthKeys, PipelineApp, Settings, StepContext, pipeline, step
from pipemount.auth import Key
from pipemount.errors import StoreError, UnavailableError
from pipemount.http import conversation
from pipemount.http.messages import TYPES
from pipemount.jobs.models import JobQuery
from pipemount.types import Principal

ADA, BOB, EYE, RUNNER = (f"the key of {name}, which is long enough" for name in ("ada", "bob", "eye", "runner"))


class Gates:
    """What steps wait for, and what became of them."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.begun = asyncio.Event()
        self.cancelled = asyncio.Event()


gates = Gates()


@pytest.fixture(autouse=True)
async def fresh() -> None:
    gates.__init__()  # type: ignore[misc]  # of this test's loop


@step
async def say(words: list[str]) -> AsyncIterator[str]:
    for word in words:
        yield word


@pipeline
def saying(words: list[str] = ["a", "b"]) -> Any:  # noqa: B006  frozen by the compiler
    return say(words)


@step
async def wait(text: str) -> str:
    gates.begun.set()
    try:
        await gates.open.wait()
    except asyncio.CancelledError:
        gates.cancelled.set()
        raise
    return text


@pipeline
def waiting(text: str = "done") -> Any:
    return wait(text)


@step
async def flood(count: int, size: int, context: StepContext) -> int:
    gates.begun.set()
    for _ in range(count):
        context.emit("x" * size)
        await asyncio.sleep(0)
    return count


@pipeline
def flooding(count: int = 50, size: int = 1000) -> Any:
    return flood(count, size)


PIPELINES = {"saying": saying, "waiting": waiting, "flooding": flooding}


@pytest.fixture
async def make() -> Any:
    """Makes apps that run until the end of the test."""
    made: list[PipelineApp] = []

    async def start(pipelines: Any = PIPELINES, **options: Any) -> PipelineApp:
        app = PipelineApp(pipelines, **options)
        await app.lifecycle.startup()
        made.append(app)
        return app

    yield start
    gates.open.set()
    for app in made:
        await app.lifecycle.aclose()


@pytest.fixture
async def app(make: Any) -> PipelineApp:
    made: PipelineApp = await make()
    return made


def kinds(messages: list[Any]) -> list[str]:
    return [message["event"]["kind"] for message in messages if message["type"] == "event"]


def numbers(messages: list[Any]) -> list[int]:
    return [message["event"]["sequence"] for message in messages if message["type"] == "event"]


async def status(app: PipelineApp, job_id: str) -> str:
    """Once the job has ended."""
    async with asyncio.timeout(20):
        return (await app.jobs.until_ended(job_id, Principal("root", frozenset({"admin"})))).status


# ------------------------------------------------------------------------------------------- invoking


async def test_a_run_is_asked_for_and_told(app: PipelineApp) -> None:
    async with Socket(app, "/saying/stream") as socket:
        accepted = await socket.ask(type="invoke", id="mine", parameters={"words": ["x", "y"]})
        assert accepted == {
            "type": "accepted",
            "id": "mine",
            "job_id": accepted["job_id"],
            "run_id": accepted["run_id"],
        }
        assert accepted["job_id"] == accepted["run_id"]
        told = await socket.hear_until("ended")
        assert told[-1] == {"type": "ended", "job_id": accepted["job_id"]}
        assert {message["job_id"] for message in told} == {accepted["job_id"]}
        assert kinds(told) == ["run_started", "step_started", "delta", "delta", "step_completed", "run_completed"]
        assert numbers(told) == [1, 2, 3, 4, 5, 6]
        assert told[-2]["event"]["data"]["outputs"] == {"output": ["x", "y"]}
        assert await socket.ask(type="ping") == {"type": "pong"}


async def test_the_socket_of_the_app_serves_all_pipelines(app: PipelineApp, make: Any) -> None:
    async with Socket(app) as socket:
        error = await socket.ask(type="invoke", id=1, parameters={})
        assert (error["id"], error["problem"]["status"]) == (1, 422)
        assert error["problem"]["errors"][0]["loc"] == ["pipeline"]
        error = await socket.ask(type="invoke", pipeline="nothing", parameters={})
        assert (error["problem"]["status"], error["problem"]["code"]) == (404, "not-found")
        assert (await socket.ask(type="invoke", pipeline="saying", parameters={}))["type"] == "accepted"
        assert kinds(await socket.hear_until("ended"))[-1] == "run_completed"
    async with Socket(app, "/pipelines/saying/stream") as socket:
        assert (await socket.ask(type="invoke", pipeline="waiting", parameters={}))["problem"]["status"] == 404
        assert (await socket.ask(type="invoke", pipeline="saying", parameters={}))["type"] == "accepted"
    alone = await make(saying)
    async with Socket(alone) as socket:
        assert (await socket.ask(type="invoke", parameters={}))["type"] == "accepted"


@pytest.mark.parametrize(
    ("sent", "code", "loc"),
    [
        ({"parameters": {"words": 1}}, "invalid-inputs", ["parameters", "words"]),
        ({"parameters": {"more": 1}}, "invalid-inputs", ["parameters", "more"]),
        ({}, "invalid-inputs", ["parameters"]),
        ({"parameters": {}, "timeout": 1e9}, "invalid-inputs", ["timeout"]),
        ({"parameters": {}, "more": 1}, "invalid-inputs", ["more"]),
        ({"parameters": {}, "steps": {"say": {"parameters": {"words": []}}}}, "invalid-inputs", ["steps"]),
    ],
)
async def test_an_invocation_is_checked_as_over_http(app: PipelineApp, sent: Any, code: str, loc: list[str]) -> None:
    async with Socket(app, "/saying/stream") as socket:
        error = await socket.ask(type="invoke", id=1, **sent)
        assert (error["type"], error["id"], error["problem"]["code"]) == ("error", 1, code)
        assert error["problem"]["errors"][0]["loc"][: len(loc)] == loc
        assert error["problem"]["instance"] == "/saying/stream"


async def test_the_terms_of_a_run(app: PipelineApp) -> None:
    async with Socket(app, "/waiting/stream") as socket:
        await socket.ask(type="invoke", parameters={}, run_name="mine-{run_id}", timeout=0.05)
        told = await socket.hear_until("ended")
        job_id = told[0]["job_id"]
        assert told[0]["event"]["data"]["run_name"] == f"mine-{job_id}"
        assert kinds(told)[-1] in ("run_failed", "run_cancelled")
        assert await status(app, job_id) == "failed"


async def test_an_invocation_is_refused_when_all_places_are_taken(make: Any) -> None:
    app = await make(settings=Settings(max_concurrency=1, max_queue=0))
    async with Socket(app, "/waiting/stream") as socket:
        assert (await socket.ask(type="invoke", parameters={}))["type"] == "accepted"
        await gates.begun.wait()
        socket.say(type="invoke", id=2, parameters={})
        error = (await socket.hear_until("error"))[-1]
        assert (error["id"], error["problem"]["status"]) == (2, 429)
        assert error["problem"]["retry_after"] >= 1


# ---------------------------------------------------------------------------------------- subscribing


async def test_everybody_is_told_the_same_early_or_late(app: PipelineApp) -> None:
    async with Socket(app) as first, Socket(app) as second, Socket(app) as late:
        job_id = (await first.ask(type="invoke", pipeline="waiting", parameters={}))["job_id"]
        await gates.begun.wait()
        assert (await second.ask(type="subscribe", id=7, job_id=job_id))["id"] == 7
        gates.open.set()
        told = await first.hear_until("ended")
        assert await second.hear_until("ended") == told
        assert (await late.ask(type="subscribe", job_id=job_id))["type"] == "accepted"
        assert await late.hear_until("ended") == told


async def test_a_subscription_goes_on_behind_a_number(app: PipelineApp) -> None:
    async with Socket(app) as socket:
        job_id = (await socket.ask(type="invoke", pipeline="saying", parameters={}))["job_id"]
        assert numbers(await socket.hear_until("ended")) == [1, 2, 3, 4, 5, 6]
        await socket.ask(type="subscribe", job_id=job_id, after=4)
        assert numbers(await socket.hear_until("ended")) == [5, 6]
        await socket.ask(type="subscribe", job_id=job_id, after=6)
        assert await socket.hear() == {"type": "ended", "job_id": job_id}


async def test_events_that_are_gone_cannot_be_gone_on_from(make: Any) -> None:
    app = await make(settings=Settings(max_event_buffer=4))
    async with Socket(app) as socket:
        socket.say(type="invoke", pipeline="flooding", parameters={"count": 50, "size": 10})
        job_id = (await socket.hear())["job_id"]
        await socket.hear_until("ended")
        error = await socket.ask(type="subscribe", id=1, job_id=job_id, after=3)
        assert (error["problem"]["status"], error["job_id"]) == (410, job_id)
        await socket.ask(type="subscribe", job_id=job_id)
        assert "missed" in kinds(await socket.hear_until("ended"))


async def test_several_jobs_are_told_by_turns(app: PipelineApp) -> None:
    async with Socket(app) as socket:
        asked = {"type": "invoke", "pipeline": "flooding", "parameters": {"count": 60, "size": 8000}, "detached": True}
        jobs = [(await socket.ask(**asked))["job_id"]]
        await socket.hear_until("ended")
        jobs.append((await socket.ask(**asked))["job_id"])
        await socket.hear_until("ended")
        socket.stop_reading()
        for job_id in jobs:
            socket.say(type="subscribe", job_id=job_id)
        socket.say(type="ping")
        await asyncio.sleep(0)
        socket.read_again()
        told: list[Any] = []
        while sum(message["type"] == "ended" for message in told) < 2:
            told.append(await socket.hear())
        order = [message["job_id"] for message in told if message["type"] == "event"]
        turns = sum(one != other for one, other in pairwise(order))
        assert turns > 20
        for job_id in jobs:
            own = [message for message in told if message.get("job_id") == job_id]
            assert numbers(own) == sorted(numbers(own))


async def test_subscribing_again_begins_anew(app: PipelineApp) -> None:
    async with Socket(app) as socket:
        job_id = (await socket.ask(type="invoke", pipeline="waiting", parameters={}))["job_id"]
        await gates.begun.wait()
        assert [(await socket.hear())["event"]["sequence"] for _ in range(2)] == [1, 2]
        await socket.ask(type="subscribe", job_id=job_id)
        assert [(await socket.hear())["event"]["sequence"] for _ in range(2)] == [1, 2]
        gates.open.set()
        assert numbers(await socket.hear_until("ended")) == [3, 4]


async def test_unsubscribing(app: PipelineApp) -> None:
    async with Socket(app) as socket, Socket(app) as other:
        job_id = (await socket.ask(type="invoke", pipeline="waiting", parameters={}))["job_id"]
        await gates.begun.wait()
        await other.ask(type="subscribe", job_id=job_id)
        for each in (socket, other):
            assert [(await each.hear())["event"]["sequence"] for _ in range(2)] == [1, 2]
            assert (await each.ask(type="unsubscribe", id=4, job_id=job_id))["id"] == 4
            error = await each.ask(type="unsubscribe", id=5, job_id=job_id)
            assert (error["id"], error["job_id"], error["problem"]["status"]) == (5, job_id, 404)
        gates.open.set()
        assert await status(app, job_id) == "succeeded"
        for each in (socket, other):
            assert await each.ask(type="ping") == {"type": "pong"}
            assert each.unread == 0
            await each.ask(type="subscribe", job_id=job_id, after=2)
            assert numbers(await each.hear_until("ended")) == [3, 4]


async def test_a_connection_tells_of_so_many_jobs_at_most(make: Any) -> None:
    app = await make(settings=Settings(max_subscriptions=2))
    async with Socket(app, "/waiting/stream") as socket:
        jobs = []
        for _ in range(2):
            socket.say(type="invoke", parameters={})
            jobs.append((await socket.hear_until("accepted"))[-1]["job_id"])
        for asked in ({"type": "invoke", "parameters": {}}, {"type": "subscribe", "job_id": "another"}):
            socket.say(id=3, **asked)
            error = (await socket.hear_until("error"))[-1]
            assert (error["problem"]["status"], error["problem"]["code"]) == (429, "too-many-streams")
            assert error["problem"]["limit"] == 2
        socket.say(type="subscribe", job_id=jobs[0])
        await socket.hear_until("accepted")
        socket.say(type="unsubscribe", job_id=jobs[0])
        await socket.hear_until("accepted")
        socket.say(type="invoke", parameters={})
        assert (await socket.hear_until("error"))[-1]["problem"]["code"] == "too-many-streams"
        gates.open.set()
        await socket.hear_until("ended")
        while (await app.jobs.get(jobs[0], None)).status == "running":
            await asyncio.sleep(0)
        await socket.ask(type="ping")
        assert (await socket.ask(type="invoke", parameters={}))["type"] == "accepted"


# ----------------------------------------------------------------------------------- cancel and leave


async def test_a_job_is_cancelled(app: PipelineApp) -> None:
    async with Socket(app) as socket, Socket(app) as other:
        job_id = (await socket.ask(type="invoke", pipeline="waiting", parameters={}))["job_id"]
        await gates.begun.wait()
        assert await other.ask(type="cancel", id=9, job_id=job_id) == {
            "type": "accepted",
            "id": 9,
            "job_id": job_id,
            "run_id": job_id,
        }
        assert kinds(await socket.hear_until("ended"))[-1] == "run_cancelled"
        assert gates.cancelled.is_set()
        assert (await other.ask(type="cancel", job_id=job_id))["type"] == "accepted"
        assert (await other.ask(type="cancel", job_id="another"))["problem"]["status"] == 404
        done = (await other.ask(type="invoke", pipeline="saying", parameters={}))["job_id"]
        await other.hear_until("ended")
        assert (await other.ask(type="cancel", job_id=done))["problem"]["status"] == 409


async def test_a_job_that_was_cancelled_is_retried_and_the_new_one_told_of(app: PipelineApp) -> None:
    async with Socket(app) as socket:
        first = (await socket.ask(type="invoke", pipeline="waiting", parameters={"text": "again"}))["job_id"]
        await gates.begun.wait()
        running = await socket.ask(type="retry", id=1, job_id=first)
        while running["type"] == "event":
            running = await socket.hear()
        assert (running["id"], running["problem"]["code"]) == (1, "job-not-ended")
        socket.say(type="cancel", job_id=first)
        await socket.hear_until("ended")
        gates.open.set()
        accepted = await socket.ask(type="retry", id=2, job_id=first)
        assert (accepted["type"], accepted["id"]) == ("accepted", 2)
        second = accepted["job_id"]
        assert second != first
        told = await socket.hear_until("ended")
        assert {message["job_id"] for message in told} == {second}
        assert kinds(told)[-1] == "run_completed"
        assert (await socket.ask(type="retry", job_id=second))["problem"]["code"] == "job-ended"
        assert (await socket.ask(type="retry", job_id="another"))["problem"]["status"] == 404
        assert await status(app, first) == "cancelled"


async def test_a_retry_with_a_key_is_one_over_any_socket_and_over_http(app: PipelineApp) -> None:
    async with Socket(app) as socket, Socket(app) as other:
        first = (await socket.ask(type="invoke", pipeline="waiting", parameters={}))["job_id"]
        await gates.begun.wait()
        socket.say(type="cancel", job_id=first)
        await socket.hear_until("ended")
        gates.open.set()
        asked = {"type": "retry", "job_id": first, "idempotency_key": "again"}
        accepted = await socket.ask(**asked)
        assert "replayed" not in accepted
        second = accepted["job_id"]
        again = await other.ask(**asked, id=7)
        assert again == {"type": "accepted", "id": 7, "job_id": second, "run_id": second, "replayed": True}
        assert kinds(await other.hear_until("ended"))[-1] == "run_completed", "it is told of, all the same"
        async with app.client() as client:
            answer = await client.post(f"/jobs/{first}/retry", headers={"Idempotency-Key": '"again"'})
        assert (answer.json()["job_id"], answer.headers["idempotency-replayed"]) == (second, "true")
        assert (await other.ask(type="retry", job_id=first))["job_id"] not in (first, second)
        for wrong in ("", "x" * 256, "\u00e9", 7):
            refused = await other.ask(type="retry", job_id=first, idempotency_key=wrong)
            while refused["type"] != "error":
                refused = await other.hear()
            assert refused["problem"]["errors"][0]["loc"] == ["idempotency_key"]


async def test_what_is_retried_goes_on_when_the_client_leaves(app: PipelineApp) -> None:
    async with Socket(app) as socket:
        first = (await socket.ask(type="invoke", pipeline="waiting", parameters={}))["job_id"]
        await gates.begun.wait()
        socket.say(type="cancel", job_id=first)
        await socket.hear_until("ended")
        gates.begun.clear()
        second = (await socket.ask(type="retry", job_id=first))["job_id"]
        await gates.begun.wait()
    async with Socket(app) as reader:
        gates.open.set()
        await reader.ask(type="subscribe", job_id=second)
        assert kinds(await reader.hear_until("ended"))[-1] == "run_completed"


async def test_h3_a_client_that_leaves_cancels_what_it_asked_for(app: PipelineApp) -> None:
    async with Socket(app, "/waiting/stream") as socket, Socket(app) as reader:
        mine = (await socket.ask(type="invoke", parameters={}))["job_id"]
        socket.say(type="invoke", parameters={}, detached=True)
        detached = (await socket.hear_until("accepted"))[-1]["job_id"]
        await reader.ask(type="subscribe", job_id=mine)
        await gates.begun.wait()
        socket.leave()
        assert await status(app, mine) == "cancelled"
        assert (await app.jobs.get(mine, None)).reason == "its client has left"
        assert kinds(await reader.hear_until("ended"))[-1] == "run_cancelled"
        reader.leave()
        gates.open.set()
        assert await status(app, detached) == "succeeded"


async def test_h3_what_was_unsubscribed_from_is_cancelled_as_well(app: PipelineApp) -> None:
    async with Socket(app, "/waiting/stream") as socket:
        job_id = (await socket.ask(type="invoke", parameters={}))["job_id"]
        socket.say(type="unsubscribe", job_id=job_id)
        await socket.hear_until("accepted")
    assert await status(app, job_id) == "cancelled"


async def test_h3_a_setting_lets_runs_go_on(make: Any) -> None:
    app = await make(settings=Settings(stream_disconnect="continue"))
    async with Socket(app, "/waiting/stream") as socket:
        job_id = (await socket.ask(type="invoke", parameters={}))["job_id"]
        await gates.begun.wait()
    gates.open.set()
    assert await status(app, job_id) == "succeeded"


async def test_a_run_that_ended_before_its_client_left(app: PipelineApp) -> None:
    async with Socket(app, "/saying/stream") as socket:
        job_id = (await socket.ask(type="invoke", parameters={}))["job_id"]
        assert await status(app, job_id) == "succeeded"
    await asyncio.sleep(0)
    assert await status(app, job_id) == "succeeded"


@pytest.mark.parametrize("error", [OSError, lambda: WebSocketDisconnect(1006)])
async def test_h2_nothing_is_sent_to_a_client_that_has_gone(app: PipelineApp, error: Callable[[], Exception]) -> None:
    async with Socket(app) as socket:
        socket.breaks = error
        socket.say(type="ping")
        socket.say(type="ping")
        while not socket.failed:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert socket.failed == 1


async def test_a_server_that_ends_its_task_is_obeyed(app: PipelineApp) -> None:
    socket = Socket(app, "/waiting/stream")
    socket.open()
    await socket.sent()
    job_id = (await socket.ask(type="invoke", parameters={}))["job_id"]
    await gates.begun.wait()
    assert socket.task is not None
    socket.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await socket.task
    assert await status(app, job_id) == "cancelled"


# ------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("{", "malformed-request"),
        (b'{"type":"ping"}', "malformed-request"),
        ("[]", "invalid-inputs"),
        ('{"type":"dance","id":4}', "invalid-inputs"),
        ('{"type":"subscribe"}', "invalid-inputs"),
        ('{"type":"invoke","parameters":{"words":NaN}}', None),
    ],
)
async def test_what_is_no_message_is_told(app: PipelineApp, sent: str | bytes, code: str | None) -> None:
    async with Socket(app, "/saying/stream") as socket:
        socket.say(sent)
        error = await socket.hear()
        assert error["type"] == "error"
        assert code in (None, error["problem"]["code"])
        assert error["problem"]["status"] in (400, 422)
        assert error.get("id") == (4 if "dance" in str(sent) else None)
        assert await socket.ask(type="ping") == {"type": "pong"}


async def test_messages_that_are_none_of_the_protocol_are_passed_over(app: PipelineApp) -> None:
    async with Socket(app) as socket:
        socket.say("")
        assert (await socket.hear())["problem"]["code"] == "malformed-request"


@pytest.mark.parametrize("sent", ["x" * 1001, b"x" * 1001, "ä" * 501])
async def test_a_message_over_the_limit_ends_the_connection(make: Any, sent: str | bytes) -> None:
    app = await make(settings=Settings(max_body_bytes=1000))
    async with Socket(app) as socket:
        socket.say("ä" * 400)
        assert (await socket.hear())["type"] == "error"
        socket.say(sent)
        assert (await socket.closed())[0] == 1009


frames = st.one_of(
    st.binary(max_size=50),
    st.text(max_size=50),
    st.fixed_dictionaries(
        {"type": st.sampled_from([*TYPES, "pong"])},
        optional={
            "id": st.none() | st.integers() | st.text(max_size=5) | st.floats(),
            "job_id": st.text(max_size=5) | st.integers(),
            "after": st.integers() | st.text(max_size=3),
            "parameters": st.dictionaries(st.sampled_from(["words", "x"]), st.lists(st.text(max_size=3)), max_size=2),
            "pipeline": st.sampled_from(["saying", "nothing", "flooding"]),
            "detached": st.booleans(),
            "timeout": st.floats(),
            "run_name": st.text(max_size=9),
        },
    ).map(json.dumps),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=st.lists(frames, max_size=12), leaves=st.booleans())
async def test_d10_no_frames_crash_it(app: PipelineApp, sent: list[str | bytes], leaves: bool) -> None:
    async with Socket(app) as socket:
        for frame in sent:
            socket.say(frame)
        if not leaves:
            socket.say(type="ping", id="last")
            told = [await socket.hear()]
            while told[-1] != {"type": "pong", "id": "last"}:
                told.append(await socket.hear())
            assert {message["problem"]["status"] // 100 for message in told if message["type"] == "error"} <= {4}
    assert socket.task is not None
    assert socket.task.exception() is None


# ---------------------------------------------------------------------------------------- permissions


@pytest.fixture
async def locked(make: Any) -> PipelineApp:
    keys = AuthKeys(
        [
            Key("ada", ADA),
            Key("bob", BOB),
            Key("eye", EYE, permissions={"read"}),
            Key("runner", RUNNER, permissions={"invoke"}),
        ]
    )
    made: PipelineApp = await make(auth=keys)
    return made


def by(key: str) -> dict[str, Any]:
    return {"headers": {"x-api-key": key}}


async def test_permissions_are_asked_for_each_message(locked: PipelineApp) -> None:
    async with Socket(locked, **by(EYE)) as eye, Socket(locked, "/waiting/stream", **by(RUNNER)) as runner:
        error = await eye.ask(type="invoke", pipeline="saying", parameters={})
        assert (error["problem"]["status"], error["problem"]["permission"]) == (403, "invoke")
        assert (await eye.ask(type="cancel", job_id="x"))["problem"]["permission"] == "cancel"
        assert (await eye.ask(type="retry", job_id="x"))["problem"]["permission"] == "invoke"
        assert (await eye.ask(type="resume", job_id="x", answer=1))["problem"]["permission"] == "invoke"
        assert (await eye.ask(type="subscribe", job_id="x"))["problem"]["status"] == 404
        assert await eye.ask(type="ping") == {"type": "pong"}
        job_id = (await runner.ask(type="invoke", parameters={}))["job_id"]
        assert kinds([await runner.hear()]) == ["run_started"]
        await runner.hear()
        assert (await runner.ask(type="subscribe", job_id=job_id))["problem"]["permission"] == "read"


async def test_a4_somebody_elses_job_is_not_there(locked: PipelineApp) -> None:
    async with Socket(locked, "/waiting/stream", **by(ADA)) as ada, Socket(locked, **by(BOB)) as bob:
        job_id = (await ada.ask(type="invoke", parameters={}))["job_id"]
        unknown = "x" * len(job_id)
        for kind in ("subscribe", "cancel", "unsubscribe", "retry", "resume"):
            more = {"answer": True} if kind == "resume" else {}
            found = await bob.ask(type=kind, job_id=job_id, **more)
            other = await bob.ask(type=kind, job_id=unknown, **more)
            assert found["problem"]["status"] == 404
            assert json.dumps(found).replace(job_id, unknown) == json.dumps(other)
        assert bob.unread == 0


async def test_a_token_is_for_one_job_and_one_permission(locked: PipelineApp) -> None:
    async with Socket(locked, "/waiting/stream", **by(ADA)) as ada:
        job_id = (await ada.ask(type="invoke", parameters={}))["job_id"]
        other = (await ada.hear_until("event")) and job_id[::-1]
        viewer = Principal("ada", frozenset({"invoke", "read", "cancel"}))
        read = locked.tokens.sign(job_id, "read", 60.0, viewer).token
        cancel = locked.tokens.sign(job_id, "cancel", 60.0, viewer).token
        async with Socket(locked, query=f"token={read}") as socket:
            assert (await socket.ask(type="subscribe", job_id=other))["problem"]["status"] == 403
            assert (await socket.ask(type="cancel", job_id=job_id))["problem"]["status"] == 403
            assert (await socket.ask(type="invoke", pipeline="saying", parameters={}))["problem"]["status"] == 403
            assert (await socket.ask(type="subscribe", job_id=job_id))["type"] == "accepted"
            assert kinds([await socket.hear()]) == ["run_started"]
        async with Socket(locked, query=f"token={cancel}") as socket:
            assert (await socket.ask(type="subscribe", job_id=job_id))["problem"]["status"] == 403
            assert (await socket.ask(type="cancel", job_id=job_id))["type"] == "accepted"
        assert await status(locked, job_id) == "cancelled"


async def test_a_key_that_ends_ends_the_connection(make: Any) -> None:
    now = 1000.0
    expiring = Key("ada", ADA, expires=datetime.fromtimestamp(2000, UTC))
    app = await make(auth=AuthKeys([expiring], clock=lambda: now))
    async with Socket(app, "/waiting/stream", **by(ADA)) as socket:
        job_id = (await socket.ask(type="invoke", parameters={}))["job_id"]
        await gates.begun.wait()
        assert [(await socket.hear())["event"]["sequence"] for _ in range(2)] == [1, 2]
        now = 3000.0
        socket.say(type="subscribe", job_id=job_id)
        assert await socket.closed() == (1008, "the key or the token has ended")
        assert await status(app, job_id) == "cancelled"


async def test_a_key_that_ends_while_its_owner_only_listens(make: Any) -> None:
    now = 1000.0
    expiring = Key("ada", ADA, expires=datetime.fromtimestamp(2000, UTC))
    app = await make(auth=AuthKeys([expiring], clock=lambda: now), settings=Settings(heartbeat=0.02))
    async with Socket(app, "/waiting/stream", **by(ADA)) as socket:
        await socket.ask(type="invoke", parameters={})
        assert [(await socket.hear())["event"]["sequence"] for _ in range(2)] == [1, 2]
        now = 3000.0
        assert await socket.closed() == (1008, "the key or the token has ended")


# ----------------------------------------------------------------------------------------------- ends


async def test_a_server_that_stops_sends_everybody_away_to_come_back(app: PipelineApp) -> None:
    async with Socket(app, "/waiting/stream") as socket, Socket(app) as idle:
        job_id = (await socket.ask(type="invoke", parameters={}))["job_id"]
        await gates.begun.wait()
        app.lifecycle._draining.tell()
        for each in (socket, idle):
            assert (await each.hear_until("reconnect"))[-1] == {"type": "reconnect", "reason": "draining"}
            assert await each.closed() == (1012, "draining")
        gates.open.set()
        assert await status(app, job_id) == "succeeded"


async def test_a_message_that_is_being_answered_is_answered_first(
    app: PipelineApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit, go_on = app.jobs.submit, asyncio.Event()

    async def slowly(request: Any) -> Any:
        gates.begun.set()
        await go_on.wait()
        return await submit(request)

    monkeypatch.setattr(app.jobs, "submit", slowly)
    async with Socket(app, "/saying/stream") as socket:
        socket.say(type="invoke", id=1, parameters={})
        socket.say(type="ping")
        await gates.begun.wait()
        app.lifecycle._draining.tell()
        await asyncio.sleep(0.01)
        go_on.set()
        told = await socket.hear_until("reconnect")
        assert (told[0]["type"], told[0]["id"]) == ("accepted", 1)
        assert "pong" not in [message["type"] for message in told]
        assert await socket.closed() == (1012, "draining")


async def let_an_hour_pass(app: PipelineApp) -> None:
    """For the one connection that is open, once it waits for its client."""
    loop = asyncio.get_running_loop()
    [held] = app.streams._shores[loop].streams
    assert isinstance(held, conversation.Conversation)
    while not held._silent or held._limit is None:
        await asyncio.sleep(0)
    held._limit.reschedule(loop.time())


async def test_a_connection_has_an_age(make: Any) -> None:
    app = await make(settings=Settings(max_stream_age=3600))
    async with Socket(app, "/waiting/stream") as socket:
        job_id = (await socket.ask(type="invoke", parameters={}))["job_id"]
        await let_an_hour_pass(app)
        assert (await socket.hear_until("reconnect"))[-1] == {"type": "reconnect", "reason": "age"}
        assert await socket.closed() == (1012, "age")
        gates.open.set()
        assert await status(app, job_id) == "succeeded"


async def test_a_client_that_does_not_read_is_not_waited_for(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "PATIENCE", 0.05)
    app = await make()
    async with Socket(app) as socket:
        socket.stop_reading()
        app.lifecycle._draining.tell()
        assert socket.task is not None
        await asyncio.wait_for(socket.task, 20)


async def test_a_fault_of_our_own_is_told_and_logged(
    app: PipelineApp, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with Socket(app, "/waiting/stream") as socket:
        monkeypatch.setattr(app.jobs, "submit", None)
        socket.say(type="invoke", parameters={})
        assert await socket.closed() == (1011, "an unexpected error; see the log")
    assert "an unexpected error on a WebSocket" in caplog.text


async def test_a_fault_while_a_job_is_told(
    app: PipelineApp, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(self: Any, timeout: float) -> Any:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr("pipemount.jobs.desk.Subscription.next", broken)
    async with Socket(app, "/waiting/stream") as socket:
        await socket.ask(type="invoke", parameters={})
        assert await socket.closed() == (1011, "an unexpected error; see the log")
    assert "ZeroDivisionError: secret" in caplog.text


async def test_a_store_that_fails_while_a_job_is_told(app: PipelineApp, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(self: Any, timeout: float) -> Any:
        raise StoreError("the disk is full")

    monkeypatch.setattr("pipemount.jobs.desk.Subscription.next", broken)
    async with Socket(app, "/waiting/stream") as socket:
        job_id = (await socket.ask(type="invoke", parameters={}))["job_id"]
        error = await socket.hear()
        assert (error["job_id"], error["problem"]["status"]) == (job_id, 503)
        assert await socket.ask(type="ping") == {"type": "pong"}


async def test_a_home_loop_that_ends_under_a_message(app: PipelineApp, monkeypatch: pytest.MonkeyPatch) -> None:
    async def gone(*_: Any) -> Any:
        raise asyncio.CancelledError

    monkeypatch.setattr(app.jobs, "subscribe", gone)
    async with Socket(app) as socket:
        error = await socket.ask(type="subscribe", id=1, job_id="x")
        assert (error["id"], error["problem"]["status"]) == (1, UnavailableError.status)


# ------------------------------------------------------------------------------------- back-pressure


async def test_d6_a_client_that_does_not_read_is_sent_no_more(app: PipelineApp) -> None:
    """What is not read waits in the log, which is bounded; the connection holds one reading of it."""
    async with Socket(app) as socket:
        socket.stop_reading()
        socket.say(type="invoke", pipeline="flooding", parameters={"count": 2000, "size": 1000}, detached=True)
        for number in range(1000):
            socket.say(type="ping", id=number)
        await gates.begun.wait()
        job = (await app.jobs.list(JobQuery(), None)).jobs[0]
        assert await status(app, job.id) == "succeeded"
        assert socket.waiting == 1000  # it reads no further, and its answers wait with the client
        socket.read_again()
        told = [await socket.hear()]
        while told[-1]["type"] != "ended" or told[-1].get("id") == 999:
            told.append(await socket.hear())
        assert sum(len(json.dumps(message)) for message in told) < 1.5e6
        assert "missed" in kinds(told)


async def test_it_is_told_on_any_loop() -> None:
    """A socket on another loop than the app's home."""
    app = PipelineApp(saying)

    async def talk() -> list[Any]:
        async with Socket(app) as socket:
            await socket.ask(type="invoke", parameters={})
            return await socket.hear_until("ended")

    def run() -> None:
        found.append(asyncio.run(talk()))

    found: list[list[Any]] = []
    async with app.lifespan():
        thread = threading.Thread(target=run)
        thread.start()
        while thread.is_alive():
            await asyncio.sleep(0.01)
    assert kinds(found[0])[-1] == "run_completed"
