"""The runner where jobs outlive the process: what it claims, what it lets go of, and what it tries again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from time import time
from typing import Any

import pytest
from tests.support.stores import Database, Kept

from pipemount import Limits, PipelineApp, PipelineError, Settings, get_step_context, pipeline, step
from pipemount.errors import ConfigurationError, StoreError
from pipemount.jobs import leases
from pipemount.jobs.models import Job, JobRequest, Lease
from pipemount.service import new_run_id
from pipemount.types import Principal

GATES: dict[int, asyncio.Event] = {}
BEGUN: list[int] = []
FAULTS: dict[int, list[Exception]] = {}


@step
async def hold(a: int) -> int:
    BEGUN.append(a)
    get_step_context().emit(a)
    if FAULTS.get(a):
        raise FAULTS[a].pop()
    if a in GATES:
        await GATES[a].wait()
    await asyncio.sleep(0.001)
    return a


@pipeline
def holding(a: int) -> Any:
    return hold(a)


@step
async def double(a: int) -> int:
    return 2 * a


@pipeline
def doubling(a: int) -> Any:
    return double(a)


@pytest.fixture(autouse=True)
def fresh() -> None:
    BEGUN.clear()
    GATES.clear()
    FAULTS.clear()


@pytest.fixture
def database() -> Database:
    return Database(Settings())


@asynccontextmanager
async def running(database: Database, settings: Settings | None = None, **options: Any) -> AsyncIterator[PipelineApp]:
    app = PipelineApp(
        holding,
        settings=settings or Settings(cleanup_timeout=0.2, job_retry_delay=0.01),
        jobs=Kept(database, **options),
    )
    async with app.lifespan(None):
        yield app
    assert (app.admission.active, app.admission.queued) == (0, 0), "every place was given back"


def asked(a: int, fingerprint: str = "", **options: Any) -> JobRequest:
    inputs = json.dumps({"a": a}).encode()
    return JobRequest(job_id=new_run_id(), pipeline="holding", fingerprint=fingerprint, inputs=inputs, **options)


async def submitted(app: PipelineApp, a: int, **options: Any) -> str:
    return (await app.jobs.submit(asked(a, **options))).job.id


async def ended(database: Database, job_id: str) -> Job:
    return await found(database, job_id, "succeeded", "failed", "cancelled")


async def found(database: Database, job_id: str, *statuses: str) -> Job:
    async with asyncio.timeout(30):
        while True:
            job: Job | None = await database.get(job_id)
            assert job is not None
            if job.status in statuses:
                return job
            await asyncio.sleep(0.001)


async def kinds(database: Database, job_id: str) -> list[str]:
    events = await database.read_events(job_id, 0, 1000)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1)), "no gap, nothing twice"
    return [event.kind for event in events]


WHOLE = ["run_started", "step_started", "data", "step_completed", "run_completed"]


# ----------------------------------------------------------------------------------------- claiming


async def test_jobs_are_performed_and_told_of(database: Database) -> None:
    async with running(database) as app:
        ids = [await submitted(app, number) for number in range(1, 60)]
        for number, job_id in enumerate(ids, start=1):
            job = await ended(database, job_id)
            assert (job.status, job.result, job.attempt) == ("succeeded", b'{"output":%d}' % number, 1)
            assert await kinds(database, job_id) == WHOLE


async def test_what_was_queued_before_the_start_is_begun(database: Database) -> None:
    job = (await database.submit(asked(1))).job
    async with running(database):
        assert (await ended(database, job.id)).status == "succeeded"


async def test_processes_that_only_serve_leave_the_jobs_to_others(database: Database) -> None:
    async with running(database, runner="external") as web:
        job_id = await submitted(web, 1)
        await asyncio.sleep(0.05)
        job = await database.get(job_id)
        assert job.status == "queued"
        async with running(database):
            assert (await ended(database, job_id)).status == "succeeded"


async def test_what_is_urgent_comes_first_and_then_what_is_older(database: Database) -> None:
    GATES[0] = asyncio.Event()
    async with running(database, concurrency=1) as app:
        await submitted(app, 0)
        while not BEGUN:
            await asyncio.sleep(0)
        ids = [await submitted(app, a, priority=priority) for a, priority in ((1, 0), (2, 5), (3, 0), (4, 9))]
        GATES[0].set()
        for job_id in ids:
            await ended(database, job_id)
    assert BEGUN == [0, 4, 2, 1, 3]


async def test_a_queue_has_no_more_places_than_it_may_have(database: Database) -> None:
    GATES.update({1: asyncio.Event(), 2: asyncio.Event()})
    async with running(database, queues={"default": None, "slow": 1}) as app:
        first, second = [await submitted(app, a, queue="slow") for a in (1, 2)]
        await found(database, first, "running")
        assert (await ended(database, await submitted(app, 3))).status == "succeeded", "others are not held up"
        nobodys = await submitted(app, 4, queue="night")
        assert BEGUN == [1, 3]
        GATES[1].set()
        await found(database, second, "running")
        GATES[2].set()
        await ended(database, second)
        assert (await database.get(nobodys)).status == "queued", "nobody here takes from that queue"


async def test_what_waits_in_a_queue_is_begun_as_soon_as_it_may(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipemount.jobs.claiming.LOOK", 60.0)
    GATES.update({a: asyncio.Event() for a in range(6)})
    for a in range(6):
        await database.submit(asked(a, queue="slow"))
    async with asyncio.timeout(30), running(database, queues={"default": None, "slow": 5}):
        while len(BEGUN) < 5:
            await asyncio.sleep(0.001)
    assert BEGUN == [0, 1, 2, 3, 4]


async def test_more_than_is_claimed_in_one_go_is_begun_as_soon_as_there_are_places(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipemount.jobs.claiming.LOOK", 60.0)
    GATES.update({a: asyncio.Event() for a in range(80)})
    for a in range(80):
        await database.submit(asked(a))
    async with asyncio.timeout(30), running(database):
        while len(BEGUN) < 80:
            await asyncio.sleep(0.001)
        for gate in GATES.values():
            gate.set()


async def test_jobs_that_wait_for_their_pipelines_place_hold_up_no_other_pipeline(database: Database) -> None:
    GATES[0] = asyncio.Event()
    ids = [(await database.submit(asked(a))).job.id for a in range(3)]
    app = PipelineApp(
        {"holding": holding, "quick": doubling},
        settings=Settings(pipeline_limits={"holding": Limits(1, 9)}, cleanup_timeout=0.2),
        jobs=Kept(database),
    )
    async with asyncio.timeout(30), app.lifespan(None):
        await found(database, ids[0], "running")
        quick = await database.submit(replace(asked(1), pipeline="quick"))  # by another process
        assert (await ended(database, quick.job.id)).status == "succeeded"
        assert BEGUN == [0]
        GATES[0].set()
        for job_id in ids:
            assert (await ended(database, job_id)).status == "succeeded"


async def test_a_delayed_job_is_begun_at_its_time(database: Database) -> None:
    async with running(database) as app:
        at = time() + 0.3
        later = await submitted(app, 1, run_at=at)
        await ended(database, await submitted(app, 2))
        assert BEGUN == [2]
        job = await ended(database, later)
        assert job.started is not None and job.started >= at


async def test_jobs_that_wait_for_their_callers_place_hold_up_nobody_else(database: Database) -> None:
    ada, bob = (Principal(name, frozenset({"invoke"})) for name in ("ada", "bob"))
    GATES[0] = asyncio.Event()
    hers = [(await database.submit(asked(a, principal=ada))).job.id for a in range(4)]
    settings = Settings(cleanup_timeout=0.2, key_concurrency=1, key_queue=9)
    async with asyncio.timeout(30), running(database, settings):
        await found(database, hers[0], "running")
        for who in (bob, None):
            job = (await database.submit(asked(9, principal=who))).job  # by another process
            assert (await ended(database, job.id)).status == "succeeded"
        assert BEGUN == [0, 9, 9]
        assert (await database.get(hers[1])).status == "queued", "others may have it"
        GATES[0].set()
        for job_id in hers:
            assert (await ended(database, job_id)).status == "succeeded"


async def test_a_delay_that_is_shorter_than_the_pause_between_two_looks_is_no_longer(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipemount.jobs.claiming.LOOK", 60.0)
    monkeypatch.setattr(database, "wait_for_work", lambda timeout: asyncio.sleep(timeout), raising=False)
    async with asyncio.timeout(30), running(database) as app:
        await ended(database, await submitted(app, 1))  # by now it waits
        await asyncio.sleep(0.1)
        await ended(database, await submitted(app, 2, run_at=time() + 0.2))


async def test_who_waits_for_an_answer_is_not_kept_from_it_by_jobs(database: Database) -> None:
    settings = Settings(max_concurrency=1, max_queue=64, cleanup_timeout=0.2)
    async with running(database, settings) as app:
        ids = [await submitted(app, number) for number in range(1, 30)]
        async with asyncio.timeout(30):
            assert (await app.run("holding", a=99)).value == 99
        assert BEGUN.index(99) < 29, "it had its turn"
        for job_id in ids:
            await ended(database, job_id)


async def test_what_others_left_has_its_turn_among_those_who_wait_for_an_answer(database: Database) -> None:
    settings = Settings(max_concurrency=1, max_queue=64, cleanup_timeout=0.2)
    async with running(database, settings) as app:
        enough = asyncio.Event()

        async def ask_on() -> None:
            while not enough.is_set():
                await app.calling(principal="ada").run("holding", a=100)

        asking = [asyncio.create_task(ask_on()) for _ in range(4)]
        await asyncio.sleep(0)
        try:
            job = (await database.submit(asked(1))).job
            assert (await ended(database, job.id)).status == "succeeded"
        finally:
            enough.set()
            await asyncio.gather(*asking)


# ------------------------------------------------------------------------------------- cancelling


async def test_a_cancel_reaches_the_process_that_performs_the_job(database: Database) -> None:
    GATES[1] = asyncio.Event()
    async with running(database, runner="external") as web, running(database):
        job_id = await submitted(web, 1)
        await found(database, job_id, "running")
        await web.jobs.cancel(job_id, None, "enough")
        job = await ended(database, job_id)
        assert (job.status, job.reason) == ("cancelled", "enough")
        assert (await kinds(database, job_id))[-1] == "run_cancelled"


async def test_a_cancel_is_found_among_however_many_of_other_processes(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "CANCELLING", replace(leases.CANCELLING, limit=2))
    GATES[1] = asyncio.Event()
    async with running(database, Settings(cleanup_timeout=0.2, job_heartbeat=60, job_lease=300)) as app:
        job_id = await submitted(app, 1)
        await found(database, job_id, "running")
        for _ in range(5):
            theirs = (await database.submit(replace(asked(2), pipeline="elsewhere"))).job.id
            assert await database.claim_job(theirs, "another process")
            await database.request_cancel(theirs, "enough")
        await database.request_cancel(job_id, "enough")
        assert (await ended(database, job_id)).status == "cancelled"


async def test_a_job_may_be_cancelled_at_the_moment_at_which_it_is_claimed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = database.claim

    async def claim_and_cancel(*asked: Any) -> list[Lease]:
        """Nothing else has its turn between the claim and the cancel."""
        leases: list[Lease] = await claim(*asked)
        for lease in leases:
            await database.request_cancel(lease.job.id, "enough")
            revoking.append(asyncio.create_task(app.runner.revoke(lease.job.id, "enough")))
        return leases

    revoking: list[asyncio.Task[None]] = []
    monkeypatch.setattr(database, "claim", claim_and_cancel)
    async with running(database, concurrency=1) as app:
        job = await ended(database, await submitted(app, 1))
        assert (job.status, job.reason) == ("cancelled", "enough")
        assert len(revoking) == 1
        assert not BEGUN


async def test_a_lease_that_is_lost_stops_the_run_and_nothing_more_is_written(database: Database) -> None:
    GATES[1] = asyncio.Event()
    settings = Settings(cleanup_timeout=0.2, job_heartbeat=0.02)
    async with running(database, settings) as app:
        job_id = await submitted(app, 1)
        await found(database, job_id, "running")
        [work] = app.runner.leased
        async with asyncio.timeout(30):
            while "data" not in (before := await kinds(database, job_id)):
                await asyncio.sleep(0.001)
        record = database._store._records[job_id]
        record.fence += 1  # as a claim by another process would
        async with asyncio.timeout(30):
            while app.runner.leased:
                await asyncio.sleep(0.001)
        assert work.reason == "another runner has it"
        assert await kinds(database, job_id) == before
        assert (await database.get(job_id)).status == "running"


# ------------------------------------------------------------------------------------------ the end


async def test_at_the_end_jobs_go_back_to_where_they_waited(database: Database) -> None:
    GATES.update({1: asyncio.Event()})
    async with running(database, concurrency=1) as app:
        first = await submitted(app, 1)
        await found(database, first, "running")
        second = await submitted(app, 2)
    for job_id in (first, second):
        job = await database.get(job_id)
        assert (job.status, job.cancel_requested, job.crashes) == ("queued", False, 0)
    GATES.clear()
    async with running(database):
        assert (await ended(database, first)).attempt == 1, "it goes on with the attempt that was cut short"
        assert (await ended(database, second)).attempt == 1
    assert await kinds(database, first) == ["run_started", "step_started", "data", *WHOLE]


async def test_stops_that_cut_a_job_short_use_up_none_of_its_attempts(database: Database) -> None:
    job_id = (await database.submit(asked(1, max_attempts=2))).job.id
    for stop in range(3):
        GATES[1] = asyncio.Event()
        async with running(database):
            while len(BEGUN) <= stop:
                await asyncio.sleep(0.001)
        assert (await database.get(job_id)).status == "queued"
    GATES.clear()
    FAULTS[1] = [OSError("down")]
    async with running(database):
        job = await ended(database, job_id)
    assert (job.status, job.attempt) == ("succeeded", 2), "it failed once"
    [retrying] = [json.loads(each.body) for each in await database.read_events(job_id, 0, 100) if "retry" in each.kind]
    assert retrying["data"]["attempt"] == 1


async def test_what_ends_by_itself_while_the_app_drains_has_ended(database: Database) -> None:
    GATES.update({1: asyncio.Event()})
    async with running(database, Settings(cleanup_timeout=20)) as app:
        first = await submitted(app, 1)
        await found(database, first, "running")
        asyncio.get_running_loop().call_later(0.05, GATES[1].set)
    assert (await database.get(first)).status == "succeeded"


# ----------------------------------------------------------------------------------------- attempts


async def test_a_run_that_failed_is_tried_again_and_told_of_without_a_gap(database: Database) -> None:
    FAULTS[1] = [OSError("down"), OSError("down")]
    async with running(database) as app:
        job = await ended(database, await submitted(app, 1, max_attempts=3))
    assert (job.status, job.attempt) == ("succeeded", 3)
    failed = ["run_started", "step_started", "data", "step_failed", "run_retrying"]
    assert await kinds(database, job.id) == [*failed, *failed, *WHOLE]
    event = json.loads((await database.read_events(job.id, 4, 1))[0].body)
    assert event["data"]["attempt"] == 1
    assert event["data"]["code"] == "step-failed"
    assert 0.005 <= event["data"]["delay"] <= 0.01


async def test_the_last_attempt_says_why(database: Database) -> None:
    FAULTS[1] = [OSError("down")] * 2
    async with running(database) as app:
        job = await ended(database, await submitted(app, 1, max_attempts=2))
    assert job.error is not None
    assert (job.status, job.attempt, job.error["code"]) == ("failed", 2, "step-failed")


async def test_what_another_attempt_would_not_change_is_not_tried_again(database: Database) -> None:
    FAULTS[1] = [PipelineError("sold out", status=409)]
    async with running(database) as app:
        refused = await ended(database, await submitted(app, 1, max_attempts=3))
        wrong = asked(2, max_attempts=3)
        object.__setattr__(wrong, "inputs", b'{"a":"many"}')
        invalid = await ended(database, (await app.jobs.submit(wrong)).job.id)
    assert (refused.status, refused.attempt) == ("failed", 1)
    assert (invalid.status, invalid.attempt) == ("failed", 1)


async def test_a_job_may_be_cancelled_between_two_attempts(database: Database) -> None:
    FAULTS[1] = [OSError("down")]
    async with running(database, Settings(cleanup_timeout=0.2, job_retry_delay=600)) as app:
        job_id = await submitted(app, 1, max_attempts=2)
        async with asyncio.timeout(30):
            while "run_retrying" not in await kinds(database, job_id):
                await asyncio.sleep(0.001)
        await found(database, job_id, "queued")
        job = await app.jobs.cancel(job_id, None, "enough")
    assert (job.status, job.attempt) == ("cancelled", 1)
    assert (await kinds(database, job_id))[-2:] == ["run_retrying", "run_cancelled"]


# ----------------------------------------------------------------------------- another version, a fault


async def test_a_job_of_another_version_of_its_pipeline_fails_unless_the_author_says_so(database: Database) -> None:
    async with running(database) as app:
        job = await ended(database, await submitted(app, 1, fingerprint="of yesterday", max_attempts=3))
        same = app.services["holding"].compiled.info.fingerprint
        assert (await ended(database, await submitted(app, 2, fingerprint=same))).status == "succeeded"
    assert job.error is not None
    assert (job.status, job.error["code"], job.error["status"], BEGUN) == ("failed", "pipeline-changed", 409, [2])
    assert job.error["fingerprint"] == "of yesterday"
    async with running(database, Settings(changed_pipelines="run")) as app:
        assert (await ended(database, await submitted(app, 1, fingerprint="of yesterday"))).status == "succeeded"


async def test_a_store_that_cannot_be_reached_for_a_while_loses_nothing(database: Database) -> None:
    GATES.update({1: asyncio.Event()})
    async with running(database) as app:
        job_id = await submitted(app, 1)
        await found(database, job_id, "running")
        await asyncio.sleep(0.01)
        database.down = True
        GATES[1].set()
        with pytest.raises(StoreError):
            await app.jobs.submit(asked(2))
        await asyncio.sleep(0.3)
        assert app.runner.leased, "what came of it is not written yet"
        database.down = False
        assert (await ended(database, job_id)).status == "succeeded"
        assert await kinds(database, job_id) == WHOLE
        assert (await ended(database, await submitted(app, 3))).status == "succeeded"


# ------------------------------------------------------------------------------------------- verbs


async def test_the_teams_own_code_submits_jobs(database: Database) -> None:
    async with running(database) as app:
        plain = await app.submit("holding", a=1)
        assert (await ended(database, plain.id)).result == b'{"output":1}'
        calling = app.calling(queue="slow", priority=3, delay=3600, max_attempts=4, run_name="late", principal="ada")
        job = await calling.submit("holding", a=2)
        sync = await asyncio.to_thread(app.calling(delay=3600).submit_sync, a=3)
        with pytest.raises(ConfigurationError, match="for jobs"):
            await calling.run("holding", a=2)
    request = job.request
    assert (request.queue, request.priority, request.max_attempts, request.run_name) == ("slow", 3, 4, "late")
    assert request.run_at is not None and 3500 < request.run_at - time() < 3700
    assert request.principal is not None and request.principal.name == "ada"
    assert sync.status == "queued"


@pytest.mark.parametrize(
    "terms",
    [
        *({"queue": queue} for queue in ("", None, 3)),
        *({"delay": delay} for delay in (-1, float("nan"), 1e300, "1")),
        *({"max_attempts": attempts} for attempts in (0, "2", 1.5, 2**31)),
        *({"priority": priority} for priority in ("high", None, 2**31, -(2**31) - 1, 0.5)),
    ],
    ids=str,
)
def test_terms_that_cannot_be(terms: Any) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(terms))):
        PipelineApp(holding).calling(**terms)


# --------------------------------------------------------------------------------- in memory, the same


async def test_jobs_in_memory_are_tried_again_and_delayed_too() -> None:
    FAULTS[1] = [OSError("down")]
    app = PipelineApp(holding, settings=Settings(cleanup_timeout=0.2, job_retry_delay=0.01))
    async with app.lifespan(None):
        at = time() + 0.1
        late = await submitted(app, 2, run_at=at)
        job = await app.jobs.until_ended(await submitted(app, 1, max_attempts=2), None)
        delayed = await app.jobs.until_ended(late, None)
        never = await submitted(app, 3, run_at=time() + 3600)
    assert (job.status, job.attempt) == ("succeeded", 2)
    assert delayed.started is not None and delayed.started >= at
    assert (await app.jobs.get(never, None)).status == "cancelled", "it ends with the process"
