"""A store is told verbs in any order, crashes among them, and has to come to what a reference comes to.

With Hypothesis (``pip install hypothesis``), which finds the shortest row of verbs that goes wrong::

    from pipemount.testing.stores.machine import StoreMachine

    class MyMachine(StoreMachine):
        def make_store(self, settings):
            return MyStore(settings)

    TestMyMachine = MyMachine.TestCase
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from time import time
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from ...errors import IdempotencyMismatchError
from ...jobs.models import ENDED, Claim, Idempotency, JobRequest, JobStatus, Lease, Outcome
from ...runtime.events import EventKind
from .asking import asked
from .reference import Known
from .walking import FAR, KEPT, Walk

__all__ = ["StoreMachine"]

PIPELINES, QUEUES = ("sum", "other"), ("default", "slow")

SOON, DOUBT = 0.02, 0.02
"""Seconds until a job is due, which is waited for; and those by which a store's clock may be behind."""

QUESTION = {"key": "ask?1", "step": "ask", "reason": "publish?", "schema": {"type": "boolean"}}
KINDS: dict[JobStatus, EventKind] = {
    "succeeded": "run_completed",
    "failed": "run_failed",
    "cancelled": "run_cancelled",
}

which = st.integers(0, 60)
"""Chooses one of those that there are at that moment."""

when = st.sampled_from([None, None, -FAR, SOON, FAR])

keys = st.builds(Idempotency, st.just("ada"), st.sampled_from("kl"), st.sampled_from("ddo"))

requests = st.fixed_dictionaries(
    {
        "pipeline": st.sampled_from(PIPELINES),
        "queue": st.sampled_from(QUEUES),
        "priority": st.integers(-1, 1),
        "run_at": when,
        "idempotency": st.none() | keys,
        "expires": st.sampled_from([None, None, SOON, FAR]),
    }
)
"""What is asked for; its times from now."""


