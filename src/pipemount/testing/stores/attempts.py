"""What becomes of a lease that is given back or lost, and what is kept for the next attempt."""

from __future__ import annotations

from time import time

import pytest

from ...jobs.models import Claim, Outcome
from ...jobs.store import Store
from .asking import DONE, FAR, Open, again, claimed, event, found, leased, read, submitted

__all__ = ["Attempts"]


class Attempts:
    """Jobs that are begun more than once."""

    async def test_a_job_that_is_given_back_waits_in_its_old_place(self, store: Store) -> None:
        lease = await leased(store)
        younger = (await submitted(store)).id
        assert await store.append(lease, [event(1, "run_started")])
        assert await store.requeue(lease, events=[event(2)])
        job = await found(store, lease.job.id)
        assert (job.status, job.attempt, job.crashes, job.last_event) == ("queued", 1, 0, 2)
        assert await claimed(store) == [job.id, younger]
        assert (await found(store, job.id)).attempt == 2

    async def test_a_job_that_is_given_back_for_later_is_not_due(self, store: Store) -> None:
        lease = await leased(store)
        at = time() + FAR
        assert await store.requeue(lease, at)
        job = await found(store, lease.job.id)
        assert (job.status, job.run_at, job.request.run_at) == ("queued", at, None)
        assert await claimed(store) == []

    async def test_who_gave_a_job_back_has_no_part_in_it(self, store: Store) -> None:
        lease = await leased(store)
        assert await store.requeue(lease)
        for later in (None, await again(store, lease)):
            assert not await store.append(lease, [event(1)]), later
            assert not await store.save_step(lease, "one", b"1")
            assert not await store.requeue(lease)
            assert not await store.finish(lease, DONE, [event(1, "run_completed")])
            assert await store.heartbeat([lease]) == ["lost"]
        assert await read(store, lease.job.id) == []
        assert (await found(store, lease.job.id)).status == "running"

    async def test_events_of_the_next_attempt_follow_those_of_the_last(self, store: Store) -> None:
        lease = await leased(store)
        await store.append(lease, [event(1, "run_started"), event(2)])
        await store.requeue(lease)
        later = await again(store, lease)
        assert (later.job.last_event, later.job.attempt) == (2, 2)
        assert later.fence > lease.fence
        await store.append(later, [event(3, "run_started")])
        await store.finish(later, DONE, [event(4, "run_completed")])
        assert await read(store, lease.job.id) == [1, 2, 3, 4]

    async def test_a_job_that_was_to_be_cancelled_does_not_wait_again(self, store: Store) -> None:
        given, left = await leased(store), await leased(store)
        for lease in (given, left):
            await store.append(lease, [event(1, "run_started")])
            await store.request_cancel(lease.job.id, "enough")
        assert await store.requeue(given)
        await store.leave("w")
        for lease in (given, left):
            job = await found(store, lease.job.id)
            assert (job.status, job.reason, job.last_event) == ("cancelled", "enough", 2)
            assert job.error is not None and job.error["code"] == "job-cancelled"
            [last] = await store.read_events(job.id, 1, 10)
            assert last.kind == "run_cancelled"

    async def test_who_leaves_gives_all_that_he_has_back(self, store: Store) -> None:
        await store.join("w")
        await store.join("v")
        jobs = [(await submitted(store)).id for _ in range(3)]
        [first, _] = await store.claim(Claim("w", ["sum"], 2))
        [other] = await store.claim(Claim("v", ["sum"], 2))
        await store.leave("w")
        assert await store.heartbeat([first, other]) == ["lost", "held"]
        assert (await found(store, first.job.id)).crashes == 0
        assert await claimed(store) == jobs[:2]

    @pytest.mark.parametrize("crashed_before", [False, True])
    @pytest.mark.parametrize("leaves", [False, True])
    async def test_an_attempt_that_an_orderly_stop_cut_short_does_not_count(
        self, store: Store, leaves: bool, crashed_before: bool
    ) -> None:
        await store.join("v")
        lease = await leased(store)
        if crashed_before:
            assert await store.requeue(lease, crashed=True)
        else:
            await store.leave("w")
        for _ in range(3):
            before, lease = lease, await again(store, lease)
            assert lease.fence > before.fence
            assert lease.job.attempt == 1 + crashed_before, "it is the same one, which goes on"
            if crashed_before:
                assert await store.hand_over(lease, "v")
            if leaves:
                await store.leave("v")
                await store.join("v")
            else:
                assert await store.requeue(lease, events=[event(lease.job.last_event + 1)], cut_short=True)
            job = await found(store, lease.job.id)
            assert (job.status, job.attempt, job.crashes) == ("queued", crashed_before, crashed_before)

    async def test_nobody_is_rescued_from_those_who_live(self, store: Store) -> None:
        await store.join("w")
        lease = await leased(store)
        assert await store.rescue() == 0
        assert await store.heartbeat([lease]) == ["held"]

    async def test_what_became_of_leases_is_told_in_order(self, store: Store) -> None:
        held, wished, done, given = [await leased(store) for _ in range(4)]
        await store.request_cancel(wished.job.id, "enough")
        await store.finish(done, DONE, [])
        await store.requeue(given)
        assert await store.heartbeat([given, held, wished, done]) == ["lost", "held", "cancel", "lost"]
        assert await store.heartbeat([]) == []

    async def test_the_third_crash_ends_a_job(self, store: Store) -> None:
        lease = await leased(store)
        for crashes in (1, 2):
            assert await store.requeue(lease, crashed=True)
            lease = await again(store, lease)
            assert lease.job.crashes == crashes
        assert await store.append(lease, [event(1)])
        assert await store.requeue(lease, crashed=True)
        job = await store.get(lease.job.id)
        assert job is not None and job.error is not None
        assert (job.status, job.crashes, job.error["code"], job.last_event) == ("failed", 3, "worker-lost", 2)
        [last] = await store.read_events(job.id, 1, 10)
        assert (last.sequence, last.kind) == (2, "run_failed")

    async def test_a_job_that_crashed_is_begun_when_it_is_handed_over(self, store: Store) -> None:
        """Until then its attempt does not count."""
        lease = await leased(store)
        assert await store.requeue(lease, crashed=True)
        lease = await again(store, lease)
        assert lease.job.attempt == 2
        assert await store.requeue(lease)
        assert (await found(store, lease.job.id)).attempt == 1
        lease = await again(store, lease)
        await store.leave("v")
        assert (await found(store, lease.job.id)).attempt == 1
        lease = await again(store, lease)
        assert await store.hand_over(lease, "alone")
        assert await store.requeue(lease)
        job = await found(store, lease.job.id)
        assert (job.attempt, job.crashes) == (2, 1)

    async def test_a_job_that_has_kept_something_new_since_begins_to_count_anew(self, store: Store) -> None:
        """One of many steps is no poison though more than three processes ended with it; one that stands still is."""
        lease = await leased(store)
        for crashes in range(1, 6):
            assert await store.save_step(lease, f"step {crashes}", b"1")
            assert await store.requeue(lease, crashed=True)
            lease = await again(store, lease)
            assert (lease.job.status, lease.job.crashes) == ("running", crashes)
        for _ in range(2):
            assert await store.save_step(lease, "step 1", b"2"), "what was kept before is nothing new"
            assert (await found(store, lease.job.id)).status == "running"
            assert await store.requeue(lease, crashed=True)
            job = await found(store, lease.job.id)
            lease = (await store.claim_job(job.id, "v")) or lease
        assert (job.status, job.crashes, job.error and job.error["code"]) == ("failed", 7, "worker-lost")

    async def test_a_job_that_is_to_be_cancelled_does_not_wait_again(self, store: Store) -> None:
        for crashed in (False, True):
            lease = await leased(store)
            assert await store.request_cancel(lease.job.id, "enough") == "requested"
            assert await store.requeue(lease, crashed=crashed)
            job = await store.get(lease.job.id)
            assert job is not None
            assert (job.status, job.reason) == ("cancelled", "enough")

    async def test_what_steps_gave_is_there_for_the_next_attempt(self, store: Store) -> None:
        lease = await leased(store)
        assert await store.save_step(lease, "one", b"1")
        assert await store.save_step(lease, "two[0]", b"")
        assert await store.save_step(lease, "one", b"11"), "the last one stands"
        await store.requeue(lease)
        assert await store.read_steps(lease) == {}
        assert await store.read_steps(await again(store, lease)) == {"one": b"11", "two[0]": b""}

    async def test_what_steps_gave_is_not_kept_when_the_job_has_ended(self, store: Store) -> None:
        lease, other = await leased(store), await leased(store)
        await store.save_step(lease, "one", b"1")
        await store.save_step(other, "one", b"2")
        await store.finish(lease, DONE, [])
        assert await store.read_steps(lease) == {}
        assert await store.read_steps(other) == {"one": b"2"}

    async def test_what_steps_gave_takes_room(self, open_store: Open) -> None:
        """Of what has been kept nothing is counted twice, and nothing for ever."""
        store = await open_store(max_job_bytes=100_000)
        for _ in range(5):
            lease = await leased(store)
            for _ in range(2):
                await store.save_step(lease, "one", b"x" * 80_000)
            await store.finish(lease, DONE, [])
            assert await store.delete(lease.job.id)

    @pytest.mark.parametrize("size", [0, 1024, 1025, 256 * 1024, 256 * 1024 + 1, 3_000_000])
    async def test_values_of_any_size_are_given_as_they_came(self, store: Store, size: int) -> None:
        large = b'"%b"' % (b"x" * size)
        lease = await leased(store, inputs=large, parameters=large + b" ", overrides=large)
        assert (lease.job.request.inputs, lease.job.request.parameters) == (large, large + b" ")
        assert await store.save_step(lease, "one", large)
        await store.requeue(lease)
        lease = await again(store, lease)
        assert await store.read_steps(lease) == {"one": large}
        told = event(1, "step_completed", output="y" * size)
        await store.append(lease, [told])
        await store.finish(lease, Outcome(status="succeeded", result=large), [event(2, "run_completed")])
        job = await found(store, lease.job.id)
        assert (job.result, job.request) == (large, lease.job.request)
        assert (await store.read_events(job.id, 0, 1))[0] == told
        assert await store.delete(job.id)
        assert await store.get(job.id) is None
