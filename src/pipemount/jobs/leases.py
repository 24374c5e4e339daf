"""Keeps what a process has claimed, hears that it is to be cancelled, and finds what other processes left behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from .models import JobQuery
from .rounds import Rounds
from .store import Store
from .work import Work

__all__ = ["Leases"]

LOOK = 0.5
"""Seconds between two looks for jobs of this process that another one was asked to cancel."""

CANCELLING = JobQuery(status=("cancelling",), limit=200)


class Leases:
    """The leases of a process, looked after.

    Args:
        store: Where the jobs are.
        held: Those that this process has claimed and not ended.
    """

    def __init__(self, store: Store, held: Callable[[], Sequence[Work]]) -> None:
        self._store, self._held = store, held

    def look_after(self, rounds: Rounds, heartbeat: float) -> None:
        """Begin to; ``heartbeat``: seconds between two times at which leases are kept."""
        rounds.every(heartbeat, self._keep, "leases of jobs could not be kept")
        rounds.every(LOOK, self._look_for_cancels, "jobs to cancel could not be looked for")

    def look_for_lost(self, rounds: Rounds, found: Callable[[], None]) -> None:
        """Look for jobs that a process left behind; ``found`` is called where there are some."""

        async def look() -> None:
            if await self._store.rescue():
                found()

        if self._store.rescue_every:
            rounds.every(self._store.rescue_every, look, "lost jobs could not be looked for")

    async def _keep(self) -> None:
        if not (works := self._held()):
            return
        states = await self._store.heartbeat([work.lease for work in works if work.lease is not None])
        for work, state in zip(works, states, strict=True):
            if state == "lost":
                work.cancel("another runner has it")
            elif state == "cancel":
                job = await self._store.get(work.job.id)
                work.cancel((job and job.reason) or "cancelled")

    async def _look_for_cancels(self) -> None:
        works = {work.job.id: work for work in self._held()}
        query: JobQuery | None = CANCELLING if works else None
        while query is not None:  # those of other processes may be many, and take their time
            page = await self._store.list(query)
            for job in page.jobs:
                if job.id in works:
                    works[job.id].cancel(job.reason or "cancelled")
            query = None if page.cursor is None else replace(query, cursor=page.cursor)