class StoreMachine(Walk):
    """Derive from it, and say by ``make_store`` how a store is made that nothing is in.

    Where workers can come to their end without a word, say by ``crash`` how one does; where leases have a time, by
    ``expire`` how that of one runs out. Without, these do not happen.
    """

    # --------------------------------------------------------------------------------------- coming

    @initialize(requests=st.lists(requests, min_size=2, max_size=4))
    def jobs_come(self, requests: Sequence[Mapping[str, Any]]) -> None:
        """There is something to begin with."""
        self.begins()
        for request in requests:
            self.submit(request)

    @rule(request=requests)
    def submit(self, request: Mapping[str, Any]) -> None:
        """Some have a key that was used before."""
        wait = request["run_at"]
        self._do(self._submit(asked(**{**request, "run_at": None if wait is None else time() + wait})))

    @rule(request=requests, by=which)
    def submit_and_claim(self, request: Mapping[str, Any], by: int) -> None:
        """As an app does that has a place for it."""
        self.submit(request)
        self.claim_job(len(self._known.jobs) - 1, by)

    async def _submit(self, request: JobRequest) -> None:
        for known in self._known.too_many(KEPT):  # a store may forget them now, and their keys
            if await self.store.get(known.id) is None:
                self._known.forget([known])
        expected = self._known.submit(request)
        if expected is None:
            try:
                await self.store.submit(request)
            except IdempotencyMismatchError:
                return
            raise AssertionError("a key came with something else, and that was taken")
        job, reused = await self.store.submit(request)
        assert job.id == expected.id, "one key, one job"
        assert reused == (job.id != request.job_id)
        expected.begin_by = expected.begin_by if reused else job.expires_at
        self._touched.add(job.id)

    @rule()
    def jobs_expire(self) -> None:
        """What nobody has claimed in time has failed."""
        self._until_due()
        over = [known for known in self._known.jobs.values() if _is_over(known)]
        self._touched.update(known.id for known in over)
        left = self._do(self.store.expire())
        for known in over:
            self._known.end(known, "failed", None, known.last_event + 1)
        self._do(self._order_ends(over))
        assert (left is None) == all(known.begin_by is None for known in self._known.jobs.values())

    # --------------------------------------------------------------------------------------- leases

    @rule(
        by=which,
        number=st.integers(1, 4),
        queues=st.sampled_from([(), ("slow",), QUEUES]),
        both=st.booleans(),
        crashed=st.sampled_from([None, None, 0, 1]),
    )
    def claim(self, by: int, number: int, queues: Sequence[str], both: bool, crashed: int | None) -> None:
        """The most urgent ones, the oldest among equals; none that is not due, no more that crashed than are wanted."""
        worker, pipelines = self._workers[by % len(self._workers)], PIPELINES if both else PIPELINES[:1]
        self._until_due()
        due = [known for known in self._known.waiting(pipelines, queues) if not (_is_late(known) or _is_over(known))]
        first = [known for known in due if not known.crashes or crashed != 0][:number]
        crashes = [known.id for known in first if known.crashes][:crashed]
        leases = self._do(self.store.claim(Claim(worker, pipelines, number, queues, crashed=crashed)))
        expected = [known.id for known in first if not known.crashes or known.id in crashes]
        assert [lease.job.id for lease in leases] == expected
        for lease in leases:
            self._is_leased(lease, worker)

    @precondition(lambda self: self._known.jobs)
    @rule(number=which, by=which)
    def claim_job(self, number: int, by: int) -> None:
        """One that an engine has brought."""
        self._claim_job(self._job(number), self._workers[by % len(self._workers)])

    def _claim_job(self, known: Known, worker: str) -> Lease | None:
        self._until_due()
        lease = self._do(self.store.claim_job(known.id, worker))
        assert (lease is not None) == (known.status == "queued" and not (_is_late(known) or _is_over(known)))
        if lease is not None:
            self._is_leased(lease, worker)
        return lease

    def _until_due(self) -> None:
        """Time passes: what is due soon is due now, and over what is over soon."""
        now, queued = time(), [known for known in self._known.jobs.values() if known.status == "queued"]
        times = [*(known.run_at for known in queued), *(known.begin_by for known in queued)]
        soon = [each for each in times if each is not None and now - DOUBT < each < now + FAR / 2]
        if soon:
            self._do(asyncio.sleep(max(soon) + DOUBT - now))

    def _is_leased(self, lease: Lease, worker: str) -> None:
        known = self._known.jobs[lease.job.id]
        assert lease.fence > known.fence, "the fence rises with each claim"
        known.fence = lease.fence - 1  # by how much is the store's
        self._known.claim(known, worker)
        self._leases.append(lease)
        self._touched.add(known.id)

    @precondition(lambda self: self._leases)
    @rule(number=which, to=which)
    def hand_over(self, number: int, to: int) -> None:
        """Another worker goes on under the same lease."""
        lease, worker = self._lease(number), self._workers[to % len(self._workers)]
        known = self._held(lease)
        if known is not None and known.orphaned:
            return
        assert self._do(self.store.hand_over(lease, worker)) == (known is not None)
        if known is not None:
            self._known.hand_over(known, worker)

    @precondition(lambda self: self._leases)
    @rule()
    def heartbeat(self) -> None:
        """Of all leases that there were, but for those of workers that are no more."""
        leases = [each for each in self._leases if (known := self._held(each)) is None or known.worker in self._workers]
        states = self._do(self.store.heartbeat(leases))
        for lease, state in zip(leases, states, strict=True):
            known = self._held(lease)
            assert state == ("lost" if known is None else "cancel" if known.cancel_requested else "held")
            if known is not None:
                known.orphaned = False

    @precondition(lambda self: self._leases)
    @rule(number=which, wait=when, told=st.integers(0, 2), ended=st.sampled_from(["", "crashed", "cut_short"]))
    def requeue(self, number: int, wait: float | None, told: int, ended: str) -> None:
        """To be tried again, cut short, or the end of its own process."""
        how = {ended: True} if ended else {}
        self._requeue(self._lease(number), None if wait is None else time() + wait, told, **how)

    def _requeue(self, lease: Lease, run_at: float | None = None, told: int = 0, **ended: bool) -> None:
        known = self._held(lease)
        events = self._told(known, told)
        assert self._do(self.store.requeue(lease, run_at, events, **ended)) == (known is not None)
        if known is not None:
            known.last_event += told
            self._known.wait_again(known, run_at, **ended)

    @precondition(lambda self: self._held_by_anyone)
    @rule(number=which, times=st.integers(2, 4), kept=st.sampled_from(["nothing", "the same", "more"]))
    def end_its_process_again(self, number: int, times: int, kept: str) -> None:
        """A job that ends each process that begins it."""
        lease: Lease | None = self._lease(number)
        for number_of_crash in range(times):
            if lease is None or lease.job.id not in self._known.jobs:
                return
            if kept != "nothing":
                self._save_step(lease, f"part[{number_of_crash}]" if kept == "more" else "train", b"1")
            self._requeue(lease, crashed=True)
            self.all_is_as_it_ought_to_be()
            lease = self._claim_job(self._known.jobs[lease.job.id], self._workers[0])
            self.all_is_as_it_ought_to_be()

    @precondition(lambda self: self._held_by_anyone)
    @rule(by=which)
    def leave(self, by: int) -> None:
        """A worker gives back what it has, and another one joins."""
        worker = self._workers.pop(by % len(self._workers))
        self._do(self.store.leave(worker))
        theirs = self._known.of(worker)
        for known in theirs:
            self._touched.add(known.id)
            self._known.wait_again(known, cut_short=True)
        self._do(self._order_ends(theirs))
        self._joins()

    async def _order_ends(self, together: Sequence[Known]) -> None:
        jobs = [await self.store.get(known.id) for known in together if known.ended]
        self._known.ended_at({job.id: job.finished for job in jobs if job is not None and job.finished is not None})

    @precondition(lambda self: self._held_by_anyone)
    @rule(by=which)
    def worker_crashes(self, by: int) -> None:
        """A worker is no more; nobody has found that out yet."""
        busy = [each for each in self._workers if self._known.of(each)]
        worker = busy[by % len(busy)]
        theirs = self._known.of(worker)
        leases = [lease for lease in self._leases if self._held(lease) in theirs]
        if self._do(self.crash(worker, leases)):
            self._workers.remove(worker)
            for known in theirs:
                known.orphaned = True
            self._joins()

    @precondition(lambda self: self._leases)
    @rule(number=which)
    def lease_expires(self, number: int) -> None:
        """Its worker lives, and does not know of it."""
        lease = self._lease(number)
        known = self._held(lease)
        if known is not None and self._do(self.expire(lease)):
            known.orphaned = True

    @precondition(lambda self: any(known.orphaned for known in self._known.jobs.values()))
    @rule()
    def rescues(self) -> None:
        """What is orphaned waits again, once."""
        orphans = [known for known in self._known.jobs.values() if known.orphaned]
        self._touched.update(known.id for known in orphans)
        expected = self._known.rescue()
        assert self._do(self.rescue()) == expected, "each orphan, and nobody else's"
        assert self._do(self.rescue()) == 0, "once"
        self._do(self._order_ends(orphans))

    # ----------------------------------------------------------------------------------- performing

    @precondition(lambda self: self._leases)
    @rule(number=which, told=st.integers(1, 6))
    def append(self, number: int, told: int) -> None:
        """It tells what it does."""
        lease = self._lease(number)
        known = self._held(lease)
        assert self._do(self.store.append(lease, self._told(known, told))) == (known is not None)
        if known is not None:
            known.last_event += told

    @precondition(lambda self: self._leases)
    @rule(number=which, key=st.sampled_from(["load", "train", "map[0]"]), output=st.binary(max_size=4))
    def save_step(self, number: int, key: str, output: bytes) -> None:
        """What a step gave is there for the next attempt."""
        self._save_step(self._lease(number), key, output)

    def _save_step(self, lease: Lease, key: str, output: bytes) -> None:
        known = self._held(lease)
        assert self._do(self.store.save_step(lease, key, output)) == (known is not None)
        if known is not None:
            self._known.save_step(known, key, output)
        found = self._do(self.store.read_steps(lease))
        assert found == ({} if known is None else known.steps)

    @precondition(lambda self: self._leases)
    @rule(number=which, told=st.integers(0, 1))
    def suspend(self, number: int, told: int) -> None:
        """It asks something."""
        lease = self._lease(number)
        known = self._held(lease)
        assert self._do(self.store.suspend(lease, QUESTION, self._told(known, told))) == (known is not None)
        if known is not None:
            known.last_event += told
            self._known.suspend(known, QUESTION)

    @precondition(lambda self: self._known.jobs)
    @rule(number=which)
    def resume(self, number: int) -> None:
        """It is answered."""
        asking = [each for each in self._known.jobs.values() if each.status == "suspended"]
        known = asking[number % len(asking)] if asking and number % 5 else self._job(number)
        self._touched.add(known.id)
        said = self._do(self.store.resume(known.id, b"true"))
        assert said == ("resumed" if known.status == "suspended" else "not-suspended")
        if known.status == "suspended":
            self._known.resume(known, b"true")

    @precondition(lambda self: self._leases)
    @rule(number=which, status=st.sampled_from(sorted(KINDS)))
    def finish(self, number: int, status: Any) -> None:
        """Its run has come to its end."""
        lease = self._lease(number)
        known = self._held(lease)
        outcome = Outcome(status=status, reason="why" if status == "cancelled" else None)
        last = self._told(known, 1, KINDS[status])
        assert self._do(self.store.finish(lease, outcome, last)) == (known is not None)
        if known is not None:
            self._known.end(known, status, outcome.reason, known.last_event + 1)

    @precondition(lambda self: self._known.jobs)
    @rule(number=which, reason=st.sampled_from(["enough", "too late"]))
    def cancel(self, number: int, reason: str) -> None:
        """Somebody wants it to end."""
        known = self._job(number)
        said = self._do(self.store.request_cancel(known.id, reason))
        assert said == self._known.cancel(known, reason)

    # ----------------------------------------------------------------------------------- forgetting

    @precondition(lambda self: self._known.jobs)
    @rule(number=which)
    def delete(self, number: int) -> None:
        """Only what has ended is forgotten."""
        known = self._job(number)
        assert self._do(self.store.delete(known.id)) == (known.status in ENDED)
        if known.status in ENDED:
            self._known.forget([known])

    @precondition(lambda self: self._known.too_many(KEPT - 1))
    @rule()
    def sweep(self) -> None:
        """The oldest of too many are forgotten, and no other one."""
        self._do(self.store.sweep())
        self._known.forget(self._known.too_many(KEPT))

    @precondition(lambda self: self.store.durable and self._held_by_anyone)
    @rule()
    def restart(self) -> None:
        """The app stops, and starts again: what was kept is there."""
        for _ in range(2):
            self.leave(0)
        workers, self._workers = self._workers, []
        for worker in workers:
            self._do(self.store.leave(worker))
        self._do(self.store.close())
        self._do(self.store.open())
        for _ in workers:
            self._joins()
        self._touched.update(self._known.jobs)


def _is_late(known: Known) -> bool:
    return known.run_at is not None and known.run_at > time()


def _is_over(known: Known) -> bool:
    return known.begin_by is not None and known.begin_by <= time()
