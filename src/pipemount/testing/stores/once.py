"""How every store tells requests that are the same."""

from __future__ import annotations

import asyncio

import pytest

from ...errors import IdempotencyMismatchError
from ...jobs.models import ENDED, Idempotency, JobStatus
from ...jobs.store import Store
from .asking import DONE, FAILED, Open, asked, ended, event, found, ids, keyed, leased

__all__ = ["Once"]


class Once:
    """Keys of idempotency."""

    async def test_an_equal_request_finds_the_first_job_in_every_state(self, store: Store) -> None:
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

    async def test_another_request_under_the_key_is_refused_and_another_key_is_not(self, store: Store) -> None:
        first = (await store.submit(keyed())).job.id
        with pytest.raises(IdempotencyMismatchError):
            await store.submit(keyed(digest="other"))
        others = {
            (await store.submit(request)).job.id for request in (keyed("l"), keyed(scope="bob"), asked(), asked())
        }
        assert len(others | {first}) == 5

    async def test_j1_a_hundred_equal_requests_at_once_make_one_job(self, store: Store) -> None:
        made = await asyncio.gather(*(store.submit(keyed()) for _ in range(100)))
        assert len({each.job.id for each in made}) == 1
        assert sum(not each.reused for each in made) == 1

    async def test_a_key_ends_with_its_time_but_not_before_its_job(self, open_store: Open) -> None:
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

    async def test_a_key_ends_with_its_job(self, store: Store) -> None:
        first = await ended(store, idempotency=Idempotency("ada", "k", "d"))
        await store.delete(first)
        assert not (await store.submit(keyed(digest="other"))).reused

    async def test_statuses_are_those_of_the_contract(self, store: Store) -> None:
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
