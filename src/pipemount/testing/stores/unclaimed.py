"""How every store tells which jobs nobody came for."""

from __future__ import annotations

from time import time

from ...jobs.models import Lease
from ...jobs.store import Store
from .asking import DONE, FAR, leased, submitted

__all__ = ["Unclaimed"]

NONE = 1e-9
"""A patience that is over at once."""


async def given(store: Store, patience: float = NONE, limit: int = 10) -> list[str]:
    return [job.id for job in await store.unclaimed(patience, limit)]


async def claimed(store: Store, job_id: str) -> Lease:
    lease = await store.claim_job(job_id, "w")
    assert lease is not None
    return lease


class Unclaimed:
    """Queued jobs, for what carries them to workers and may lose them."""

    async def test_jobs_that_nobody_came_for_are_given_the_oldest_first(self, store: Store) -> None:
        first, second, _third = [await submitted(store) for _ in range(3)]
        assert await given(store, limit=2) == [first.id, second.id]

    async def test_who_was_told_of_a_job_just_now_is_waited_for(self, store: Store) -> None:
        job = await submitted(store)
        assert await given(store, FAR) == []
        assert await given(store) == [job.id]

    async def test_a_job_is_given_to_one_caller_until_its_pause_is_over(self, store: Store) -> None:
        job = await submitted(store, run_at=time() - 1)
        assert await given(store, FAR) == [job.id]
        assert await given(store, FAR) == []
        assert await given(store, NONE) == [], "the pause is as long as the patience was when it began"

    async def test_what_is_claimed_or_over_or_not_due_is_not_given(self, store: Store) -> None:
        await leased(store)
        await store.finish(await leased(store), DONE)
        await submitted(store, run_at=time() + FAR)
        assert await given(store) == []

    async def test_what_waits_for_another_attempt_is_given_as_soon_as_it_is_due(self, store: Store) -> None:
        lease = await leased(store)
        await store.requeue(lease)
        assert await given(store, FAR) == [lease.job.id]
        await store.requeue(await claimed(store, lease.job.id), time() - 1)
        assert await given(store, FAR) == [lease.job.id]
        await store.requeue(await claimed(store, lease.job.id), time() + FAR)
        assert await given(store, NONE) == []

    async def test_what_was_answered_is_given_at_once(self, store: Store) -> None:
        lease = await leased(store)
        await store.suspend(lease, {"key": "ask?1", "step": "ask", "reason": "publish?", "schema": {}})
        assert await given(store) == []
        await store.resume(lease.job.id, b"true")
        assert await given(store, FAR) == [lease.job.id]
