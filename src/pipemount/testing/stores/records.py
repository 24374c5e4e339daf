"""What every store of jobs keeps of them."""

from __future__ import annotations

from time import time

from ...jobs.models import Claim, Outcome
from ...jobs.store import Store
from ...types import Trace
from .asking import ADA, event, found, ids, keyed, leased, submitted

__all__ = ["Records"]


class Records:
    """Records, how they are cancelled, and how they end."""

    async def test_a_record_has_all_that_was_asked_for(self, store: Store) -> None:
        request = keyed(
            kind="batch",
            inputs=b'[{"a":1}]',
            parameters=b'[{"a":1,"b":2}]',
            overrides=b"{}",
            run_name="morning",
            timeout=2.5,
            principal=ADA,
            trace=Trace("0" * 31 + "1", "0" * 15 + "2", 1, "a=b"),
            queue="slow",
            priority=-3,
            run_at=1234.5,
            max_attempts=4,
            expires=3600.0,
        )
        before = time()
        made, reused = await store.submit(request)
        assert not reused
        assert made == await store.get(request.job_id)
        assert made.request == request
        assert (made.status, made.attempt, made.started, made.finished, made.result) == ("queued", 0, None, None, None)
        assert (made.first_event, made.last_event) == (1, 0)
        assert before - 1 < made.created < time() + 1

    async def test_a_store_that_is_open_can_be_used(self, store: Store) -> None:
        await store.check()
        await store.sweep()
        assert await ids(store) == []

    async def test_what_is_unknown_is_no_error(self, store: Store) -> None:
        assert await store.get("nothing") is None
        assert await store.claim_job("nothing", "w") is None
        assert await store.request_cancel("nothing", "why") == "unknown"
        assert not await store.delete("nothing")
        assert not await store.read_events("nothing", 0, 10)
        assert await store.wait("nothing", 0, 30), "of what there is none, nobody waits for more"
        assert await store.counts() == {}

    async def test_a_queued_job_is_cancelled_at_once_and_never_begins(self, store: Store) -> None:
        job_id = (await submitted(store)).id
        assert await store.request_cancel(job_id, "enough") == "cancelled"
        job = await found(store, job_id)
        assert (job.status, job.reason, job.started, job.last_event) == ("cancelled", "enough", None, 1)
        assert job.error is not None
        assert (job.error["status"], job.error["run_id"]) == (409, job_id)
        [last] = await store.read_events(job_id, 0, 10)
        assert (last.sequence, last.kind) == (1, "run_cancelled")
        assert not await store.claim(Claim("w", ["sum"], 1))
        assert await store.request_cancel(job_id, "again") == "ended"

    async def test_of_a_running_job_the_wish_is_noted_once(self, store: Store) -> None:
        lease = await leased(store)
        assert await store.request_cancel(lease.job.id, "first") == "requested"
        assert await store.request_cancel(lease.job.id, "second") == "requested"
        job = await found(store, lease.job.id)
        assert (job.status, job.cancel_requested, job.reason) == ("cancelling", True, "first")
        assert await store.append(lease, [event(1)]), "it may still tell what it does"
        assert await store.finish(lease, Outcome(status="cancelled", reason="first"), [event(2, "run_cancelled")])
        assert (await found(store, lease.job.id)).reason == "first"
