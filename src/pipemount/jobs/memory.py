"""Jobs in this process's memory: gone with it, bounded in number, age and bytes."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from time import time
from typing import Literal

from ..errors import IdempotencyMismatchError, InvalidInputsError, OverloadedError
from ..settings import Settings
from .encoding import SHUTDOWN, cancelled, cancelled_members
from .log import Log
from .models import Job, JobEvent, JobQuery, JobRequest, JobStatus, Lease, Outcome, Page, Submitted, owner_of

__all__ = ["MemoryStore"]

OVERHEAD = 2048
"""What a record takes beside what it holds, in bytes."""

Key = tuple[str, str]


class MemoryStore:
    """The store of apps that are given no other. See ``Store`` for the verbs.

    Ended jobs are forgotten when they are older than ``job_ttl``, or when there are too many of them or too much in
    them: the oldest first, those with an idempotency key last. A job that somebody waits for stays until he is told.
    """

    durable = False

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.forget()

    def forget(self) -> None:
        """Begin from nothing, as in a forked child: the jobs that are under way are the parent's."""
        self._records: dict[str, _Record] = {}
        self._keys: dict[Key, _Record] = {}
        self._ended: tuple[dict[str, _Record], dict[str, _Record]] = ({}, {})  # without a key, and with one
        self._numbers = itertools.count(1)
        self._size = 0

    # ---------------------------------------------------------------------------------------- verbs

    async def open(self) -> None:
        for record in [each for each in self._records.values() if not each.job.ended]:
            reason = record.job.reason or SHUTDOWN
            self._end(record, _as_cancelled(record, reason), [_last_event(record, reason)])

    async def check(self) -> None:
        """It is always there."""

    async def submit(self, request: JobRequest) -> Submitted:
        if request.idempotency is not None and (found := self._known(request)) is not None:
            return Submitted(found.seen, True)
        record = _Record(request, next(self._numbers), Log(self._settings.max_event_buffer, self._max_event_bytes))
        self._trim(record.size)
        if self._size and self._size + record.size > self._settings.max_job_bytes:
            raise OverloadedError(retry_after=1)
        self._records[request.job_id] = record
        self._size += record.size
        if (same := request.idempotency) is not None:
            self._keys[same.scope, same.key] = record
        return Submitted(record.seen, False)

    async def claim(self, worker: str, pipelines: Sequence[str], count: int) -> Sequence[Lease]:
        queued = (each for each in self._records.values() if each.job.status == "queued")
        wanted = [each for each in queued if each.job.request.pipeline in pipelines]
        return [_claimed(record) for record in wanted[:count]]

    async def claim_job(self, job_id: str, worker: str) -> Lease | None:
        record = self._records.get(job_id)
        return _claimed(record) if record is not None and record.job.status == "queued" else None

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
        if record.job.status == "queued":
            self._end(record, _as_cancelled(record, reason), [_last_event(record, reason)])
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
        before = None if query.cursor is None else _number(query.cursor)
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

    def _known(self, request: JobRequest) -> _Record | None:
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

    def _leased(self, lease: Lease) -> _Record | None:
        record = self._records.get(lease.job.id)
        return record if record is not None and not record.job.ended and record.fence == lease.fence else None

    def _add(self, record: _Record, events: Sequence[JobEvent]) -> None:
        before = record.log.size
        record.log.append(events)
        self._size += record.log.size - before

    def _end(self, record: _Record, outcome: Outcome, events: Sequence[JobEvent]) -> None:
        before = record.size
        record.end(outcome)
        self._size += record.size - before
        self._add(record, events)
        record.log.close()
        self._ended[record.keyed][record.job.id] = record

    def _matching(self, query: JobQuery, before: int | None) -> Iterator[_Record]:
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

    def _until(self, record: _Record) -> float:
        finished = (record.job.finished or 0.0) + self._settings.job_ttl
        return max(finished, record.job.created + self._settings.idempotency_ttl) if record.keyed else finished

    def _one_too_many(self, room: int) -> _Record | None:
        plain, keyed = self._ended
        if len(plain) + len(keyed) <= self._settings.max_jobs and self._size + room <= self._settings.max_job_bytes:
            return None
        return next((each for ended in self._ended for each in ended.values() if not each.log.awaited), None)

    def _drop(self, record: _Record) -> None:
        del self._records[record.job.id], self._ended[record.keyed][record.job.id]
        self._size -= record.size
        if (same := record.job.request.idempotency) is not None and self._keys.get((same.scope, same.key)) is record:
            del self._keys[same.scope, same.key]


class _Record:
    """A job, and what the store knows of it beside that."""

    __slots__ = ("fence", "job", "log", "number")

    def __init__(self, request: JobRequest, number: int, log: Log) -> None:
        self.job = Job(request=request, status="queued", created=time())
        self.number, self.log, self.fence = number, log, 0

    @property
    def seen(self) -> Job:
        """The job as it is now."""
        return replace(self.job, last_event=self.log.last, first_event=self.log.first)

    @property
    def keyed(self) -> bool:
        """Whether the result is kept for those who ask again."""
        return self.job.request.idempotency is not None

    @property
    def size(self) -> int:
        """Bytes that it takes, roughly."""
        request = self.job.request
        own = 0 if request.parameters is request.inputs else len(request.parameters)
        return OVERHEAD + len(request.inputs) + own + len(self.job.result or b"") + self.log.size

    def end(self, outcome: Outcome) -> None:
        """What came of the job. The host's user object is let go: nothing asks for it any more."""
        request = self.job.request
        if request.principal is not None and request.principal.user is not None:
            request = replace(request, principal=replace(request.principal, user=None))
        self.job = replace(
            self.job,
            request=request,
            status=outcome.status,
            finished=max(time(), self.job.started or self.job.created),
            result=outcome.result,
            execution_time=outcome.execution_time,
            run_index=outcome.run_index,
            run_name=outcome.run_name,
            error=outcome.error,
            reason=outcome.reason,
        )


def _claimed(record: _Record) -> Lease:
    record.fence += 1
    status: JobStatus = "running"
    record.job = replace(record.job, status=status, started=time(), attempt=record.job.attempt + 1)
    return Lease(record.seen, record.fence)


def _as_cancelled(record: _Record, reason: str) -> Outcome:
    return Outcome(status="cancelled", reason=reason, error=cancelled_members(record.job.id, reason))


def _last_event(record: _Record, reason: str) -> JobEvent:
    return cancelled(record.job.id, record.log.last + 1, reason)


def _number(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        fault = {"loc": ["query", "cursor"], "msg": "Input should be the cursor of an earlier page", "type": "cursor"}
        raise InvalidInputsError(errors=[fault])
    return int(cursor)
