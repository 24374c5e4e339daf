"""The verbs of jobs, on a real app and its home loop."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from tests.support.stores import STORES

from pipemount import PipelineApp, RateLimit, Settings, get_step_context, pipeline, step
from pipemount.errors import (
    EventsPrunedError,
    IdempotencyMismatchError,
    IdempotencyRunningError,
    JobEndedError,
    JobNotEndedError,
    NotFoundError,
    OverloadedError,
    PipelineError,
    RateLimitedError,
    StoreError,
    UnavailableError,
)
from pipemount.jobs.desk import Jobs, Subscription
from pipemount.jobs.encoding import SHUTDOWN
from pipemount.jobs.models import Idempotency, JobEvent, JobQuery, JobRequest
from pipemount.service import new_run_id
from pipemount.types import Principal

ADA = Principal("ada", frozenset({"invoke", "read", "cancel"}))
BOB = Principal("bob", frozenset({"invoke", "read", "cancel"}))
ROOT = Principal("root", frozenset({"admin"}))


@pytest.fixture(autouse=True, params=STORES)
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every test is of every store."""
    monkeypatch.setattr("pipemount.http.application.MemoryStore", STORES[request.param])
    name: str = request.param
    return name


not_kept = pytest.mark.parametrize("store", ["memory", "elsewhere"], indirect=True)
"""Jobs that no store keeps end with the app, and are refused where no place is; others wait in their store."""


@step
async def add(a: int, b: int) -> int:
    return a + b


@step
async def wait_long(a: int, b: int) -> int:
    await asyncio.sleep(60)
    return a + b


@step
async def fail(a: int, b: int) -> int:
    raise PipelineError("no sum today", status=418)


@step
async def chatter(a: int, b: int) -> int:
    context = get_step_context()
    for number in range(a):
        context.emit(number)
        if number % 32 == 0:
            await asyncio.sleep(0)
    return b


def app_of(body: Any, settings: Settings | None = None) -> PipelineApp:
    def total(a: int, b: int = 2) -> int:
        return body(a, b)  # type: ignore[no-any-return]

    return PipelineApp(pipeline(total), settings=settings or Settings(cleanup_timeout=1))


def asked(a: int = 1, **options: Any) -> JobRequest:
    inputs = json.dumps({"a": a}).encode()
    return JobRequest(job_id=new_run_id(), pipeline="total", fingerprint="", inputs=inputs, **options)


def keyed(key: str, digest: str = "d", **options: Any) -> JobRequest:
    return asked(idempotency=Idempotency("ada", key, digest), **options)


@asynccontextmanager
async def running(app: PipelineApp) -> AsyncIterator[Jobs]:
    await app.lifecycle.startup()
    try:
        yield app.jobs
    finally:
        await app.lifecycle.shutdown()


async def all_of(subscription: Subscription) -> list[JobEvent]:
    events: list[JobEvent] = []
    while not subscription.ended:
        events += await subscription.next(30)
    return events


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await holds():
            await asyncio.sleep(0)


async def test_a_job_succeeds() -> None:
    async with running(app_of(add)) as jobs:
        submitted = await jobs.submit(asked(4))
        assert not submitted.reused
        job = await jobs.until_ended(submitted.job.id, None)
        assert (job.status, job.result, job.error) == ("succeeded", b'{"output":6}', None)
        assert job.run_index == 1
        assert job.run_name == f"total-{job.id}"
        assert job.attempt == 1
        assert job.created <= (job.started or 0) <= (job.finished or 0)
        assert (job.execution_time or 0) > 0


async def test_events_are_gapless_and_end_with_the_outputs(store: str) -> None:
    async with running(app_of(add)) as jobs:
        job = (await jobs.submit(asked(4))).job
        early = await all_of(await jobs.subscribe(job.id, None))
        late = await all_of(await jobs.subscribe(job.id, None))
        assert early == late
        assert [event.sequence for event in early] == list(range(1, len(early) + 1))
        assert [event.kind for event in early] == ["run_started", "step_started", "step_completed", "run_completed"]
        bodies = [json.loads(event.body) for event in early]
        assert all(set(body) == {"kind", "sequence", "run_id", "time", "step", "attempt", "data"} for body in bodies)
        assert bodies[-1]["data"]["outputs"] == {"output": 6}
        same = [left is right for left, right in zip(early, late, strict=True)]
        assert store != "memory" or all(same), "bodies are written once"


