"""How what is kept is read."""

from __future__ import annotations

import asyncio

import pytest

from ...errors import InvalidInputsError
from ...jobs.models import JobQuery, JobStatus, owner_of
from ...jobs.store import Store
from .asking import ADA, BOB, DONE, FAILED, Open, ended, event, found, ids, leased, read, submitted

__all__ = ["Reading"]


class Reading:
    """Events, who waits for them, and lists."""

    async def test_events_are_kept_in_order_and_read_from_anywhere(self, store: Store) -> None:
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

    async def test_of_what_passes_the_oldest_make_way_and_the_record_says_so(self, open_store: Open) -> None:
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

    async def test_readers_are_woken_by_events_by_the_end_and_by_oblivion(self, store: Store) -> None:
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

    async def test_who_waits_in_vain_is_told(self, store: Store) -> None:
        job_id = (await submitted(store)).id
        assert not await store.wait(job_id, 0, 0.01)

    async def test_a_store_that_closes_lets_those_go_who_wait(self, store: Store) -> None:
        lease = await leased(store)
        waiting = asyncio.create_task(store.wait(lease.job.id, 0, 30))
        await asyncio.sleep(0.01)
        await store.close()
        async with asyncio.timeout(10):
            await waiting

    async def test_a_list_has_the_youngest_first_and_only_what_was_asked_for(self, store: Store) -> None:
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

    async def test_pages_hold_still_while_jobs_come_and_go(self, store: Store) -> None:
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

    async def test_the_last_page_says_that_it_is(self, store: Store) -> None:
        for _ in range(4):
            await ended(store)
        page = await store.list(JobQuery(limit=4))
        assert (len(page.jobs), page.cursor) == (4, None)
        assert (await store.list(JobQuery(status=("failed",)))) == ([], None)

    @pytest.mark.parametrize("cursor", ["", "x", "-1", "1.5", "9" * 40, "٣", "1 OR 1=1", "\0"])
    async def test_a_cursor_that_is_none_is_the_callers_fault(self, store: Store, cursor: str) -> None:
        with pytest.raises(InvalidInputsError) as raised:
            await store.list(JobQuery(cursor=cursor))
        assert raised.value.errors[0]["loc"] == ["query", "cursor"]
