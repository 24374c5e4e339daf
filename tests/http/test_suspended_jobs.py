"""Jobs that ask and wait for their answer, seen from outside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.support.asgi import get, post, request
from tests.support.sockets import Socket
from tests.support.stores import Database, Kept

from pipemount import AuthKeys, PipelineApp, Settings, StepContext, pipeline, step
from pipemount.auth import Key
from pipemount.errors import JobNotSuspendedError, NotFoundError, StoreError

RUNS: list[str] = []
QUESTION = {
    "key": "approve?1",
    "step": "approve",
    "reason": "may it be published?",
    "schema": {"type": "boolean"},
    "data": {"text": "About rain."},
}


@step
async def write(topic: str) -> str:
    RUNS.append("write")
    return f"About {topic}."


@step
def approve(text: str, context: StepContext) -> bool:
    RUNS.append("approve")
    answer: bool = context.suspend("may it be published?", bool, data={"text": text})
    return answer


@pipeline
def publishing(topic: str) -> Any:
    text = write(topic)
    return {"text": text, "published": approve(text)}


@pytest.fixture(autouse=True)
def fresh() -> None:
    RUNS.clear()


@pytest.fixture
def database() -> Database:
    return Database(Settings())


@asynccontextmanager
async def serving(database: Database, **options: Any) -> AsyncIterator[PipelineApp]:
    app = PipelineApp(publishing, jobs=Kept(database), settings=Settings(cleanup_timeout=0.2), **options)
    async with app.lifespan(None):
        yield app


@pytest.fixture
async def app(database: Database) -> AsyncIterator[PipelineApp]:
    async with serving(database) as app:
        yield app


async def submitted(app: PipelineApp, **options: Any) -> str:
    answer = await post(app, "/submit", {"parameters": {"topic": "rain"}}, **options)
    assert answer.status == 202, answer.body
    return str(answer.json()["job_id"])


async def has(app: PipelineApp, job_id: str, *statuses: str, **options: Any) -> Any:
    async with asyncio.timeout(30):
        while (record := (await get(app, f"/jobs/{job_id}", **options)).json())["status"] not in statuses:
            await asyncio.sleep(0.001)
    return record


async def test_a_job_asks_holds_no_place_and_goes_on_with_its_answer(app: PipelineApp) -> None:
    job_id = await submitted(app)
    record = await has(app, job_id, "suspended")
    assert (record["question"], record["finished_at"], record["error"]) == (QUESTION, None, None)
    assert record["resume_url"] == f"/jobs/{job_id}/resume"
    async with asyncio.timeout(30):
        while app.admission.active:
            await asyncio.sleep(0)
    assert (await get(app, "/status")).json()["jobs"]["suspended"] == 1
    answer = await post(app, record["resume_url"], True)
    assert (answer.status, answer.json()["job_id"], answer.json()["question"]) == (200, job_id, None)
    record = await has(app, job_id, "succeeded")
    assert record["outputs"] == {"text": "About rain.", "published": True}
    assert (record["attempt"], record["question"]) == (1, None)
    assert RUNS == ["write", "approve", "approve"]


async def test_its_events_are_one_log(app: PipelineApp) -> None:
    job_id = await submitted(app)
    record = await has(app, job_id, "suspended")
    await post(app, record["resume_url"], False)
    last = (await has(app, job_id, "succeeded"))["last_event"]
    kept = await app.jobs.store.read_events(job_id, 0, 100)
    assert [event.sequence for event in kept] == list(range(1, last + 1))
    assert [event.kind for event in kept] == [
        "run_started",
        "step_started",
        "step_completed",
        "step_started",
        "suspended",
        "run_started",
        "step_completed",
        "step_started",
        "step_completed",
        "run_completed",
    ]
    assert b'"recovered":true' in kept[6].body


async def test_only_a_job_that_asks_takes_an_answer(app: PipelineApp) -> None:
    job_id = await submitted(app)
    await has(app, job_id, "suspended")
    assert (await post(app, f"/jobs/{job_id}/resume", True)).status == 200
    await has(app, job_id, "succeeded")
    again = await post(app, f"/jobs/{job_id}/resume", True)
    assert (again.status, again.json()["code"], again.json()["job_status"]) == (409, "job-not-suspended", "succeeded")
    assert (await post(app, "/jobs/none/resume", True)).status == 404


async def test_of_many_answers_one_is_taken(app: PipelineApp) -> None:
    job_id = await submitted(app)
    await has(app, job_id, "suspended")
    answers = await asyncio.gather(*(post(app, f"/jobs/{job_id}/resume", number % 2 == 0) for number in range(20)))
    assert sorted(answer.status for answer in answers) == [200] + [409] * 19


@pytest.mark.parametrize("body", [b"", b"{", b"NaN", b"1e400", b"[1" + b"0" * 250 + b"e99]", b"\xff"])
async def test_an_answer_is_json(app: PipelineApp, body: bytes) -> None:
    job_id = await submitted(app)
    await has(app, job_id, "suspended")
    answer = await post(app, f"/jobs/{job_id}/resume", body)
    assert (answer.status, answer.json()["code"]) == (400, "malformed-request")
    await has(app, job_id, "suspended")


async def test_an_answer_that_cannot_fit_is_refused(app: PipelineApp) -> None:
    job_id = await submitted(app)
    await has(app, job_id, "suspended")
    refused = await post(app, f"/jobs/{job_id}/resume", {"not": "a boolean"})
    assert (refused.status, refused.json()["code"]) == (422, "invalid-inputs")
    assert refused.json()["errors"] == [
        {"loc": ["body"], "msg": "Input should be a valid boolean", "type": "bool_type"}
    ]
    assert (await has(app, job_id, "suspended"))["question"] == QUESTION
    await post(app, f"/jobs/{job_id}/resume", True)
    assert (await has(app, job_id, "succeeded"))["outputs"]["published"] is True


async def test_an_answer_that_does_not_fit_is_asked_for_again(app: PipelineApp) -> None:
    """Where only the step can tell."""
    job_id = await submitted(app)
    await has(app, job_id, "suspended")
    assert await app.jobs.store.resume(job_id, b'{"not":"a boolean"}') == "resumed"
    async with asyncio.timeout(30):
        while not ((record := await has(app, job_id, "suspended"))["question"] or {}).get("faults"):
            await asyncio.sleep(0.001)
    assert record["question"] == QUESTION | {
        "faults": [{"loc": [], "msg": "Input should be a valid boolean", "type": "bool_type"}]
    }


async def test_a_job_that_asks_is_cancelled_at_once(app: PipelineApp) -> None:
    job_id = await submitted(app)
    await has(app, job_id, "suspended")
    assert (await request(app, "DELETE", f"/jobs/{job_id}")).status == 409
    answer = await request(app, "POST", f"/jobs/{job_id}/cancel")
    assert (answer.status, answer.json()["status"], answer.json()["question"]) == (200, "cancelled", None)


async def test_it_waits_for_its_answer_through_a_restart(database: Database) -> None:
    async with serving(database) as app:
        job_id = await submitted(app)
        await has(app, job_id, "suspended")
    async with serving(database) as app:
        assert (await has(app, job_id, "suspended"))["question"] == QUESTION
        await post(app, f"/jobs/{job_id}/resume", True)
        assert (await has(app, job_id, "succeeded"))["outputs"]["published"] is True
    assert RUNS.count("write") == 1


async def test_it_is_answered_by_the_team_s_own_code(app: PipelineApp) -> None:
    job = await app.submit(topic="rain")
    await has(app, job.id, "suspended")
    assert (await app.get(job)).question == QUESTION
    with pytest.raises(NotFoundError):
        await app.calling(principal="ada").resume(job, True)
    assert (await app.resume(job, True)).question is None
    assert (await has(app, job.id, "succeeded"))["outputs"]["published"] is True
    with pytest.raises(JobNotSuspendedError):
        await asyncio.to_thread(app.resume_sync, job, True)


async def test_who_waits_for_a_keyed_run_is_told_that_it_asks(app: PipelineApp) -> None:
    answer = await post(app, "/invoke", {"parameters": {"topic": "rain"}}, headers={"idempotency-key": '"once"'})
    assert (answer.status, answer.json()["code"], answer.json()["step"]) == (409, "run-suspended", "approve")
    assert answer.json()["interrupts"] == [{"id": "approve?1", "value": QUESTION}]
    job_id = answer.json()["run_id"]
    await post(app, f"/jobs/{job_id}/resume", True)
    await has(app, job_id, "succeeded")
    again = await post(app, "/invoke", {"parameters": {"topic": "rain"}}, headers={"idempotency-key": '"once"'})
    assert (again.status, again.json()["outputs"]["published"]) == (200, True)


async def test_a_job_that_ends_with_its_process_cannot_wait() -> None:
    app = PipelineApp(publishing, settings=Settings(cleanup_timeout=0.2))
    async with app.lifespan(None):
        record = await has(app, await submitted(app), "failed")
        assert (record["error"]["code"], record["error"]["status"]) == ("run-suspended", 409)


async def test_an_answer_takes_the_permission_to_invoke_and_is_the_owners_to_give(database: Database) -> None:
    keys = [
        Key("ada", "ada-key", permissions=("invoke", "read")),
        Key("bob", "bob-key", permissions=("invoke", "read")),
        Key("eve", "eve-key", permissions=("read", "cancel")),
        Key("root", "root-key", permissions=("admin",)),
    ]
    by = {key.name: {"headers": {"x-api-key": f"{key.name}-key"}} for key in keys}
    async with serving(database, auth=AuthKeys(keys)) as app:
        job_id = await submitted(app, **by["ada"])
        await has(app, job_id, "suspended", **by["ada"])
        statuses = [(await post(app, f"/jobs/{job_id}/resume", True, **by[name])).status for name in ("bob", "eve")]
        assert statuses == [404, 403]
        assert (await post(app, f"/jobs/{job_id}/resume", True)).status == 401
        assert (await post(app, f"/jobs/{job_id}/resume", True, **by["root"])).status == 200


# ------------------------------------------------------------------------------------- stores with faults


async def test_a_run_waits_while_what_it_did_cannot_be_kept(
    app: PipelineApp, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, refused = database.save_step, list[str]()

    async def sometimes(lease: Any, key: str, output: bytes) -> bool:
        if len(refused) < 2:
            refused.append(key)
            raise StoreError("the database restarts")
        kept: bool = await save(lease, key, output)
        return kept

    monkeypatch.setattr(database, "save_step", sometimes, raising=False)
    await has(app, await submitted(app), "suspended")
    assert (refused, RUNS) == (["write", "write"], ["write", "approve"])


async def test_a_run_whose_job_is_anothers_begins_no_other_step(
    app: PipelineApp, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = asyncio.Event()

    async def lost(lease: Any, key: str, output: bytes) -> bool:
        tried.set()
        return False

    monkeypatch.setattr(database, "save_step", lost, raising=False)
    await submitted(app)
    await tried.wait()
    async with asyncio.timeout(30):
        while app.admission.active:
            await asyncio.sleep(0.001)
    assert RUNS == ["write"]


async def test_a_suspended_job_is_answered_over_a_websocket(app: PipelineApp) -> None:
    job_id = await submitted(app)
    await has(app, job_id, "suspended")
    async with Socket(app) as socket:
        assert (await socket.ask(type="resume", id=1, job_id=job_id))["problem"]["errors"][0]["loc"] == ["answer"]
        socket.say('{"type": "resume", "id": 2, "job_id": "' + job_id + '", "answer": NaN}')
        wrong = await socket.hear()
        assert (wrong["id"], wrong["problem"]["code"]) == (2, "malformed-request")
        assert await socket.ask(type="resume", id=3, job_id=job_id, answer=True) == {
            "type": "accepted",
            "id": 3,
            "job_id": job_id,
            "run_id": job_id,
        }
        assert (await has(app, job_id, "succeeded"))["outputs"]["published"] is True
        assert (await socket.ask(type="resume", job_id=job_id, answer=True))["problem"]["code"] == "job-not-suspended"