async def test_a_job_fails() -> None:
    async with running(app_of(fail)) as jobs:
        job = await jobs.until_ended((await jobs.submit(asked())).job.id, None)
        assert job.status == "failed"
        assert job.error is not None
        assert (job.error["status"], job.error["detail"], job.error["run_id"]) == (418, "no sum today", job.id)
        events = await all_of(await jobs.subscribe(job.id, None))
        assert json.loads(events[-1].body)["data"] == {
            "error": "no sum today",
            "code": "pipeline-error",
            "step": "fail",
        }


async def test_a_running_job_is_cancelled() -> None:
    async with running(app_of(wait_long)) as jobs:
        job = (await jobs.submit(asked())).job
        subscription = await jobs.subscribe(job.id, None)
        assert (await subscription.next(30))[0].kind == "run_started"
        assert (await jobs.cancel(job.id, None, "enough")).status in ("cancelling", "cancelled")
        job = await jobs.until_ended(job.id, None)
        assert (job.status, job.reason) == ("cancelled", "enough")
        assert job.error is not None
        assert job.error["status"] == 409
        events = await all_of(subscription)
        assert json.loads(events[-1].body)["data"] == {
            "error": "enough",
            "code": "job-cancelled",
            "reason": "enough",
        }
        assert (await jobs.cancel(job.id, None, "again")).reason == "enough"


async def test_a_queued_job_is_cancelled_at_once() -> None:
    async with running(app_of(wait_long, Settings(max_concurrency=1, cleanup_timeout=1))) as jobs:
        first = (await jobs.submit(asked())).job
        second = (await jobs.submit(asked())).job
        await until(lambda: has_status(jobs, first.id, "running"))
        assert (await jobs.get(second.id, None)).status == "queued"
        job = await jobs.cancel(second.id, None, "enough")
        assert (job.status, job.reason, job.started) == ("cancelled", "enough", None)
        events = await all_of(await jobs.subscribe(second.id, None))
        assert [(event.sequence, event.kind) for event in events] == [(1, "run_cancelled")]


async def has_status(jobs: Jobs, job_id: str, *statuses: str) -> bool:
    return (await jobs.get(job_id, None)).status in statuses


async def test_what_ended_is_not_cancelled() -> None:
    async with running(app_of(add)) as jobs:
        job = (await jobs.submit(asked())).job
        await jobs.until_ended(job.id, None)
        with pytest.raises(JobEndedError) as raised:
            await jobs.cancel(job.id, None, "late")
        assert raised.value.extensions == {"job_status": "succeeded"}
        assert (await jobs.get(job.id, None)).status == "succeeded"


async def test_delete() -> None:
    async with running(app_of(wait_long)) as jobs:
        job = (await jobs.submit(asked())).job
        with pytest.raises(JobNotEndedError):
            await jobs.delete(job.id, None)
        await jobs.cancel(job.id, None, "enough")
        await jobs.until_ended(job.id, None)
        subscription = await jobs.subscribe(job.id, None, after=10_000)
        await jobs.delete(job.id, None)
        assert not await subscription.next(30)
        assert subscription.ended
        with pytest.raises(NotFoundError):
            await jobs.get(job.id, None)


@not_kept
async def test_places_and_the_line_are_shared_with_all_other_runs() -> None:
    async with running(app := app_of(wait_long, Settings(max_concurrency=1, max_queue=1, cleanup_timeout=0.1))) as jobs:
        first = (await jobs.submit(asked())).job
        second = (await jobs.submit(asked())).job
        assert (app.admission.active, app.admission.queued) == (1, 1)
        with pytest.raises(OverloadedError):
            await jobs.submit(refused := asked())
        with pytest.raises(NotFoundError):
            await jobs.get(refused.job_id, None)
        await jobs.cancel(first.id, None, "enough")
        await until(lambda: has_status(jobs, second.id, "running"))
        assert (app.admission.active, app.admission.queued) == (1, 0)
        await jobs.cancel(second.id, None, "enough")
        await jobs.until_ended(second.id, None)
    assert (app.admission.active, app.admission.queued) == (0, 0)


