"""What every store forgets, and when."""

from __future__ import annotations

import pytest

from ...errors import OverloadedError
from ...jobs.models import Idempotency, Outcome
from ...jobs.store import Store
from .asking import DONE, Open, ended, event, gone, ids, keyed, leased, read, submitted

__all__ = ["Forgetting"]


class Forgetting:
    """Deletion, age, and limits."""

    async def test_only_what_has_ended_is_deleted_and_all_of_it(self, store: Store) -> None:
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

    async def test_the_oldest_of_too_many_are_forgotten_and_those_with_a_key_last(self, open_store: Open) -> None:
        store = await open_store(max_jobs=3)
        runs = (await leased(store)).job.id
        with_key = (await store.submit(keyed())).job.id
        lease = await store.claim_job(with_key, "w")
        assert lease is not None
        await store.finish(lease, DONE, [])
        plain = [await ended(store) for _ in range(5)]
        await store.sweep()
        assert set(await ids(store)) == {runs, with_key, *plain[-2:]}

    async def test_what_is_old_is_forgotten(self, open_store: Open) -> None:
        store = await open_store(job_ttl=0.05, idempotency_ttl=0.05)
        runs, waits = (await leased(store)).job.id, (await submitted(store)).id
        for job_id in (await ended(store), await ended(store, idempotency=Idempotency("s", "k", "d"))):
            await gone(store, job_id)
        await store.sweep()
        assert await ids(store) == [waits, runs], "what has not ended is not old"

    async def test_with_a_key_a_job_is_known_as_long_as_the_key(self, open_store: Open) -> None:
        store = await open_store(job_ttl=0.001, idempotency_ttl=3600)
        with_key = await ended(store, idempotency=Idempotency("ada", "k", "d"))
        await gone(store, await ended(store))
        assert (await store.submit(keyed())).job.id == with_key

    async def test_what_has_ended_makes_room(self, open_store: Open) -> None:
        store = await open_store(max_job_bytes=100_000)
        large = Outcome(status="succeeded", result=b'"%b"' % (b"x" * 40_000))
        first, second = await ended(store, large), await ended(store, large)
        third = (await submitted(store, inputs=b'"%b"' % (b"y" * 40_000))).id
        assert await store.get(first) is None, "the oldest has made way"
        assert await ids(store) == [third, second]

    async def test_where_nothing_can_make_way_a_job_is_refused_and_leaves_nothing(self, open_store: Open) -> None:
        store = await open_store(max_job_bytes=100_000)
        large = b'"%b"' % (b"y" * 60_000)
        waits = (await submitted(store, inputs=large)).id
        with pytest.raises(OverloadedError) as raised:
            await store.submit(refused := keyed(inputs=large))
        assert raised.value.retry_after > 0
        assert await store.get(refused.job_id) is None
        await store.request_cancel(waits, "enough")
        assert not (await store.submit(keyed(inputs=large))).reused, "its key was not used up"
