"""How every store keeps jobs that ask something, until they are answered."""

from __future__ import annotations

from typing import Any

from ...jobs.models import Claim, Lease
from ...jobs.store import Store
from ...service import new_run_id
from .asking import DONE, ended, event, found, ids, leased, read, submitted

__all__ = ["Suspending"]

QUESTION = {"key": "ask?1", "step": "ask", "reason": "publish?", "schema": {"type": "boolean"}}


async def suspended(store: Store, **options: Any) -> Lease:
    lease = await leased(store, **options)
    assert await store.suspend(lease, QUESTION, [event(1, "suspended")])
    return lease


async def claimed(store: Store, job_id: str) -> Lease:
    lease = await store.claim_job(job_id, "w")
    assert lease is not None
    return lease


class Suspending:
    """Questions and answers."""

    async def test_a_job_that_asks_waits_for_its_answer_and_for_nothing_else(self, store: Store) -> None:
        lease = await suspended(store)
        job = await found(store, lease.job.id)
        assert (job.status, job.ended, job.question, job.attempt, job.finished) == (
            "suspended",
            False,
            QUESTION,
            1,
            None,
        )
        assert await read(store, job.id) == [1]
        assert await store.claim_job(job.id, "w") is None and not await store.claim(Claim("w", ["sum"], 1))
        assert await store.rescue() == 0
        assert not await store.delete(job.id)
        assert await store.heartbeat([lease]) == ["lost"]
        assert not await store.append(lease, [event(2)]) and not await store.finish(lease, DONE)
        assert not await store.suspend(lease, QUESTION)
        assert await ids(store, status=["suspended"]) == [job.id]
        assert dict(await store.counts()) == {"suspended": 1}

    async def test_an_answer_is_kept_with_what_steps_gave_and_the_attempt_goes_on(self, store: Store) -> None:
        lease = await leased(store)
        await store.save_step(lease, "load", b"1")
        assert await store.suspend(lease, QUESTION)
        assert await store.resume(lease.job.id, b"true") == "resumed"
        assert await store.resume(lease.job.id, b"false") == "not-suspended"
        job = await found(store, lease.job.id)
        assert (job.status, job.question) == ("queued", None)
        again = await claimed(store, job.id)
        assert (again.job.status, again.job.attempt) == ("running", 1)
        assert again.fence > lease.fence
        assert await store.read_steps(again) == {"load": b"1", "ask?1": b"true"}
        assert await store.suspend(again, QUESTION), "the answer did not fit"
        assert await store.resume(job.id, b"false") == "resumed"
        assert (await store.read_steps(await claimed(store, job.id)))["ask?1"] == b"false"

    async def test_only_a_suspended_job_takes_an_answer(self, store: Store) -> None:
        assert await store.resume(new_run_id(), b"1") == "unknown"
        assert await store.resume((await submitted(store)).id, b"1") == "not-suspended"
        assert await store.resume((await leased(store)).job.id, b"1") == "not-suspended"
        assert await store.resume(await ended(store), b"1") == "not-suspended"

    async def test_a_suspended_job_is_cancelled_at_once(self, store: Store) -> None:
        lease = await suspended(store)
        assert await store.request_cancel(lease.job.id, "no") == "cancelled"
        job = await found(store, lease.job.id)
        assert (job.status, job.reason, job.question, job.last_event) == ("cancelled", "no", None, 2)
        assert await store.resume(job.id, b"true") == "not-suspended"
        assert await store.delete(job.id)

    async def test_a_job_that_was_cancelled_before_it_asks_ends(self, store: Store) -> None:
        lease = await leased(store)
        await store.request_cancel(lease.job.id, "enough")
        assert await store.suspend(lease, QUESTION, [event(1, "suspended")])
        job = await found(store, lease.job.id)
        assert (job.status, job.reason, job.question) == ("cancelled", "enough", None)
        assert [each.kind for each in await store.read_events(job.id, 0, 9)] == ["suspended", "run_cancelled"]