async def test_a_job_that_failed_or_was_cancelled_is_retried_as_it_was_asked_for() -> None:
    async with running(app_of(fail)) as jobs:
        options: dict[str, Any] = {"run_name": "again-{run_id}", "timeout": 30.0, "queue": "slow", "priority": 7}
        first = (await jobs.submit(keyed("k", run_at=1.0, max_attempts=2, principal=ADA, **options))).job
        await jobs.until_ended(first.id, ADA)
        submitted = await jobs.retry(first.id, ADA)
        assert not submitted.reused
        second = await jobs.until_ended(submitted.job.id, ADA)
        assert second.id != first.id
        assert second.status == "failed"
        told = second.request
        assert (told.inputs, told.queue, told.priority, told.timeout) == (first.request.inputs, "slow", 7, 30.0)
        assert told.run_name == "again-{run_id}"
        assert (told.run_at, told.max_attempts, told.idempotency) == (None, 2, None)
        assert (await jobs.get(first.id, ADA)).status == "failed"


async def test_who_retries_a_job_does_so_in_the_name_of_whose_it_is() -> None:
    async with running(app_of(fail)) as jobs:
        first = (await jobs.submit(asked(principal=ADA))).job
        await jobs.until_ended(first.id, ADA)
        with pytest.raises(NotFoundError):
            await jobs.retry(first.id, BOB)
        renewed = replace(ADA, permissions=frozenset({"invoke", "read"}))
        assert (await jobs.retry(first.id, renewed)).job.request.principal == renewed
        assert (await jobs.retry(first.id, ROOT)).job.request.principal == ADA


async def test_what_has_not_ended_or_has_succeeded_is_not_retried() -> None:
    async with running(app_of(wait_long)) as jobs:
        job = (await jobs.submit(asked())).job
        with pytest.raises(JobNotEndedError, match="cancel it, and retry it when"):
            await jobs.retry(job.id, None)
        assert len((await jobs.list(JobQuery(), None)).jobs) == 1
    async with running(app_of(add)) as jobs:
        job = (await jobs.submit(asked())).job
        await jobs.until_ended(job.id, None)
        with pytest.raises(JobEndedError, match="has succeeded and cannot be retried"):
            await jobs.retry(job.id, None)


async def test_a_retry_is_of_the_pipeline_as_it_is_now() -> None:
    app = app_of(fail)
    async with running(app) as jobs:
        old = (await jobs.submit(replace(asked(), fingerprint="of an older one"))).job
        await jobs.until_ended(old.id, None)
        now = app.pipelines["total"].info.fingerprint
        assert (await jobs.retry(old.id, None)).job.request.fingerprint == now
        elsewhere = Jobs(jobs.store, app.runner, {"another": "f"})
        with pytest.raises(NotFoundError, match="no pipeline 'total' any more"):
            await elsewhere.retry(old.id, None)
        unknowing = Jobs(jobs.store, app.runner)
        assert (await unknowing.retry(old.id, None)).job.request.fingerprint == "of an older one"


async def test_a_retry_with_a_key_is_one_however_often_it_is_asked_for() -> None:
    async with running(app_of(fail)) as jobs:
        first = (await jobs.submit(asked())).job
        await jobs.until_ended(first.id, None)
        key = Idempotency("nobody", "again", "")
        found = [await jobs.retry(first.id, None, idempotency=key) for _ in range(2)]
        assert [each.reused for each in found] == [False, True]
        assert found[0].job.id == found[1].job.id


@not_kept
async def test_a_job_that_stood_in_line_and_was_cancelled_gives_its_place_back() -> None:
    async with running(app := app_of(wait_long, Settings(max_concurrency=1, max_queue=1, cleanup_timeout=0.1))) as jobs:
        first = (await jobs.submit(asked())).job
        second = (await jobs.submit(asked())).job
        await jobs.cancel(second.id, None, "enough")
        async with asyncio.timeout(30):
            while app.admission.queued:
                await asyncio.sleep(0)
        assert app.admission.active == 1
        await jobs.cancel(first.id, None, "enough")


