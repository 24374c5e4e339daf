"""Taking queued jobs out of a store, as many as there are places for, whichever process they came to."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from heapq import heappop, heappush
from time import monotonic, time

from ..runtime.admission import Admission, Caller
from .alone import Alone
from .models import Claim, Lease
from .store import Store
from .work import Work

__all__ = ["Claiming"]

AT_ONCE = 32
"""Jobs that are claimed in one go at most."""

LOOK = 1.0
"""Seconds between two looks where nothing tells of a job: one that another process put off may be due."""

LULL = 0.02
"""Seconds until the next look where what the store told of was not for us."""


class Claiming:
    """Claims jobs while there is something to claim and a place for it.

    As many are claimed, the most urgent ones in the store, as there are places that nobody wants; each then takes its
    place, or waits for it in the line in which all wait. Where there was none for a while, one is claimed all the same.
    It is never more than any of the pipelines, queues and callers has room for, nor more jobs that crashed before than
    have a turn to be performed alone: what is claimed and cannot begin holds up the others.

    Args:
        store: Where they are.
        admission: Whose places they take.
        pipelines: The names of those that are known here.
        worker: Who claims.
        begin: Given a job that was claimed.
        held: The jobs that were claimed here and have not ended.
        concurrency: Jobs at the same time, or ``None``.
        queues: Those that jobs are taken from, with limits of their own; empty: all.
        alone: Performs those that crashed before; ``None``: they are performed as all others.
    """

    def __init__(
        self,
        store: Store,
        admission: Admission,
        pipelines: Collection[str],
        worker: str,
        *,
        begin: Callable[[Lease], object],
        held: Callable[[], Sequence[Work]],
        concurrency: int | None,
        queues: Mapping[str, int | None],
        alone: Alone | None = None,
    ) -> None:
        self._store, self._admission, self._pipelines, self._worker = store, admission, pipelines, worker
        self._begin, self._held, self._concurrency, self._queues = begin, held, concurrency, queues
        self._alone = alone
        self._told = asyncio.Event()
        self._due: list[float] = []
        self._in_vain_since: float | None = None
        self._asking = asyncio.Lock()
        self._held_up = False

    def tell(self, run_at: float | None = None) -> None:
        """There may be something to claim, or room for it; ``run_at``: then, in seconds since the epoch."""
        left = 0.0 if run_at is None else run_at - time()
        if run_at is None or left <= 0:
            self._told.set()
        elif left > LOOK:
            heappush(self._due, run_at)
        else:  # who waits for work at this moment may have more patience than that
            asyncio.get_running_loop().call_later(left, self._told.set)

    def placed(self) -> None:
        """A job that was claimed has its place: perhaps it keeps others from being claimed no more."""
        if self._held_up:
            self._held_up = False
            self._told.set()

    @property
    def turns(self) -> int | None:
        """How many jobs that crashed before can be performed alone at once; the others of them are for others."""
        if self._alone is None:
            return None
        return max(0, self._alone.at_once - sum(work.job.crashes > 0 for work in self._held()))

    async def settled(self) -> None:
        """Return when what the store is giving out at this moment was begun."""
        async with self._asking:
            return

    async def run(self) -> None:
        """Claim, for ever."""
        stirred = False
        while True:
            self._told.clear()
            claimed, more = await self._claim()
            if stirred and not claimed:  # what the store told of was not for us, or is gone
                await asyncio.sleep(LULL)
            stirred = not more and await self._until_told()

    async def _until_told(self) -> bool:
        """Return when there may be more to claim; whether it was the store that said so."""
        told = asyncio.ensure_future(self._told.wait())
        stirred = asyncio.ensure_future(self._store.wait_for_work(self._patience()))
        try:
            await asyncio.wait({told, stirred}, return_when=asyncio.FIRST_COMPLETED)
            return stirred.done() and stirred.result()
        finally:
            told.cancel()
            stirred.cancel()
            await asyncio.gather(told, stirred, return_exceptions=True)

    def _patience(self) -> float:
        now = time()
        while self._due and self._due[0] <= now:
            heappop(self._due)
        return min(LOOK, self._due[0] - now) if self._due else LOOK

    # ------------------------------------------------------------------------------------ claiming

    async def _claim(self) -> tuple[int, bool]:
        """Claim what there is room for: how many, and whether there may be more for us."""
        count, queues = self._room()
        rooms = {name: room for name in self._pipelines if (room := self._admission.room(name))}
        if not count or not rooms:
            return 0, False
        each, full = self._admission.callers_room()
        if not (count := self._spare(min(count, each, *rooms.values()))):
            return 0, False
        claim = Claim(self._worker, [*rooms], count, queues, [*map(_owner, full)], self.turns)
        async with self._asking:
            claimed = await self._store.claim(claim)
            for lease in claimed:
                self._begin(lease)
        return len(claimed), len(claimed) == count or (claim.crashed is not None and any(map(_has_crashed, claimed)))

    def _room(self) -> tuple[int, Sequence[str]]:
        """How many jobs may be claimed, and out of which queues; none for all."""
        held = self._held()
        self._held_up = any(work.waits for work in held)
        if self._held_up:  # there is no place for it yet
            return 0, ()
        free = AT_ONCE if self._concurrency is None else self._concurrency - len(held)
        if not self._queues:
            return max(0, min(AT_ONCE, free)), ()
        taken = Counter(work.job.request.queue for work in held)
        rooms = {name: AT_ONCE if limit is None else limit - taken[name] for name, limit in self._queues.items()}
        open_ones = {name: room for name, room in rooms.items() if room > 0}
        return (max(0, min(AT_ONCE, free, *open_ones.values())) if open_ones else 0), [*open_ones]

    def _spare(self, count: int) -> int:
        """Places that nobody wants, ``count`` at most; one where there was none for a while."""
        if spare := min(count, self._admission.spare):
            self._in_vain_since = None
        elif self._in_vain_since is None:
            self._in_vain_since = monotonic()
        elif monotonic() - self._in_vain_since > LOOK:
            self._in_vain_since = None
            return 1
        return spare


def _has_crashed(lease: Lease) -> bool:
    return lease.job.crashes > 0


def _owner(caller: Caller) -> str:
    """As ``owner_of`` has it."""
    return ":".join(caller) if caller is not None and any(caller) else ""
