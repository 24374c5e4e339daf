"""How every store sees that jobs which were not begun in time are not begun at all."""

from __future__ import annotations

import asyncio

import pytest

from ...jobs.models import Job
from ...jobs.store import Store
from .asking import DONE, FAR, again, claimed, found, keyed, leased, submitted

__all__ = ["Expiring"]

SOON = 0.02
"""Seconds that are over in a moment, and not before the job that has them is there."""


async def late(store: Store, **options: object) -> Job:
    """A job whose time is over, and of which nobody has said so yet."""
    job = await submitted(store, expires=SOON, **options)
    await asyncio.sleep(2 * SOON)  # the store's clock may be another one, and go on
    return job


class Expiring:
    """Jobs that are to be begun within some seconds."""

    async def test_a_job_says_until_when_it_may_be_begun(self, store: Store) -> None:
        job, other = await submitted(store, expires=FAR), await submitted(store)
        assert job.expires_at == job.created + FAR
        assert (await found(store, job.id), other.expires_at) == (job, None)
        same = await store.submit(keyed(expires=2.5))
        assert same.job.expires_at == same.job.created + 2.5

    async def test_a_job_that_was_not_begun_in_time_has_failed(self, store: Store) -> None:
        job, other = await late(store), await submitted(store)
        await store.expire()
        job = await found(store, job.id)
        assert job.error is not None
        assert (job.status, job.error["code"], job.error["status"]) == ("failed", "job-expired", 504)
        assert (job.error["run_id"], job.error["expires"], job.attempt, job.started) == (job.id, SOON, 0, None)
        assert job.finished is not None and job.finished >= job.created + SOON
        [last] = await store.read_events(job.id, 0, 10)
        assert (last.sequence, last.kind, job.last_event, job.expires_at) == (1, "run_failed", 1, None)
        assert dict(await store.counts()) == {"failed": 1, "queued": 1}
        assert await claimed(store) == [other.id]
        assert await store.expire() is None

    async def test_nobody_begins_it_though_nobody_has_said_that_it_has_failed(self, store: Store) -> None:
        job = await late(store)
        assert await store.claim_job(job.id, "w") is None
        assert await claimed(store) == []
        assert list(await store.unclaimed(1e-9, 10)) == [], "nor is it carried anywhere"
        assert (await found(store, job.id)).status == "queued"

    async def test_when_the_next_one_may_have_to_fail_is_told(self, store: Store) -> None:
        assert await store.expire() is None
        await submitted(store, expires=2 * FAR)
        await submitted(store, expires=FAR)
        left = await store.expire()
        assert left is not None and FAR - 60 < left <= FAR

    @pytest.mark.parametrize("there", ["held", "waits again", "given back", "suspended"])
    async def test_what_was_begun_in_time_has_all_the_time_that_it_takes(self, store: Store, there: str) -> None:
        await store.join("w")
        lease = await leased(store, expires=FAR)
        assert lease.job.expires_at is None
        if there == "waits again":
            assert await store.requeue(lease)
        elif there == "given back":
            await store.leave("w")
        elif there == "suspended":
            question = {"key": "ask?1", "step": "ask", "reason": "publish?", "schema": {}}
            assert await store.suspend(lease, question)
            assert await store.resume(lease.job.id, b"true") == "resumed"
        assert await store.expire() is None, "there is nothing to wait for"
        if there != "held":
            lease = await again(store, lease)
        assert lease.job.request.expires == FAR
        assert await store.finish(lease, DONE)

    async def test_what_is_cancelled_before_stays_so(self, store: Store) -> None:
        job = await late(store)
        assert await store.request_cancel(job.id, "enough") == "cancelled"
        await store.expire()
        assert (await found(store, job.id)).status == "cancelled"

    async def test_many_at_once_fail_together(self, store: Store) -> None:
        for _ in range(120):
            await submitted(store, expires=SOON)
        await asyncio.sleep(2 * SOON)
        await asyncio.gather(store.expire(), store.expire())
        assert dict(await store.counts()) == {"failed": 120}