# ------------------------------------------------------------------------------------------- who may see


async def test_a4_what_is_somebody_elses_is_not_there() -> None:
    async with running(app_of(add)) as jobs:
        job = (await jobs.submit(asked(principal=ADA))).job
        await jobs.until_ended(job.id, ADA)
        unknown = await refusal(lambda: jobs.get(new_run_id(), BOB))
        for ask in (
            lambda: jobs.get(job.id, BOB),
            lambda: jobs.cancel(job.id, BOB, ""),
            lambda: jobs.delete(job.id, BOB),
            lambda: jobs.subscribe(job.id, BOB),
            lambda: jobs.until_ended(job.id, BOB),
            lambda: jobs.get(job.id, None),
            lambda: jobs.get(job.id, replace(ADA, source="host")),
        ):
            assert str(await refusal(ask)) == str(unknown)
        assert (await jobs.get(job.id, ROOT)).id == job.id


async def refusal(ask: Callable[[], Awaitable[object]]) -> NotFoundError:
    with pytest.raises(NotFoundError) as raised:
        await ask()
    return raised.value


async def test_a_list_has_what_one_may_see() -> None:
    async with running(app_of(add)) as jobs:
        adas = (await jobs.submit(asked(principal=ADA))).job.id
        bobs = (await jobs.submit(asked(principal=BOB))).job.id
        nobodys = (await jobs.submit(asked())).job.id

        async def seen(viewer: Principal | None) -> list[str]:
            return [job.id for job in (await jobs.list(JobQuery(), viewer)).jobs]

        assert await seen(ADA) == [adas]
        assert await seen(BOB) == [bobs]
        assert await seen(None) == [nobodys]
        assert await seen(ROOT) == [nobodys, bobs, adas]


# ------------------------------------------------------------------------------------------- once only


async def test_the_same_key_gives_the_same_job() -> None:
    release = asyncio.Event()

    @step
    async def held(a: int, b: int) -> int:
        await release.wait()
        return a + b

    async with running(app_of(held)) as jobs:
        first = await jobs.submit(keyed("k"))
        again = await jobs.submit(keyed("k"))
        assert (again.reused, again.job.id) == (True, first.job.id)
        with pytest.raises(IdempotencyRunningError) as raised:
            await jobs.submit(keyed("k"), wants_result=True)
        assert raised.value.extensions == {"job_id": first.job.id}
        with pytest.raises(IdempotencyMismatchError):
            await jobs.submit(keyed("k", "other"))
        release.set()
        await jobs.until_ended(first.job.id, None)
        assert (await jobs.submit(keyed("k"), wants_result=True)).job.result == b'{"output":3}'
        assert not (await jobs.submit(keyed("other"))).reused


@not_kept
async def test_a_replay_needs_no_place() -> None:
    async with running(app_of(wait_long, Settings(max_concurrency=1, max_queue=0, cleanup_timeout=0.1))) as jobs:
        first = (await jobs.submit(keyed("k"))).job
        with pytest.raises(OverloadedError):
            await jobs.submit(keyed("other"))
        assert (await jobs.submit(keyed("k"))).job.id == first.id
        await jobs.cancel(first.id, None, "enough")
        await jobs.until_ended(first.id, None)
        assert not (await jobs.submit(keyed("other"))).reused, "a refused request leaves no key behind"


@not_kept
async def test_a_job_over_the_quota_of_its_caller_leaves_nothing() -> None:
    async with running(app_of(add, Settings(rate_limit=RateLimit(1, 3600)))) as jobs:
        first = (await jobs.submit(asked(principal=ADA))).job.id
        with pytest.raises(RateLimitedError):
            await jobs.submit(keyed("k", principal=ADA))
        assert [job.id for job in (await jobs.list(JobQuery(), ROOT)).jobs] == [first]


