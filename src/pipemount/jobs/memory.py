"""Jobs in this process's memory: gone with it, bounded in number, age and bytes."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from time import time
from typing import Any, Literal

from ..errors import IdempotencyMismatchError, OverloadedError
from ..settings import Settings
from .cursors import number_of
from .encoding import SHUTDOWN, cancelled, cancelled_members
from .log import Log
from .models import (
    Claim,
    Job,
    JobEvent,
    JobQuery,
    JobRequest,
    JobStatus,
    Lease,
    LeaseState,
    Outcome,
    Page,
    Submitted,
    owner_of,
)
from .record import Record
from .sql.endings import CRASHES, expired_ending, lost_ending

__all__ = ["MemoryStore"]

Key = tuple[str, str]


class MemoryStore:
    """The store of apps that are given no other. See ``Store`` for the verbs.

    Ended jobs are forgotten when they are older than ``job_ttl``, or when there are too many of them or too much in
    them: the oldest first, those with an idempotency key last. A job that somebody waits for stays until he is told.
    """

    durable = False
    rescue_every = 0.0

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.forget()

    def forget(self) -> None:
        """Begin from nothing, as in a forked child: the jobs that are under way are the parent's."""
        self._records: dict[str, Record] = {}
        self._keys: dict[Key, Record] = {}
        self._ended: tuple[dict[str, Record], dict[str, Record]] = ({}, {})  # without a key, and with one
        self._numbers = itertools.count(1)
        self._timed: dict[str, Record] = {}  # those that may expire, and others that are soon left out
        self._size = 0

    # ---------------------------------------------------------------------------------------- verbs

    async def open(self) -> None:
        for record in [each for each in self._records.values() if not each.job.ended]:
            self._cancel(record)

    async def check(self) -> None:
        """It is always there."""

    async def submit(self, request: JobRequest) -> Submitted:
        if request.idempotency is not None and (found := self._known(request)) is not None:
            return Submitted(found.seen, True)
        record = Record(request, next(self._numbers), Log(self._settings.max_event_buffer, self._max_event_bytes))
        self._trim(record.size)
        if self._size and self._size + record.size > self._settings.max_job_bytes:
            raise OverloadedError(retry_after=1)
        self._records[request.job_id] = record
        self._size += record.size
        if request.expires is not None:
            self._timed[request.job_id] = record
        if (same := request.idempotency) is not None:
            self._keys[same.scope, same.key] = record
        return Submitted(record.seen, False)

    async def join(self, worker: str) -> None:
        """Whoever performs jobs is in this process, and ends with them."""

    async def leave(self, worker: str) -> None:
        for record in [each for each in self._records.values() if each.worker == worker]:
            self._wait_again(record, None, cut_short=True)

    async def claim(self, claim: Claim) -> Sequence[Lease]:
        due = (each for each in self._records.values() if each.due)
        wanted = [
            each
            for each in due
            if each.job.request.pipeline in claim.pipelines
            and (not claim.queues or each.job.request.queue in claim.queues)
            and (owner_of(each.job.request.principal) or "") not in claim.but_of
            and (claim.crashed != 0 or not each.job.crashes)
        ]
        wanted.sort(key=lambda each: -each.job.request.priority)
        return [record.claim(claim.worker) for record in claim.chosen(wanted, lambda each: each.job.crashes > 0)]

    async def claim_job(self, job_id: str, worker: str) -> Lease | None:
        record = self._records.get(job_id)
        return record.claim(worker) if record is not None and record.due else None

    async def unclaimed(self, patience: float, limit: int) -> Sequence[Job]:
        now = time()
        due = (
            each
            for each in self._records.values()
            if each.due and each.handed.due(each.job, each.fence, patience) <= now
        )
        found = list(itertools.islice(due, limit))
        for record in found:
            record.handed = record.handed.once_more(record.fence, now, patience)
        return [record.seen for record in found]

    async def expire(self) -> float | None:
        now = time()
        for record in [each for each in self._timed.values() if each.late(now)]:
            outcome, event = expired_ending(record.job.id, record.log.last, record.job.request.expires)
            self._end(record, outcome, [event])
        self._timed = {job_id: each for job_id, each in self._timed.items() if each.job.expires_at is not None}
        times = [each.job.expires_at or now for each in self._timed.values()]
        return min(times) - now if times else None

    async def hand_over(self, lease: Lease, worker: str) -> bool:
        if (record := self._leased(lease)) is None:
            return False
        record.worker, record.begun = worker, True
        return True

    async def wait_for_work(self, timeout: float) -> bool:
        """Whoever submits a job here dispatches it here."""
        await asyncio.sleep(timeout)
        return False

    async def heartbeat(self, leases: Sequence[Lease]) -> Sequence[LeaseState]:
        return [self._state(lease) for lease in leases]

    async def requeue(
        self,
        lease: Lease,
        run_at: float | None = None,
        events: Sequence[JobEvent] = (),
        *,
        crashed: bool = False,
        cut_short: bool = False,
    ) -> bool:
        if (record := self._leased(lease)) is None:
            return False
        self._add(record, events)
        record.job, record.begun = replace(record.job, crashes=record.job.crashes + crashed), record.begun or crashed
        if crashed and record.job.crashes - record.outlived >= CRASHES and not record.job.cancel_requested:
            outcome, event = lost_ending(record.job.id, record.log.last, record.job.crashes)
            self._end(record, outcome, [event])
        else:
            self._wait_again(record, run_at, cut_short=cut_short)
        return True

    async def rescue(self) -> int:
        """Who performs jobs is in this process: there is nobody to be rescued from."""
        return 0

    async def save_step(self, lease: Lease, key: str, output: bytes) -> bool:
        if (record := self._leased(lease)) is None:
            return False
        if key not in record.steps:
            record.outlived = record.job.crashes
        self._keep(record, key, output)
        return True

    async def read_steps(self, lease: Lease) -> Mapping[str, bytes]:
        record = self._leased(lease)
        return {} if record is None else dict(record.steps)

    async def suspend(self, lease: Lease, question: Mapping[str, Any], events: Sequence[JobEvent] = ()) -> bool:
        if (record := self._leased(lease)) is None:
            return False
        self._add(record, events)
        if record.job.cancel_requested:
            self._cancel(record)
        else:
            record.suspend(question)
        return True

    async def resume(self, job_id: str, answer: bytes) -> Literal["resumed", "not-suspended", "unknown"]:
        if (record := self._records.get(job_id)) is None:
            return "unknown"
        if (question := record.job.question) is None:
            return "not-suspended"
        self._keep(record, question["key"], answer)
        record.resume()
        return "resumed"

    async def append(self, lease: Lease, events: Sequence[JobEvent]) -> bool:
        if (record := self._leased(lease)) is None:
            return False
        self._add(record, events)
        return True

    async def finish(self, lease: Lease, outcome: Outcome, events: Sequence[JobEvent] = ()) -> bool:
        if (record := self._leased(lease)) is None:
            return False
        self._end(record, outcome, events)
        return True

    async def request_cancel(self, job_id: str, reason: str) -> Literal["cancelled", "requested", "ended", "unknown"]:
        if (record := self._records.get(job_id)) is None:
            return "unknown"
        if record.job.ended:
            return "ended"
        if record.job.status in ("queued", "suspended"):
            self._cancel(record, reason)
            return "cancelled"
        if not record.job.cancel_requested:
            record.job = replace(record.job, cancel_requested=True, status="cancelling", reason=reason)
        return "requested"

    async def get(self, job_id: str) -> Job | None:
        self._expire()
        record = self._records.get(job_id)
        return None if record is None else record.seen

    async def list(self, query: JobQuery) -> Page:
        self._expire()
        before = None if query.cursor is None else number_of(query.cursor)
        found = itertools.islice(self._matching(query, before), query.limit + 1)
        records = list(found)
        more = len(records) > query.limit
        records = records[: query.limit]
        return Page([record.seen for record in records], str(records[-1].number) if more else None)

    async def counts(self) -> Mapping[JobStatus, int]:
        self._expire()
        return Counter(record.job.status for record in self._records.values())

    async def delete(self, job_id: str) -> bool:
        record = self._records.get(job_id)
        if record is None or not record.job.ended:
            return False
        self._drop(record)
        return True

    async def read_events(self, job_id: str, after: int, limit: int) -> Sequence[JobEvent]:
        record = self._records.get(job_id)
        return () if record is None else record.log.read(after, limit)

    async def wait(self, job_id: str, after: int, timeout: float) -> bool:
        record = self._records.get(job_id)
        return True if record is None else await record.log.wait(after, timeout)

    async def sweep(self) -> None:
        self._trim()

    async def close(self) -> None:
        """What waits returns: all jobs have ended by now."""
        await self.open()

    # ------------------------------------------------------------------------------------- keeping

    @property
    def _max_event_bytes(self) -> int:
        return self._settings.max_event_bytes

    def _known(self, request: JobRequest) -> Record | None:
        """The record of the first request that came with the key of this one, while that stands for it."""
        same = request.idempotency
        record = None if same is None else self._keys.get((same.scope, same.key))
        if same is None or record is None or record.job.request.idempotency is None:
            return None
        if record.job.ended and time() > record.job.created + self._settings.idempotency_ttl:
            return None
        if record.job.request.idempotency.digest != same.digest:
            raise IdempotencyMismatchError
        return record

    def _leased(self, lease: Lease) -> Record | None:
        record = self._records.get(lease.job.id)
        held = record is not None and record.worker is not None and record.fence == lease.fence
        return record if held else None

    def _state(self, lease: Lease) -> LeaseState:
        record = self._leased(lease)
        if record is None:
            return "lost"
        return "cancel" if record.job.cancel_requested else "held"

    def _wait_again(self, record: Record, run_at: float | None, *, cut_short: bool) -> None:
        if record.job.cancel_requested:
            self._cancel(record)
        else:
            record.wait_again(run_at, counts=record.begun and not cut_short)

    def _add(self, record: Record, events: Sequence[JobEvent]) -> None:
        before = record.log.size
        record.log.append(events)
        self._size += record.log.size - before

    def _keep(self, record: Record, key: str, output: bytes) -> None:
        self._size += len(output) - len(record.steps.get(key, b""))
        record.steps[key] = output

    def _cancel(self, record: Record, reason: str | None = None) -> None:
        """The job ends as cancelled: because of ``reason``, or of what was said when that was asked for."""
        why = reason or record.job.reason or SHUTDOWN
        self._end(record, _as_cancelled(record, why), [_last_event(record, why)])

    def _end(self, record: Record, outcome: Outcome, events: Sequence[JobEvent]) -> None:
        before = record.size
        record.end(outcome)
        self._size += record.size - before
        self._add(record, events)
        record.log.close()
        self._ended[record.keyed][record.job.id] = record

    def _matching(self, query: JobQuery, before: int | None) -> Iterator[Record]:
        for record in reversed(self._records.values()):
            request = record.job.request
            if (
                (before is None or record.number < before)
                and (query.owner is None or query.owner == (owner_of(request.principal) or ""))
                and (query.pipeline is None or query.pipeline == request.pipeline)
                and (not query.status or record.job.status in query.status)
            ):
                yield record

    # ---------------------------------------------------------------------------------- forgetting

    def _trim(self, room: int = 0) -> None:
        """Forget ended jobs until no limit is passed, nor would be by ``room`` bytes more."""
        self._expire()
        while (victim := self._one_too_many(room)) is not None:
            self._drop(victim)

    def _expire(self) -> None:
        now = time()
        for ended in self._ended:
            for record in list(itertools.takewhile(lambda each: self._until(each) < now, ended.values())):
                self._drop(record)

    def _until(self, record: Record) -> float:
        finished = (record.job.finished or 0.0) + self._settings.job_ttl
        return max(finished, record.job.created + self._settings.idempotency_ttl) if record.keyed else finished

    def _one_too_many(self, room: int) -> Record | None:
        plain, keyed = self._ended
        if len(plain) + len(keyed) <= self._settings.max_jobs and self._size + room <= self._settings.max_job_bytes:
            return None
        return next((each for ended in self._ended for each in ended.values() if not each.log.awaited), None)

    def _drop(self, record: Record) -> None:
        del self._records[record.job.id], self._ended[record.keyed][record.job.id]
        self._timed.pop(record.job.id, None)
        self._size -= record.size
        if (same := record.job.request.idempotency) is not None and self._keys.get((same.scope, same.key)) is record:
            del self._keys[same.scope, same.key]


def _as_cancelled(record: Record, reason: str) -> Outcome:
    return Outcome(status="cancelled", reason=reason, error=cancelled_members(record.job.id, reason))


def _last_event(record: Record, reason: str) -> JobEvent:
    return cancelled(record.job.id, record.log.last + 1, reason)
