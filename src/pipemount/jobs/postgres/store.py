"""The store of apps whose jobs are in a PostgreSQL database: for several hosts, and as many processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ...errors import IdempotencyMismatchError
from ...settings import Settings
from ..cursors import number_of
from ..handed import LONGEST
from ..models import (
    STATUSES,
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
)
from ..sql.endings import CRASHES, cancelled_ending, expired_ending, lost_ending
from ..sql.pruning import Entry, Tally, added, is_full, pruned
from ..sql.rows import job_of, new_job, new_row, written
from . import claims, statements
from .address import Address
from .clock import Clock
from .connections import Connections, Rows, UnansweredError
from .ends import END, END_UNHELD, ENDED
from .gathering import Gathering
from .listing import list_jobs
from .retention import Retention
from .schema import migrate
from .values import columns, ending, grown_by, lease_of, new_mark, of
from .wakeups import Wakeups

__all__ = ["PostgresStore"]

ENTRIES = 1000
"""In the tally, beyond which they are added up."""

AT_ONCE = 100
"""Jobs that expire in one go."""

PATIENCE = 10.0
"""Seconds for which a database that is away is waited for, where a lease writes."""

LOOK = 4.0
"""Seconds between two looks for leases that have run out, where these are long."""


class PostgresStore:
    """See ``Store`` for the verbs.

    A worker has a job for ``job_lease`` seconds, by the database's clock, unless it says again that it has it. What a
    lease writes is tried for a while when the database is away: what a run did is not done again because of that.

    Args:
        url: ``postgresql://user:password@host:5432/database``; ``?schema=`` names another schema than ``pipemount``,
            and ``connections=`` how many are opened at most.
        settings: Of the app.
    """

    durable = True

    def __init__(self, url: str, settings: Settings) -> None:
        self._settings, self.rescue_every = settings, min(settings.job_lease / 10, LOOK)
        self._connections = Connections(Address.of(url))
        self._wakeups = Wakeups(self._connections)
        self._retention = Retention(self._connections, self._wakeups, settings)
        self._unanswered: list[int] = []
        self._clock = Clock(settings.job_lease)
        self._coming = Gathering(self._submit_all, lambda row: int(row["size"]))
        self._ending = Gathering(self._end_all, lambda told: int(told["grown"]))

    def forget(self) -> None:
        self._connections.forget()
        self._wakeups.forget()
        self._coming.forget()
        self._ending.forget()

    # ------------------------------------------------------------------------------- start and stop

    async def open(self) -> None:
        connection = await self._connections.connect()
        try:
            await migrate(connection, self._connections.address.schema)
        finally:
            await connection.close()
        self._connections.open()
        self._wakeups.open()
        await self._retention.measure()

    async def check(self) -> None:
        await self._connections.fetch("SELECT 1", {})

    async def close(self) -> None:
        try:
            await self._wakeups.close()
        finally:
            await self._connections.close()

    # -------------------------------------------------------------------------------------- records

    async def submit(self, request: JobRequest) -> Submitted:
        row = new_row(request, 0.0)
        await self._retention.make_room(row["size"])
        same = request.idempotency
        if same is None:
            return self._submitted(request, await self._coming.do(row), row["size"])
        key = {"scope": same.scope, "key": same.key}
        while True:
            rows = await self._fetch(statements.SUBMIT_KEYED, {**row, **key, **self._retention.ages})
            if rows:
                return self._submitted(request, rows[0]["created"], row["size"])
            for found in await self._fetch(statements.FIND_KEYED, key):  # none: it was forgotten just now
                first = job_of(found)
                if first.request.idempotency is None or first.request.idempotency.digest != same.digest:
                    raise IdempotencyMismatchError
                return Submitted(first, True)

    async def _submit_all(self, new: Sequence[Mapping[str, Any]]) -> Sequence[float]:
        """Of each when it came."""
        made = await self._fetch(statements.SUBMIT, {name: [row[name] for row in new] for name in new[0]})
        created = {row["id"]: row["created"] for row in made}
        return [created[row["id"]] for row in new]

    def _submitted(self, request: JobRequest, created: float, size: int) -> Submitted:
        self._retention.used += size
        self._wakeups.changed(work=True)
        return Submitted(new_job(request, created), False)

    async def get(self, job_id: str) -> Job | None:
        rows = await self._fetch(statements.GET, {"id": job_id, **self._retention.ages})
        return job_of(rows[0]) if rows else None

    async def list(self, query: JobQuery) -> Page:
        asked = {
            "owner": query.owner,
            "pipeline": query.pipeline,
            "status": [*dict.fromkeys(query.status)] or None,
            "before": None if query.cursor is None else number_of(query.cursor),
        }
        by = [name for name, value in asked.items() if value is not None]
        values = {**asked, "status": asked["status"] or [*STATUSES], **self._retention.ages, "limit": query.limit + 1}
        rows = await self._fetch(list_jobs(by), values)
        jobs = [job_of(row) for row in rows[: query.limit]]
        return Page(jobs, str(rows[query.limit - 1]["number"]) if len(rows) > query.limit else None)

    async def counts(self) -> Mapping[JobStatus, int]:
        rows = await self._fetch(statements.COUNTS, self._retention.ages)
        if sum(row["entries"] for row in rows) > ENTRIES:
            await self._retention.count_up()
        return {row["status"]: row["jobs"] for row in rows if row["jobs"]}

    # --------------------------------------------------------------------------------------- leases

    async def join(self, worker: str) -> None:
        """Its leases say when it was last heard of."""

    async def leave(self, worker: str) -> None:
        for row in await self._fetch(statements.CANCELLED_OF, {"worker": worker}):
            await self._end_instead(lease_of(row), (), False)
        given_back = await self._fetch(statements.GIVE_BACK, {"worker": worker})
        self._tell_of_work(given_back)

    async def claim(self, claim: Claim) -> Sequence[Lease]:
        wanted = claims.wanted(claim)
        rows = await self._claimed_before(wanted) or await self._claim(claims.CLAIM, wanted)
        return [lease_of(row) for row in sorted(rows, key=lambda row: (-row["priority"], row["number"]))]

    async def claim_job(self, job_id: str, worker: str) -> Lease | None:
        wanted = {"worker": worker, "id": job_id, "count": 1}
        rows = await self._claim(claims.CLAIM_JOB, wanted)
        return lease_of(rows[0]) if rows else None

    async def unclaimed(self, patience: float, limit: int) -> Sequence[Job]:
        values = {"patience": patience, "longest": LONGEST, "count": limit}
        rows = await self._fetch(statements.UNCLAIMED, values)
        return [job_of(row) for row in sorted(rows, key=lambda row: int(row["number"]))]

    async def expire(self) -> float | None:
        while (left := (await self._fetch(statements.NEXT_TO_EXPIRE, {}))[0]["seconds"]) is not None and left <= 0:
            for job in map(job_of, await self._fetch(statements.EXPIRED, {"count": AT_ONCE})):
                lease = Lease(job, 0)  # nobody had one
                await self._end_unheld(lease, *expired_ending(job.id, job.last_event, job.request.expires))
        return left  # type: ignore[no-any-return]  # a number of the database's

    async def _claim(self, statement: str, wanted: Mapping[str, Any]) -> Rows:
        """Tell a statement that claims, once: told again it would claim others."""
        mark = new_mark()
        try:
            return await self._fetch(statement, {**wanted, **self._lease_time, "mark": mark}, once=True)
        except UnansweredError:
            self._unanswered.append(mark)
            return await self._claimed_before(wanted) or await self._claim(statement, wanted)

    async def _claimed_before(self, wanted: Mapping[str, Any]) -> Rows:
        """What was claimed though the answer was lost: it is the worker's, who does not know of it."""
        if not self._unanswered:
            return ()
        marks = tuple(self._unanswered)
        rows = await self._fetch(claims.CLAIMED, {**wanted, "marks": [*marks]})
        if wanted["id"] is None and len(rows) < wanted["count"]:
            self._unanswered = [mark for mark in self._unanswered if mark not in marks]
        return rows

    async def wait_for_work(self, timeout: float) -> bool:
        return await self._wakeups.wait_for_work(timeout)

    async def heartbeat(self, leases: Sequence[Lease]) -> Sequence[LeaseState]:
        held = {"ids": [lease.job.id for lease in leases], "fences": [lease.fence for lease in leases]}
        rows = await self._fetch(statements.RENEW, {**held, **self._lease_time})
        cancelled = {(row["id"], row["fence"]): row["cancel_requested"] for row in rows}
        states: dict[bool | None, LeaseState] = {None: "lost", True: "cancel", False: "held"}
        return [states[cancelled.get((lease.job.id, lease.fence))] for lease in leases]

    async def hand_over(self, lease: Lease, worker: str) -> bool:
        return bool(await self._fetch(statements.HAND_OVER, {**of(lease), "worker": worker}))

    async def requeue(
        self,
        lease: Lease,
        run_at: float | None = None,
        events: Sequence[JobEvent] = (),
        *,
        crashed: bool = False,
        cut_short: bool = False,
    ) -> bool:
        again = {"status": "queued", "run_at": run_at, "crashes": CRASHES, "crashed": int(crashed), "mark": new_mark()}
        again["cut_short"] = cut_short
        if await self._log(statements.REQUEUE, {**of(lease), **again}, events):
            self._wakeups.changed(lease.job.id, work=True)
            return True
        return await self._end_instead(lease, events, crashed)

    async def suspend(self, lease: Lease, question: Mapping[str, Any], events: Sequence[JobEvent] = ()) -> bool:
        values = {**of(lease), "status": "suspended", "question": written(question), "mark": new_mark()}
        if await self._log(statements.SUSPEND, values, events):
            return True
        return await self._end_instead(lease, events, False)

    async def resume(self, job_id: str, answer: bytes) -> Literal["resumed", "not-suspended", "unknown"]:
        if (job := await self.get(job_id)) is None:
            return "unknown"
        if job.question is None:
            return "not-suspended"
        values = {"id": job_id, "question": written(job.question), "key": job.question["key"], "output": answer}
        if not await self._fetch(statements.RESUME, {**values, "mark": new_mark()}):
            return "not-suspended"
        self._wakeups.work_came()
        return "resumed"

    async def rescue(self) -> int:
        if not await self._clock.is_sure(self._now):
            return 0
        values = {"crashes": CRASHES, **self._lease_time}
        taken_back = await self._fetch(statements.TAKE_BACK, values)
        self._tell_of_work(taken_back)
        ended = 0
        for row in await self._fetch(statements.UNSAVABLE, values):
            ended += await self._end_instead(lease_of(row), (), row["begun"])
        return len(taken_back) + ended

    async def _now(self) -> float:
        [row] = await self._fetch(statements.NOW, {})
        return float(row["now"])

    def _tell_of_work(self, rows: Rows) -> None:
        if rows:
            self._wakeups.changed(work=True)

    # -------------------------------------------------------------------------- what a lease writes

    async def save_step(self, lease: Lease, key: str, output: bytes) -> bool:
        values = {**of(lease), "key": key, "output": output}
        return bool(await self._fetch(statements.SAVE_STEP, values, PATIENCE))

    async def read_steps(self, lease: Lease) -> Mapping[str, bytes]:
        return {row["key"]: row["output"] for row in await self._fetch(statements.READ_STEPS, of(lease))}

    async def append(self, lease: Lease, events: Sequence[JobEvent]) -> bool:
        return await self._log(statements.APPEND, of(lease), events)

    async def finish(self, lease: Lease, outcome: Outcome, events: Sequence[JobEvent] = ()) -> bool:
        if is_full(added(Tally(), events), *self._limits):  # some make way, and what has ended is not changed any more
            if not await self.append(lease, events[:-1]):
                return False
            events = events[-1:]
        return await self._end(lease, outcome, events)

    async def _end(self, lease: Lease, outcome: Outcome, events: Sequence[JobEvent], crashed: bool = False) -> bool:
        told = ending(lease, outcome, events, crashed)
        return await self._is_told(lease.job.id, await self._ending.do({**told, "events": events}), told["grown"])

    async def _end_all(self, told: Sequence[Mapping[str, Any]]) -> Sequence[Rows]:
        """Of each its row, or none: the lease is lost."""
        values: dict[str, list[Any]] = {name: [one[name] for one in told] for name in ENDED}
        events = [(one["id"], event) for one in told for event in one["events"]]
        values |= {"jobs": [job_id for job_id, _ in events], **columns([event for _, event in events])}
        found = {row["id"]: row for row in await self._fetch(END, values, PATIENCE)}
        return [[found[one["id"]]] if one["id"] in found else [] for one in told]

    async def _end_instead(self, lease: Lease, events: Sequence[JobEvent], crashed: bool) -> bool:
        """What is to be cancelled does not wait again, nor what has ended too many processes. ``False``: neither."""
        rows = await self._fetch(statements.GET, {"id": lease.job.id, **self._retention.ages})
        if not rows:
            return False
        job = job_of(rows[0])
        last, crashes = max([job.last_event, *(event.sequence for event in events)]), job.crashes + crashed
        if job.cancel_requested:
            outcome, event = cancelled_ending(job.id, last, job.reason or "")
        elif crashed and crashes - rows[0]["outlived"] >= CRASHES:
            outcome, event = lost_ending(job.id, last, crashes)
        else:
            return False
        return await self._end(lease, outcome, [*events, event], crashed)

    async def request_cancel(self, job_id: str, reason: str) -> Literal["cancelled", "requested", "ended", "unknown"]:
        while True:
            rows = await self._fetch(statements.GET, {"id": job_id, **self._retention.ages})
            if not rows:
                return "unknown"
            lease = lease_of(rows[0])
            if lease.job.ended:
                return "ended"
            if lease.job.cancel_requested:
                return "requested"
            if lease.job.status not in ("queued", "suspended"):
                if await self._fetch(statements.CANCEL, {"id": job_id, "reason": reason}):
                    return "requested"
                continue  # it has just ended, or waits again
            if await self._end_unheld(lease, *cancelled_ending(job_id, lease.job.last_event, reason)):
                return "cancelled"

    async def _end_unheld(self, lease: Lease, outcome: Outcome, event: JobEvent) -> bool:
        """``False``: somebody has claimed the job meanwhile, or ended it."""
        return await self._log(END_UNHELD, ending(lease, outcome, [event]), [event])

    # --------------------------------------------------------------------------------------- events

    async def read_events(self, job_id: str, after: int, limit: int) -> Sequence[JobEvent]:
        rows = await self._fetch(statements.READ_EVENTS, {"id": job_id, "after": after, "limit": limit})
        return [JobEvent(row["sequence"], row["kind"], row["body"]) for row in rows]

    async def wait(self, job_id: str, after: int, timeout: float) -> bool:
        return await self._wakeups.wait(job_id, after, timeout)

    async def _log(self, statement: str, values: Mapping[str, Any], events: Sequence[JobEvent]) -> bool:
        """Tell a statement that keeps events as well. ``False``: the lease is lost."""
        told = {**grown_by(events), **values, **columns(events)}
        return await self._is_told(values["id"], await self._fetch(statement, told, PATIENCE), told["grown"])

    async def _is_told(self, job_id: str, rows: Rows, grown: int) -> bool:
        for row in rows:
            self._retention.used += grown
            self._wakeups.changed(job_id)
            await self._prune(row["number"], Tally(*(row[name] for name in Tally._fields)))
        return bool(rows)

    async def _prune(self, number: int, tally: Tally) -> None:
        if not is_full(tally, *self._limits):
            return
        rows = await self._fetch(statements.READ_ENTRIES, {"number": number})
        log = [Entry(**row) for row in rows]
        going, left = pruned(log, tally, *self._limits)
        if going:
            sequences = [entry.sequence for entry in going]
            freed = sum(entry.size for entry in going)
            values = {"number": number, "sequences": sequences, "first": max(sequences) + 1, "freed": freed}
            await self._fetch(statements.PRUNE, {**values, **left._asdict()})

    @property
    def _limits(self) -> tuple[int, int]:
        return self._settings.max_event_buffer, self._settings.max_event_bytes

    # ----------------------------------------------------------------------------------- forgetting

    async def delete(self, job_id: str) -> bool:
        return await self._retention.forget(job_id)

    async def sweep(self) -> None:
        await self._retention.sweep()

    # -------------------------------------------------------------------------------------- telling

    @property
    def _lease_time(self) -> Mapping[str, float]:
        return {"lease": self._settings.job_lease}

    async def _fetch(
        self, statement: str, values: Mapping[str, Any], patience: float = 0.0, *, once: bool = False
    ) -> Rows:
        return await self._connections.fetch(statement, values, patience, once=once)
