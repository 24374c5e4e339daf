"""What a row of verbs is told to: the store, the reference, and the comparison of the two after each verb."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Sequence
from itertools import count
from typing import Any, TypeVar

from hypothesis.stateful import RuleBasedStateMachine, invariant

from ...jobs.models import Job, JobEvent, JobQuery, Lease
from ...jobs.store import Store
from ...runtime.events import EventKind
from ...settings import Settings
from .asking import event
from .reference import AFTER, Known, Reference

__all__ = ["FAR", "KEPT", "Walk"]

T = TypeVar("T")

KEPT, EVENTS = 6, 8
"""Jobs that have ended, and events on the way, that are kept."""

FAR = 3600.0
"""Seconds that no test lasts."""


class Walk(RuleBasedStateMachine):
    """What the rules of ``StoreMachine`` stand on.

    Attributes:
        store: That is held to the reference.
        settings: Few jobs are kept, and few events; a lease does not run out by itself.
    """

    store: Store
    settings = Settings(max_jobs=KEPT, max_event_buffer=EVENTS, job_lease=FAR)

    def make_store(self, settings: Settings) -> Store:
        """A store that nothing is in."""
        raise NotImplementedError("say how a store is made")

    async def crash(self, worker: str, leases: Sequence[Lease]) -> bool:
        """End a worker as ``kill -9`` would. ``False``: that cannot be."""
        return False

    async def expire(self, lease: Lease) -> bool:
        """Let the time of a lease run out though its worker lives. ``False``: it has none."""
        return False

    async def rescue(self) -> int:
        """Look for what crashed workers have left behind."""
        return await self.store.rescue()

    async def close(self) -> None:
        """The end."""
        await self.store.close()

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._known = Reference()
        self._names = (f"worker-{number}" for number in count(1))
        self._workers: list[str] = []
        self._leases: list[Lease] = []
        self._seen: dict[str, Job] = {}
        self._touched: set[str] = set()

    def _do(self, act: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(act)

    def begins(self) -> None:
        """A store is made and opened, and two workers join."""
        self.store = self.make_store(self.settings)
        self._do(self.store.open())
        for _ in range(2):
            self._joins()

    def _joins(self) -> None:
        worker = next(self._names)
        self._do(self.store.join(worker))
        self._workers.append(worker)

    def teardown(self) -> None:
        """The store is closed."""
        try:
            if hasattr(self, "store"):
                self._do(self.close())
        finally:
            self._runner.close()

    # ------------------------------------------------------------------------------------- choosing

    def _job(self, number: int) -> Known:
        jobs = list(self._known.jobs.values())
        known = jobs[number % len(jobs)]
        self._touched.add(known.id)
        return known

    def _lease(self, number: int) -> Lease:
        """Mostly one that holds."""
        held = [lease for lease in self._leases if self._known.held(lease.job.id, lease.fence)]
        found = held if held and number % 8 else self._leases
        lease = found[number % len(found)]
        self._touched.add(lease.job.id)
        return lease

    @property
    def _held_by_anyone(self) -> bool:
        return any(known.worker in self._workers for known in self._known.jobs.values())

    def _held(self, lease: Lease) -> Known | None:
        return self._known.held(lease.job.id, lease.fence)

    def _told(self, known: Known | None, number: int, kind: EventKind = "delta") -> list[JobEvent]:
        """The next events of a job."""
        last = 0 if known is None else known.last_event
        return [event(last + 1 + each, kind) for each in range(number)]

    # -------------------------------------------------------------------------------------- looking

    @invariant()
    def all_is_as_it_ought_to_be(self) -> None:
        """Records, their order and their numbers, and the events of what was touched."""
        if hasattr(self, "store"):
            self._do(self._look())

    async def _look(self) -> None:
        jobs = await self._listed()
        too_many = {known.id for known in self._known.too_many(KEPT)}
        self._known.forget(known for known in list(self._known.jobs.values()) if known.id in too_many - set(jobs))
        assert list(jobs) == list(self._known.jobs)[::-1], "all that is known is listed, the youngest first"
        assert dict(await self.store.counts()) == Counter(job.status for job in jobs.values()), "as they are listed"
        for job_id, job in jobs.items():
            self._is_as_known(job, self._known.jobs[job_id])
        for job_id in self._touched & set(jobs):
            await self._is_told_without_a_gap(jobs[job_id])
        self._touched.clear()
        self._seen = jobs

    async def _listed(self) -> dict[str, Job]:
        found: dict[str, Job] = {}
        cursor: str | None = ""
        while cursor is not None:
            page = await self.store.list(JobQuery(limit=20, cursor=cursor or None))
            found |= {job.id: job for job in page.jobs}
            cursor = page.cursor
        return found

    def _is_as_known(self, job: Job, known: Known) -> None:
        before = self._seen.get(job.id)
        if before is not None and before.status != job.status:
            assert job.status in AFTER[before.status], f"{before.status} does not become {job.status}"
        if before is not None and before.ended:
            assert job == before, "what has ended never changes"
        for name in ("request", "status", "attempt", "crashes", "cancel_requested", "reason", "last_event", "question"):
            assert getattr(job, name) == getattr(known, name), name
        if job.status == "queued":
            assert job.run_at == known.run_at
        assert job.expires_at == known.begin_by
        assert (job.finished is not None) == job.ended

    async def _is_told_without_a_gap(self, job: Job) -> None:
        assert await self.store.get(job.id) == job, "as it is listed"
        numbers = [each.sequence for each in await self.store.read_events(job.id, 0, 1000)]
        assert numbers == list(range(job.first_event, job.last_event + 1)), "gapless, and each once"
