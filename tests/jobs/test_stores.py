"""What every store of jobs does: one suite, over all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from time import time
from typing import Any

import pytest
from tests.support.stores import STORES

from pipemount import Settings
from pipemount.errors import IdempotencyMismatchError, InvalidInputsError, OverloadedError
from pipemount.jobs.encoding import encode
from pipemount.jobs.models import (
    ENDED,
    Idempotency,
    Job,
    JobEvent,
    JobQuery,
    JobRequest,
    JobStatus,
    Lease,
    Outcome,
    owner_of,
)
from pipemount.jobs.store import Store
from pipemount.runtime.events import Event, EventKind
from pipemount.service import new_run_id
from pipemount.types import Principal, Trace

ADA = Principal("ada", frozenset({"invoke", "read"}))
BOB = Principal("bob", frozenset({"invoke"}), source="django")
DONE = Outcome(status="succeeded", result=b'{"output":1}', execution_time=0.5, run_index=7, run_name="morning")
FAILED = Outcome(status="failed", error={"status": 500, "code": "step-failed", "detail": "no"})
ONLY_ONCE = "there is one lease of a job"

Open = Callable[..., Awaitable[Store]]


@pytest.fixture(params=STORES)
async def open_store(request: pytest.FixtureRequest) -> AsyncIterator[Open]:
    """Opens a store with the settings that it is given; it is closed at the end."""
    opened: list[Store] = []

    async def open_store(**settings: Any) -> Store:
        opened.append(STORES[request.param](Settings(**settings)))
        await opened[-1].open()
        return opened[-1]

    yield open_store
    for store in opened:
        await store.close()


@pytest.fixture
async def store(open_store: Open) -> Store:
    return await open_store()


def asked(**options: Any) -> JobRequest:
    return JobRequest(**{"job_id": new_run_id(), "pipeline": "sum", "fingerprint": "f", "inputs": b'{"a":1}'} | options)


def keyed(key: str = "k", digest: str = "d", scope: str = "ada", **options: Any) -> JobRequest:
    return asked(idempotency=Idempotency(scope, key, digest), **options)


def event(sequence: int, kind: EventKind = "delta", **data: Any) -> JobEvent:
    return encode(Event(kind, sequence, "run", 1.0, data=data))


async def submitted(store: Store, **options: Any) -> Job:
    return (await store.submit(asked(**options))).job


async def leased(store: Store, **options: Any) -> Lease:
    lease = await store.claim_job((await submitted(store, **options)).id, "w")
    assert lease is not None
    return lease


async def ended(store: Store, outcome: Outcome = DONE, **options: Any) -> str:
    lease = await leased(store, **options)
    await store.finish(lease, outcome, [event(1, "run_completed")])
    return lease.job.id


async def found(store: Store, job_id: str) -> Job:
    job = await store.get(job_id)
    assert job is not None
    return job


async def read(store: Store, job_id: str, after: int = 0, limit: int = 1000) -> list[int]:
    return [event.sequence for event in await store.read_events(job_id, after, limit)]


async def ids(store: Store, **query: Any) -> list[str]:
    return [job.id for job in (await store.list(JobQuery(**query))).jobs]


async def gone(store: Store, job_id: str) -> None:
    async with asyncio.timeout(30):
        while await store.get(job_id) is not None:
            await asyncio.sleep(0.005)


# --------------------------------------------------------------------------------------------- records


async def test_a_record_has_all_that_was_asked_for(store: Store) -> None:
    request = keyed(
        kind="batch",
        inputs=b'[{"a":1}]',
        parameters=b'[{"a":1,"b":2}]',
        overrides=b"{}",
        run_name="morning",
        timeout=2.5,
        principal=ADA,
        trace=Trace("0" * 31 + "1", "0" * 15 + "2", 1, "a=b"),
    )
    before = time()
    made, reused = await store.submit(request)
    assert not reused
    assert made == await store.get(request.job_id)
    assert made.request == request
    assert (made.status, made.attempt, made.started, made.finished, made.result) == ("queued", 0, None, None, None)
    assert (made.first_event, made.last_event) == (1, 0)
    assert before - 1 < made.created < time() + 1


async def test_a_store_that_is_open_can_be_used(store: Store) -> None:
    await store.check()
    await store.sweep()
    assert await ids(store) == []


async def test_what_is_unknown_is_no_error(store: Store) -> None:
    assert await store.get("nothing") is None
    assert await store.claim_job("nothing", "w") is None
    assert await store.request_cancel("nothing", "why") == "unknown"
    assert not await store.delete("nothing")
    assert not await store.read_events("nothing", 0, 10)
    assert await store.wait("nothing", 0, 30), "of what there is none, nobody waits for more"
    assert await store.counts() == {}


# ---------------------------------------------------------------------------------------------- leases


async def test_the_oldest_are_claimed_first_and_each_once(store: Store) -> None:
    first, other, second, third = [(await submitted(store, pipeline=name)).id for name in ("a", "b", "a", "a")]
    assert [lease.job.id for lease in await store.claim("w", ["a"], 2)] == [first, second]
    assert [lease.job.id for lease in await store.claim("w", ["a", "b"], 9)] == [other, third]
    assert not await store.claim("w", ["a", "b"], 9)
    job = await found(store, first)
    assert (job.status, job.attempt) == ("running", 1)
    assert job.created <= (job.started or 0)


async def test_a_hundred_claims_at_once_give_one_lease(store: Store) -> None:
    job_id = (await submitted(store)).id
    leases = await asyncio.gather(*(store.claim_job(job_id, f"w{number}") for number in range(100)))
    assert len([lease for lease in leases if lease is not None]) == 1, ONLY_ONCE
    for _ in range(20):
        await submitted(store)
    claimed = await asyncio.gather(*(store.claim(f"w{number}", ["sum"], 3) for number in range(10)))
    jobs = [lease.job.id for leases in claimed for lease in leases]
    assert len(jobs) == len(set(jobs)) == 20, ONLY_ONCE


async def test_what_carries_an_older_fence_is_refused(store: Store) -> None:
    lease = await leased(store)
    stale = lease._replace(fence=lease.fence - 1)
    assert not await store.append(stale, [event(1)])
    assert not await store.finish(stale, DONE, [event(1, "run_completed")])
    assert (await found(store, lease.job.id)).status == "running"
    assert await read(store, lease.job.id) == []
    assert await store.append(lease, [event(1)])


@pytest.mark.parametrize("outcome", [DONE, FAILED, Outcome(status="cancelled", reason="why")])
async def test_how_it_ended(store: Store, outcome: Outcome) -> None:
    lease = await leased(store)
    assert await store.finish(lease, outcome, [event(1, "run_completed")])
    job = await found(store, lease.job.id)
    assert job.ended
    for name in ("status", "result", "execution_time", "run_index", "run_name", "error", "reason"):
        assert getattr(job, name) == getattr(outcome, name), name
    assert (job.started or 0) <= (job.finished or 0)
    assert job.last_event == 1


async def test_what_has_ended_never_changes_again(store: Store) -> None:
    lease = await leased(store)
    await store.finish(lease, DONE, [event(1, "run_completed")])
    before = await found(store, lease.job.id)
    assert not await store.finish(lease, FAILED, [event(2, "run_failed")])
    assert not await store.append(lease, [event(2)])
    assert await store.request_cancel(lease.job.id, "late") == "ended"
    assert await store.claim_job(lease.job.id, "w") is None
    assert await found(store, lease.job.id) == before
    assert await read(store, lease.job.id) == [1]


# -------------------------------------------------------------------------------------------- cancelling


async def test_a_queued_job_is_cancelled_at_once_and_never_begins(store: Store) -> None:
    job_id = (await submitted(store)).id
    assert await store.request_cancel(job_id, "enough") == "cancelled"
    job = await found(store, job_id)
    assert (job.status, job.reason, job.started, job.last_event) == ("cancelled", "enough", None, 1)
    assert job.error is not None
    assert (job.error["status"], job.error["run_id"]) == (409, job_id)
    [last] = await store.read_events(job_id, 0, 10)
    assert (last.sequence, last.kind) == (1, "run_cancelled")
    assert not await store.claim("w", ["sum"], 1)
    assert await store.request_cancel(job_id, "again") == "ended"


async def test_of_a_running_job_the_wish_is_noted_once(store: Store) -> None:
    lease = await leased(store)
    assert await store.request_cancel(lease.job.id, "first") == "requested"
    assert await store.request_cancel(lease.job.id, "second") == "requested"
    job = await found(store, lease.job.id)
    assert (job.status, job.cancel_requested, job.reason) == ("cancelling", True, "first")
    assert await store.append(lease, [event(1)]), "it may still tell what it does"
    assert await store.finish(lease, Outcome(status="cancelled", reason="first"), [event(2, "run_cancelled")])
    assert (await found(store, lease.job.id)).reason == "first"


# ----------------------------------------------------------------------------------------------- events


async def test_events_are_kept_in_order_and_read_from_anywhere(store: Store) -> None:
    lease = await leased(store)
    await store.append(lease, [event(1, "run_started"), event(2, value="é\u2028")])
    await store.append(lease, [event(3), event(4)])
    await store.finish(lease, DONE, [event(5, "run_completed")])
    job_id = lease.job.id
    assert list(await store.read_events(job_id, 1, 1)) == [event(2, value="é\u2028")]
    assert await read(store, job_id) == [1, 2, 3, 4, 5]
    assert await read(store, job_id, after=3) == [4, 5]
    assert await read(store, job_id, limit=2) == [1, 2]
    assert await read(store, job_id, after=5) == await read(store, job_id, after=99) == []
    job = await found(store, job_id)
    assert (job.first_event, job.last_event) == (1, 5)


async def test_of_what_passes_the_oldest_make_way_and_the_record_says_so(open_store: Open) -> None:
    store = await open_store(max_event_buffer=8)
    lease = await leased(store)
    await store.append(lease, [event(1, "run_started"), event(2, "step_started")])
    for number in range(3, 43):
        await store.append(lease, [event(number)])
    await store.finish(lease, DONE, [event(43, "run_completed")])
    job, numbers = await found(store, lease.job.id), await read(store, lease.job.id)
    assert numbers[:2] == [1, 2] and numbers[-1] == job.last_event == 43
    assert 2 < job.first_event <= 41
    assert numbers[2:] == list(range(job.first_event, 44)), "behind first_event nothing is missing"
    assert len(numbers) <= 8 + 3


async def test_readers_are_woken_by_events_by_the_end_and_by_oblivion(store: Store) -> None:
    lease = await leased(store)
    job_id = lease.job.id

    async def waiting(after: int) -> asyncio.Task[bool]:
        task = asyncio.create_task(store.wait(job_id, after, 30))
        await asyncio.sleep(0.01)
        assert not task.done()
        return task

    early, other = await waiting(0), await waiting(0)
    await store.append(lease, [event(1)])
    assert await early and await other
    assert await store.wait(job_id, 0, 30), "what is there already is not waited for"
    late, beyond = await waiting(1), await waiting(10**9)
    await store.finish(lease, DONE, [event(2, "run_completed")])
    assert await late and await beyond
    assert await store.wait(job_id, 10**9, 30), "there will be no more"


async def test_who_waits_in_vain_is_told(store: Store) -> None:
    job_id = (await submitted(store)).id
    assert not await store.wait(job_id, 0, 0.01)


async def test_a_store_that_closes_lets_those_go_who_wait(store: Store) -> None:
    lease = await leased(store)
    waiting = asyncio.create_task(store.wait(lease.job.id, 0, 30))
    await asyncio.sleep(0.01)
    await store.close()
    async with asyncio.timeout(10):
        await waiting


# ---------------------------------------------------------------------------------------------- listing


async def test_a_list_has_the_youngest_first_and_only_what_was_asked_for(store: Store) -> None:
    adas = await ended(store, principal=ADA)
    bobs = await ended(store, FAILED, principal=BOB, pipeline="other")
    nobodys = (await leased(store)).job.id
    waits = (await submitted(store, principal=ADA)).id
    assert await ids(store) == [waits, nobodys, bobs, adas]
    assert await ids(store, owner=owner_of(ADA)) == [waits, adas]
    assert await ids(store, owner="key:bob") == [], "a source of its own is somebody else"
    assert await ids(store, owner="") == [nobodys]
    assert await ids(store, pipeline="other") == [bobs]
    assert await ids(store, status=("queued", "failed")) == [waits, bobs]
    assert await ids(store, owner=owner_of(ADA), status=("succeeded",), pipeline="sum") == [adas]
    assert await ids(store, limit=2) == [waits, nobodys]
    expected: dict[JobStatus, int] = {"queued": 1, "running": 1, "succeeded": 1, "failed": 1}
    assert dict(await store.counts()) == expected


async def test_pages_hold_still_while_jobs_come_and_go(store: Store) -> None:
    old = [await ended(store) for _ in range(9)][::-1]
    page = await store.list(JobQuery(limit=3))
    assert [job.id for job in page.jobs] == old[:3]
    for job_id in (old[0], old[2], old[4]):  # the one that the page ended with is among them
        assert await store.delete(job_id)
    for _ in range(5):
        await submitted(store)
    seen = []
    while page.cursor is not None:
        page = await store.list(JobQuery(limit=3, cursor=page.cursor))
        seen += [job.id for job in page.jobs]
    assert seen == [old[3], *old[5:]], "none twice, none left out, none of those that came later"


async def test_the_last_page_says_that_it_is(store: Store) -> None:
    for _ in range(4):
        await ended(store)
    page = await store.list(JobQuery(limit=4))
    assert (len(page.jobs), page.cursor) == (4, None)
    assert (await store.list(JobQuery(status=("failed",)))) == ([], None)


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1.5", "9" * 40, "٣", "1 OR 1=1", "\0"])
async def test_a_cursor_that_is_none_is_the_callers_fault(store: Store, cursor: str) -> None:
    with pytest.raises(InvalidInputsError) as raised:
        await store.list(JobQuery(cursor=cursor))
    assert raised.value.errors[0]["loc"] == ["query", "cursor"]


# -------------------------------------------------------------------------------------------- forgetting


async def test_only_what_has_ended_is_deleted_and_all_of_it(store: Store) -> None:
    lease = await leased(store)
    waits = (await submitted(store)).id
    assert not await store.delete(lease.job.id)
    assert not await store.delete(waits)
    await store.finish(lease, DONE, [event(1, "run_completed")])
    assert await store.delete(lease.job.id)
    assert not await store.delete(lease.job.id)
    assert await store.get(lease.job.id) is None
    assert await read(store, lease.job.id) == []
    assert await ids(store) == [waits]


async def test_the_oldest_of_too_many_are_forgotten_and_those_with_a_key_last(open_store: Open) -> None:
    store = await open_store(max_jobs=3)
    runs = (await leased(store)).job.id
    with_key = (await store.submit(keyed())).job.id
    lease = await store.claim_job(with_key, "w")
    assert lease is not None
    await store.finish(lease, DONE, [])
    plain = [await ended(store) for _ in range(5)]
    await store.sweep()
    assert set(await ids(store)) == {runs, with_key, *plain[-2:]}


async def test_what_is_old_is_forgotten(open_store: Open) -> None:
    store = await open_store(job_ttl=0.05, idempotency_ttl=0.05)
    runs, waits = (await leased(store)).job.id, (await submitted(store)).id
    for job_id in (await ended(store), await ended(store, idempotency=Idempotency("s", "k", "d"))):
        await gone(store, job_id)
    await store.sweep()
    assert await ids(store) == [waits, runs], "what has not ended is not old"


async def test_with_a_key_a_job_is_known_as_long_as_the_key(open_store: Open) -> None:
    store = await open_store(job_ttl=0.001, idempotency_ttl=3600)
    with_key = await ended(store, idempotency=Idempotency("ada", "k", "d"))
    await gone(store, await ended(store))
    assert (await store.submit(keyed())).job.id == with_key


async def test_what_has_ended_makes_room(open_store: Open) -> None:
    store = await open_store(max_job_bytes=100_000)
    large = Outcome(status="succeeded", result=b'"%b"' % (b"x" * 40_000))
    first, second = await ended(store, large), await ended(store, large)
    third = (await submitted(store, inputs=b'"%b"' % (b"y" * 40_000))).id
    assert await store.get(first) is None, "the oldest has made way"
    assert await ids(store) == [third, second]


async def test_where_nothing_can_make_way_a_job_is_refused_and_leaves_nothing(open_store: Open) -> None:
    store = await open_store(max_job_bytes=100_000)
    large = b'"%b"' % (b"y" * 60_000)
    waits = (await submitted(store, inputs=large)).id
    with pytest.raises(OverloadedError) as raised:
        await store.submit(refused := keyed(inputs=large))
    assert raised.value.retry_after > 0
    assert await store.get(refused.job_id) is None
    await store.request_cancel(waits, "enough")
    assert not (await store.submit(keyed(inputs=large))).reused, "its key was not used up"


# -------------------------------------------------------------------------------------------- once only


async def test_an_equal_request_finds_the_first_job_in_every_state(store: Store) -> None:
    first = (await store.submit(keyed())).job.id

    async def again() -> tuple[str, JobStatus, bool]:
        job, reused = await store.submit(keyed())
        return job.id, job.status, reused

    assert await again() == (first, "queued", True)
    lease = await store.claim_job(first, "w")
    assert lease is not None
    assert await again() == (first, "running", True)
    await store.finish(lease, FAILED, [event(1, "run_failed")])
    assert await again() == (first, "failed", True), "what failed has failed for all who ask"
    assert len(await ids(store)) == 1


async def test_another_request_under_the_key_is_refused_and_another_key_is_not(store: Store) -> None:
    first = (await store.submit(keyed())).job.id
    with pytest.raises(IdempotencyMismatchError):
        await store.submit(keyed(digest="other"))
    others = {(await store.submit(request)).job.id for request in (keyed("l"), keyed(scope="bob"), asked(), asked())}
    assert len(others | {first}) == 5


async def test_j1_a_hundred_equal_requests_at_once_make_one_job(store: Store) -> None:
    made = await asyncio.gather(*(store.submit(keyed()) for _ in range(100)))
    assert len({each.job.id for each in made}) == 1
    assert sum(not each.reused for each in made) == 1


async def test_a_key_ends_with_its_time_but_not_before_its_job(open_store: Open) -> None:
    store = await open_store(idempotency_ttl=0.02)
    lease = await leased(store, idempotency=Idempotency("ada", "k", "d"))
    await asyncio.sleep(0.05)
    assert (await store.submit(keyed())).job.id == lease.job.id, "what still runs is not run beside itself"
    await store.finish(lease, DONE, [])
    second, reused = await store.submit(keyed(digest="other"))
    assert not reused
    assert (await found(store, lease.job.id)).status == "succeeded", "its job stays as long as any"
    assert await store.delete(lease.job.id)
    assert (await store.submit(keyed(digest="other"))).job.id == second.id, "the key is the second's now"


async def test_a_key_ends_with_its_job(store: Store) -> None:
    first = await ended(store, idempotency=Idempotency("ada", "k", "d"))
    await store.delete(first)
    assert not (await store.submit(keyed(digest="other"))).reused


async def test_statuses_are_those_of_the_contract(store: Store) -> None:
    """What a job may become: ``queued`` → ``running`` → ``cancelling`` → an end, each of the first two left out."""
    seen = []
    lease = await leased(store)
    for _ in range(2):
        seen.append((await found(store, lease.job.id)).status)
        await store.request_cancel(lease.job.id, "why")
    await store.finish(lease, DONE, [])
    seen.append((await found(store, lease.job.id)).status)
    assert seen == ["running", "cancelling", "succeeded"], "who ends well in spite of a cancel has ended well"
    assert seen[-1] in ENDED
