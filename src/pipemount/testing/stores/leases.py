"""How every store leases jobs: in which order, and to whom."""

from __future__ import annotations

import asyncio
from time import time

import pytest

from ...jobs.models import Claim, JobQuery, Outcome
from ...jobs.store import Store
from .asking import ADA, BOB, DONE, FAILED, FAR, ONLY_ONCE, claimed, event, found, leased, read, submitted

__all__ = ["Leases"]


class Leases:
    """Claims and fences."""

    async def test_the_oldest_are_claimed_first_and_each_once(self, store: Store) -> None:
        first, other, second, third = [(await submitted(store, pipeline=name)).id for name in ("a", "b", "a", "a")]
        assert [lease.job.id for lease in await store.claim(Claim("w", ["a"], 2))] == [first, second]
        assert [lease.job.id for lease in await store.claim(Claim("w", ["a", "b"], 9))] == [other, third]
        assert not await store.claim(Claim("w", ["a", "b"], 9))
        job = await found(store, first)
        assert (job.status, job.attempt) == ("running", 1)
        assert job.created <= (job.started or 0)

    async def test_a_hundred_claims_at_once_give_one_lease(self, store: Store) -> None:
        job_id = (await submitted(store)).id
        leases = await asyncio.gather(*(store.claim_job(job_id, f"w{number}") for number in range(100)))
        assert len([lease for lease in leases if lease is not None]) == 1, ONLY_ONCE
        for _ in range(20):
            await submitted(store)
        claimed = await asyncio.gather(*(store.claim(Claim(f"w{number}", ["sum"], 3)) for number in range(10)))
        jobs = [lease.job.id for leases in claimed for lease in leases]
        assert len(jobs) == len(set(jobs)) == 20, ONLY_ONCE

    async def test_what_carries_an_older_fence_is_refused(self, store: Store) -> None:
        lease = await leased(store)
        stale = lease._replace(fence=lease.fence - 1)
        assert not await store.append(stale, [event(1)])
        assert not await store.finish(stale, DONE, [event(1, "run_completed")])
        assert (await found(store, lease.job.id)).status == "running"
        assert await read(store, lease.job.id) == []
        assert await store.append(lease, [event(1)])

    @pytest.mark.parametrize("outcome", [DONE, FAILED, Outcome(status="cancelled", reason="why")])
    async def test_how_it_ended(self, store: Store, outcome: Outcome) -> None:
        lease = await leased(store)
        assert await store.finish(lease, outcome, [event(1, "run_completed")])
        job = await found(store, lease.job.id)
        assert job.ended
        for name in ("status", "result", "execution_time", "run_index", "run_name", "error", "reason"):
            assert getattr(job, name) == getattr(outcome, name), name
        assert (job.started or 0) <= (job.finished or 0)
        assert job.last_event == 1

    async def test_what_has_ended_never_changes_again(self, store: Store) -> None:
        lease = await leased(store)
        await store.finish(lease, DONE, [event(1, "run_completed")])
        before = await found(store, lease.job.id)
        assert not await store.finish(lease, FAILED, [event(2, "run_failed")])
        assert not await store.append(lease, [event(2)])
        assert await store.request_cancel(lease.job.id, "late") == "ended"
        assert await store.claim_job(lease.job.id, "w") is None
        assert await found(store, lease.job.id) == before
        assert await read(store, lease.job.id) == [1]

    async def test_those_of_greater_priority_come_first_and_the_oldest_among_equals(self, store: Store) -> None:
        low, first, high, second = [(await submitted(store, priority=number)).id for number in (-1, 0, 5, 0)]
        assert await claimed(store, 1) == [high]
        assert await claimed(store) == [first, second, low]

    async def test_only_jobs_of_the_queues_that_are_named_are_claimed(self, store: Store) -> None:
        slow, plain, fast = [(await submitted(store, queue=name)).id for name in ("slow", "default", "fast")]
        assert await claimed(store, queues=("nobody's",)) == []
        assert await claimed(store, queues=("fast", "slow")) == [slow, fast]
        assert await claimed(store) == [plain]

    async def test_jobs_of_those_who_have_enough_are_not_claimed(self, store: Store) -> None:
        hers, his, nobodys = [(await submitted(store, principal=who)).id for who in (ADA, BOB, None)]
        for but_of, expected in ((["key:ada", ""], his), (["key:ada", "django:bob"], nobodys), ([""], hers)):
            leases = await store.claim(Claim("w", ["sum"], 9, (), but_of))
            assert [lease.job.id for lease in leases] == [expected]

    @pytest.mark.parametrize(
        ("crashed", "expected"), [(0, [0, 2, 4]), (1, [0, 1, 2]), (2, [0, 1, 2, 3]), (None, [0, 1, 2, 3])]
    )
    async def test_of_those_that_crashed_before_no_more_than_were_asked_for(
        self, store: Store, crashed: int | None, expected: list[int]
    ) -> None:
        for number in range(5):
            job = await submitted(store)
            if number in (1, 3):
                lease = await store.claim_job(job.id, "w")
                assert lease is not None and await store.requeue(lease, crashed=True)
        jobs = [each.id for each in reversed((await store.list(JobQuery())).jobs)]
        leases = await store.claim(Claim("v", ["sum"], 4, crashed=crashed))
        assert [jobs.index(lease.job.id) for lease in leases] == expected

    async def test_queues_and_pipelines_do_not_change_the_order(self, store: Store) -> None:
        asked = [("b", "x", 0), ("a", "y", 1), ("a", "x", 0), ("b", "y", 1), ("a", "x", 1)]
        jobs = [(await submitted(store, pipeline=name, queue=queue, priority=level)).id for name, queue, level in asked]
        leases = [*await store.claim(Claim("w", ["a", "b"], 2)), *await store.claim(Claim("w", ["b", "a"], 9))]
        assert [lease.job.id for lease in leases] == [jobs[each] for each in (1, 3, 4, 0, 2)]

    async def test_what_is_not_due_waits(self, store: Store) -> None:
        late = await submitted(store, run_at=time() + FAR)
        was = await submitted(store, run_at=time() - FAR)
        assert late.run_at == late.request.run_at
        assert await store.claim_job(late.id, "w") is None
        assert await claimed(store) == [was.id]
        assert (await found(store, late.id)).status == "queued"

    async def test_what_becomes_due_is_claimed(self, store: Store) -> None:
        first, second = [await submitted(store, run_at=time() + 0.05) for _ in range(2)]
        async with asyncio.timeout(30):
            while (lease := await store.claim_job(first.id, "w")) is None:
                await asyncio.sleep(0.005)
            while not (others := await claimed(store)):
                await asyncio.sleep(0.005)
        assert (lease.job.id, others) == (first.id, [second.id])

    async def test_who_waits_for_work_in_vain_is_told(self, store: Store) -> None:
        assert not await store.wait_for_work(0.01)

    async def test_a_lease_that_is_handed_over_is_the_other_workers(self, store: Store) -> None:
        lease = await leased(store)
        assert await store.hand_over(lease, "another")
        await store.leave("w")
        assert await store.append(lease, [event(1)]), "it holds"
        await store.leave("another")
        assert not await store.hand_over(lease, "w")
        job = await found(store, lease.job.id)
        assert (job.status, job.crashes) == ("queued", 0)