@not_kept
async def test_who_finds_a_job_that_is_then_refused_is_refused_as_well() -> None:
    async with running(app_of(wait_long, Settings(max_concurrency=1, max_queue=0, cleanup_timeout=0.1))) as jobs:
        first = (await jobs.submit(asked())).job.id
        found = await asyncio.gather(*(jobs.submit(keyed("k")) for _ in range(5)), return_exceptions=True)
        assert [type(each) for each in found] == [OverloadedError] * 5
        assert [job.id for job in (await jobs.list(JobQuery(), None)).jobs] == [first]
        await jobs.cancel(first, None, "enough")
        await jobs.until_ended(first, None)
        again = await asyncio.gather(*(jobs.submit(keyed("k")) for _ in range(5)))
        assert [each.reused for each in again] == [False, True, True, True, True]
        assert len({each.job.id for each in again}) == 1


async def test_j1_a_hundred_at_once_with_one_key_run_once() -> None:
    runs = 0

    @step
    async def count(a: int, b: int) -> int:
        nonlocal runs
        runs += 1
        await asyncio.sleep(0.01)
        return runs

    async with running(app_of(count)) as jobs:
        for key in ("one", "two", "three"):
            found = await asyncio.gather(*(jobs.submit(keyed(key)) for _ in range(100)))
            assert len({submitted.job.id for submitted in found}) == 1
            assert sum(not submitted.reused for submitted in found) == 1
            await jobs.until_ended(found[0].job.id, None)
    assert runs == 3


# ---------------------------------------------------------------------------------------------- the end


@not_kept
async def test_shutdown_ends_every_job_and_says_why(caplog: pytest.LogCaptureFixture) -> None:
    app = app_of(wait_long, Settings(max_concurrency=1, cleanup_timeout=0.2))
    async with running(app) as jobs:
        runs = (await jobs.submit(asked())).job.id
        waits = (await jobs.submit(asked())).job.id
        reader = asyncio.create_task(all_of(await jobs.subscribe(runs, None)))
        other = asyncio.create_task(all_of(await jobs.subscribe(waits, None)))
        waiter = asyncio.create_task(jobs.until_ended(waits, None))
        await until(lambda: has_status(jobs, runs, "running"))
    for job_id in (runs, waits):
        job = await jobs.get(job_id, None)
        assert (job.status, job.reason) == ("cancelled", SHUTDOWN)
        assert job.error is not None
        assert (job.error["status"], job.error["code"]) == (503, "draining")
        assert f"job {job_id} of total is cancelled: {SHUTDOWN}" in caplog.messages
    for last in ((await reader)[-1], (await other)[-1]):
        assert last.kind == "run_cancelled"
        assert json.loads(last.body)["data"] == {"error": SHUTDOWN, "code": "draining", "reason": SHUTDOWN}
    assert (await waiter).status == "cancelled"
    with pytest.raises(UnavailableError):
        await jobs.submit(asked())


@not_kept
async def test_what_runs_may_end_while_the_app_stops() -> None:
    release = asyncio.Event()

    @step
    async def held(a: int, b: int) -> int:
        await release.wait()
        return a + b

    app = app_of(held, Settings(cleanup_timeout=30))
    async with running(app) as jobs:
        job_id = (await jobs.submit(asked(1))).job.id
        await until(lambda: has_status(jobs, job_id, "running"))
        asyncio.get_running_loop().call_later(0.01, release.set)
    assert (await jobs.get(job_id, None)).status == "succeeded"


@not_kept
async def test_a_thread_that_does_not_return_holds_no_stop_up() -> None:
    release = threading.Event()

    @step
    def stuck(a: int, b: int) -> int:
        release.wait(30)
        return a

    app = app_of(stuck, Settings(cleanup_timeout=0.1))
    try:
        async with running(app) as jobs:
            job_id = (await jobs.submit(asked())).job.id
            await until(lambda: has_status(jobs, job_id, "running"))
        job = await jobs.get(job_id, None)
        assert (job.status, job.reason) == ("cancelled", SHUTDOWN)
    finally:
        release.set()


@not_kept
async def test_a_job_that_was_being_cancelled_says_who_cancelled_it_though_its_thread_never_returned() -> None:
    entered, release = threading.Event(), threading.Event()

    @step
    def stuck(a: int, b: int) -> int:
        entered.set()
        release.wait(30)
        return a

    app = app_of(stuck, Settings(cleanup_timeout=0.1))
    try:
        async with running(app) as jobs:
            job_id = (await jobs.submit(asked())).job.id
            reader = asyncio.create_task(all_of(await jobs.subscribe(job_id, None)))
            await until(lambda: asyncio.to_thread(entered.wait, 0.01))
            assert (await jobs.cancel(job_id, None, "enough")).status == "cancelling"
        job = await jobs.get(job_id, None)
        assert (job.status, job.reason) == ("cancelled", "enough")
        assert (await reader)[-1].kind == "run_cancelled"
    finally:
        release.set()


async def test_an_app_starts_again_with_what_it_knew() -> None:
    app = app_of(add)
    async with running(app) as jobs:
        first = (await jobs.submit(asked(1))).job.id
        await jobs.until_ended(first, None)
    async with running(app) as jobs:
        assert (await jobs.get(first, None)).status == "succeeded"
        assert (await jobs.until_ended((await jobs.submit(asked(2))).job.id, None)).status == "succeeded"


async def test_a_timeout_of_a_job() -> None:
    async with running(app_of(wait_long)) as jobs:
        job = await jobs.until_ended((await jobs.submit(asked(timeout=0.05))).job.id, None)
        assert job.error is not None
        assert (job.status, job.error["status"], job.error["code"]) == ("failed", 504, "deadline-exceeded")


async def test_what_is_old_is_forgotten_by_and_by(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("pipemount.jobs.desk.SWEEP", 0.001)
    swept = asyncio.Event()
    failures = [StoreError("the disk is full")]

    async def sweep() -> None:
        if failures:
            raise failures.pop()
        swept.set()

    app = app_of(add)
    monkeypatch.setattr(app.jobs.store, "sweep", sweep, raising=False)
    async with running(app), asyncio.timeout(30):
        await swept.wait()
    assert "old jobs could not be forgotten: the disk is full" in caplog.text


# ----------------------------------------------------------------------------------------------- events


async def test_a_reader_that_begins_late_is_told_what_it_missed() -> None:
    settings = Settings(max_event_buffer=16)
    async with running(app_of(chatter, settings)) as jobs:
        job = await jobs.until_ended((await jobs.submit(asked(100))).job.id, None)
        assert job.first_event > 1
        events = await all_of(await jobs.subscribe(job.id, None))
        assert [event.kind for event in events][:2] == ["run_started", "step_started"]
        assert "missed" in [event.kind for event in events]
        last = (
            0  # every event is told or missed, once and in order; a run that is faster than its store misses some, too
        )
        for event in events:
            first = json.loads(event.body)["data"]["first"] if event.kind == "missed" else event.sequence
            assert first == last + 1
            last = event.sequence
        assert last == job.last_event


async def test_who_goes_on_behind_what_is_kept_is_told_410() -> None:
    async with running(app_of(chatter, Settings(max_event_buffer=16))) as jobs:
        job = await jobs.until_ended((await jobs.submit(asked(100))).job.id, None)
        with pytest.raises(EventsPrunedError) as raised:
            await jobs.subscribe(job.id, None, after=5)
        assert raised.value.extensions == {"after": 5, "first_event": job.first_event}
        events = await all_of(await jobs.subscribe(job.id, None, after=job.first_event - 1))
        assert [event.sequence for event in events] == list(range(job.first_event, job.last_event + 1))


async def test_silence_is_told() -> None:
    async with running(app_of(wait_long)) as jobs:
        job = (await jobs.submit(asked())).job
        subscription = await jobs.subscribe(job.id, None)
        told: list[str] = []
        while "step_started" not in told:
            told += [event.kind for event in await subscription.next(30)]
        assert not await subscription.next(0.05)
        assert not subscription.ended
        await jobs.cancel(job.id, None, "enough")
        assert [event.kind for event in await subscription.next(30)][-1] == "run_cancelled"
        assert await subscription.next(30) == ()
