"""What changes jobs, as functions of a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from time import time
from typing import Any, Literal

from ...errors import IdempotencyMismatchError, OverloadedError
from ..models import ENDED, Job, JobEvent, JobRequest, Lease, Outcome, Submitted
from ..sql.endings import CRASHES, cancelled_ending, expired_ending, lost_ending
from ..sql.pruning import Entry, Tally, added, first_after, is_full, pruned
from ..sql.rows import CARRIED, job_of, new_job, new_row, outcome_row, read_json, size_of, written
from .payloads import IN_ROW, IN_TABLE
from .reading import whole
from .retention import drop, make_room
from .transaction import Change, Transaction

__all__ = [
    "append",
    "delete",
    "expire",
    "finish",
    "give_back",
    "probe",
    "request_cancel",
    "requeue",
    "resume",
    "save_step",
    "submit",
    "suspend",
]

AT_ONCE = 100
"""Jobs that expire in one transaction at most."""


# ------------------------------------------------------------------------------------------- coming


def submit(transaction: Transaction, request: JobRequest) -> Submitted:
    """As ``Store.submit``."""
    if request.idempotency is not None and (found := _known(transaction, request)) is not None:
        return Submitted(found, True)
    if not make_room(transaction, size_of(request)):
        raise OverloadedError(retry_after=1)
    columns = new_row(request, time())
    large = _cut(columns)
    number = transaction.insert("jobs", columns)
    for name, body in large.items():
        transaction.payloads.put(transaction.connection, number, name, body)
    if (same := request.idempotency) is not None:
        transaction.run(
            "INSERT OR REPLACE INTO keys (scope, key, digest, job) VALUES (?, ?, ?, ?)",
            (same.scope, same.key, same.digest, number),
        )
    transaction.came = True
    return Submitted(new_job(request, columns["created"]), False)


def _known(transaction: Transaction, request: JobRequest) -> Job | None:
    """The job of the first request that came with the key of this one, while that stands for it."""
    assert request.idempotency is not None  # noqa: S101 - for the type checker
    scope, key, digest = request.idempotency.scope, request.idempotency.key, request.idempotency.digest
    found = transaction.one(
        "SELECT jobs.*, keys.digest FROM keys JOIN jobs ON number = job WHERE scope = ? AND key = ?", (scope, key)
    )
    if found is None:
        return None
    if found["status"] in ENDED and time() > found["created"] + transaction.settings.idempotency_ttl:
        return None
    if found["digest"] != digest:
        raise IdempotencyMismatchError
    return job_of(whole(transaction.connection, transaction.payloads.folder, found))


def _cut(columns: dict[str, Any]) -> dict[str, bytes]:
    """Take what is too large for a row out of it."""
    large = {name: columns[name] for name in CARRIED if len(columns.get(name) or b"") > IN_ROW}
    for name in large:
        columns[name] = None
    if large:
        columns["large"] = ",".join(large)
    return large


# ------------------------------------------------------------------------------------------- leases


def _held(transaction: Transaction, lease: Lease) -> sqlite3.Row | None:
    return transaction.one(
        "SELECT * FROM jobs WHERE id = ? AND fence = ? AND worker IS NOT NULL", (lease.job.id, lease.fence)
    )


def requeue(
    transaction: Transaction,
    lease: Lease,
    run_at: float | None,
    events: Sequence[JobEvent],
    *,
    crashed: bool,
    cut_short: bool,
) -> bool:
    """As ``Store.requeue``."""
    if (row := _held(transaction, lease)) is None:
        return False
    if events:
        transaction.update(row["number"], _with_events(transaction, row, events))
        row = _held(transaction, lease) or row
    _wait_again(transaction, row, run_at=run_at, crashes=row["crashes"] + crashed, cut_short=cut_short)
    return True


def give_back(transaction: Transaction, worker: str, *, crashed: bool) -> int:
    """The jobs of a worker wait again, how many there were; where it crashed, those that it had begun crashed."""
    rows = transaction.all("SELECT * FROM jobs WHERE worker = ?", (worker,))
    for row in rows:
        _wait_again(transaction, row, crashes=row["crashes"] + (crashed and row["begun"]), cut_short=not crashed)
    return len(rows)


def _wait_again(
    transaction: Transaction,
    row: sqlite3.Row,
    *,
    run_at: float | None = None,
    crashes: int | None = None,
    cut_short: bool = False,
) -> None:
    crashes = row["crashes"] if crashes is None else crashes
    if row["cancel_requested"]:
        outcome, last = cancelled_ending(row["id"], row["last_event"], row["reason"])
        _end(transaction, row, outcome, [last], crashes=crashes)
    elif crashes - row["outlived"] >= CRASHES and crashes > row["crashes"]:
        outcome, last = lost_ending(row["id"], row["last_event"], crashes)
        _end(transaction, row, outcome, [last], crashes=crashes)
    else:
        columns = {"status": "queued", "worker": None, "run_at": run_at, "due": run_at, "crashes": crashes}
        if cut_short or (not row["begun"] and crashes == row["crashes"]):
            columns["attempt"] = row["attempt"] - 1
        transaction.update(row["number"], columns)
        transaction.came = True


def expire(transaction: Transaction) -> bool:
    """As ``Store.expire``, but for some at a time; whether there may be more."""
    rows = transaction.all(
        "SELECT * FROM jobs WHERE begin_by IS NOT NULL AND begin_by <= ? ORDER BY begin_by LIMIT ?", (time(), AT_ONCE)
    )
    for row in rows:
        request = job_of(whole(transaction.connection, transaction.payloads.folder, row)).request
        outcome, last = expired_ending(row["id"], row["last_event"], request.expires)
        _end(transaction, row, outcome, [last])
    return len(rows) == AT_ONCE


# ---------------------------------------------------------------------------------------- performing


def append(transaction: Transaction, lease: Lease, events: Sequence[JobEvent]) -> bool:
    """As ``Store.append``."""
    if (row := _held(transaction, lease)) is None:
        return False
    transaction.update(row["number"], _with_events(transaction, row, events))
    return True


def hand_over(transaction: Transaction, lease: Lease, worker: str) -> bool:
    """As ``Store.hand_over``."""
    if (row := _held(transaction, lease)) is None:
        return False
    transaction.update(row["number"], {"worker": worker, "begun": 1})
    return True


def save_step(transaction: Transaction, lease: Lease, key: str, output: bytes) -> bool:
    """As ``Store.save_step``."""
    if (row := _held(transaction, lease)) is None:
        return False
    if _keep_step(transaction, row, key, output) and row["outlived"] != row["crashes"]:
        transaction.update(row["number"], {"outlived": row["crashes"]})
    return True


def _keep_step(transaction: Transaction, row: sqlite3.Row, key: str, output: bytes) -> bool:
    """Whether there was nothing under the key."""
    number, name = row["number"], f"step:{key}"
    before = transaction.one("SELECT size FROM payloads WHERE job = ? AND name = ?", (number, name))
    more = len(output) - (0 if before is None else before["size"])
    transaction.payloads.put(transaction.connection, number, name, output)
    transaction.update(number, {"size": row["size"] + more, "steps_bytes": row["steps_bytes"] + more})
    return before is None


def suspend(
    transaction: Transaction, lease: Lease, question: Mapping[str, Any], events: Sequence[JobEvent] = ()
) -> bool:
    """As ``Store.suspend``."""
    if (row := _held(transaction, lease)) is None:
        return False
    if events:
        transaction.update(row["number"], _with_events(transaction, row, events))
        row = _held(transaction, lease) or row
    if row["cancel_requested"]:
        _wait_again(transaction, row)
    else:
        columns = {"status": "suspended", "worker": None, "question": written(question)}
        transaction.update(row["number"], columns)
    return True


def resume(transaction: Transaction, job_id: str, answer: bytes) -> Literal["resumed", "not-suspended", "unknown"]:
    """As ``Store.resume``."""
    row = transaction.one("SELECT * FROM jobs WHERE id = ?", (job_id,))
    if row is None:
        return "unknown"
    if row["status"] != "suspended" or (question := read_json(row["question"])) is None:
        return "not-suspended"
    _keep_step(transaction, row, question["key"], answer)
    columns = {"status": "queued", "question": None, "attempt": row["attempt"] - 1, "run_at": None, "due": None}
    transaction.update(row["number"], columns)
    transaction.came = True
    return "resumed"


def finish(transaction: Transaction, lease: Lease, outcome: Outcome, events: Sequence[JobEvent]) -> bool:
    """As ``Store.finish``."""
    if (row := _held(transaction, lease)) is None:
        return False
    _end(transaction, row, outcome, events)
    return True


def request_cancel(
    transaction: Transaction, job_id: str, reason: str
) -> Literal["cancelled", "requested", "ended", "unknown"]:
    """As ``Store.request_cancel``."""
    row = transaction.one("SELECT * FROM jobs WHERE id = ?", (job_id,))
    if row is None:
        return "unknown"
    if row["status"] in ENDED:
        return "ended"
    if row["status"] in ("queued", "suspended"):
        outcome, last = cancelled_ending(job_id, row["last_event"], reason)
        _end(transaction, row, outcome, [last])
        return "cancelled"
    if not row["cancel_requested"]:
        transaction.update(row["number"], {"cancel_requested": 1, "status": "cancelling", "reason": reason})
    return "requested"


def delete(transaction: Transaction, job_id: str) -> bool:
    """As ``Store.delete``."""
    row = transaction.one("SELECT number, id, status FROM jobs WHERE id = ?", (job_id,))
    if row is None or row["status"] not in ENDED:
        return False
    drop(transaction, row)
    return True


def _end(
    transaction: Transaction, row: sqlite3.Row, outcome: Outcome, events: Sequence[JobEvent], crashes: int = 0
) -> None:
    """What came of the job; what its steps gave is not needed any more."""
    settings = transaction.settings
    finished = max(time(), row["started"] or row["created"])
    expires = finished + settings.job_ttl
    if row["keyed"]:
        expires = max(expires, row["created"] + settings.idempotency_ttl)
    columns = {**_with_events(transaction, row, events), **outcome_row(outcome)}
    columns |= {"finished": finished, "expires": expires, "due": None, "crashes": max(row["crashes"], crashes)}
    columns["size"] = columns.get("size", row["size"]) + len(outcome.result or b"") - row["steps_bytes"]
    if row["steps_bytes"]:
        transaction.payloads.drop_all(transaction.connection, row["number"], "step:")
        columns["steps_bytes"] = 0
    if large := _cut(columns):
        columns["large"] = ",".join(filter(None, [row["large"], columns["large"]]))
    for name, body in large.items():
        transaction.payloads.put(transaction.connection, row["number"], name, body)
    transaction.update(row["number"], columns)
    last = columns.get("last_event", row["last_event"])
    transaction.changes[row["id"]] = Change(last, True)


def probe(transaction: Transaction) -> None:
    """Write something and take it away again: whether there is room."""
    transaction.run("INSERT INTO payloads (job, name, size, body) VALUES (0, '', 0, zeroblob(65536))")
    transaction.run("DELETE FROM payloads WHERE job = 0")


# -------------------------------------------------------------------------------------------- events


def _with_events(transaction: Transaction, row: sqlite3.Row, events: Sequence[JobEvent]) -> dict[str, Any]:
    """Keep events, and let others make way for them; the job's columns that are changed by it."""
    new = [event for event in events if event.sequence > row["last_event"]]
    if not new:
        return {}
    number, settings = row["number"], transaction.settings
    _keep(transaction, number, new)
    before = Tally(row["passing"], row["passing_bytes"], row["kept"], row["kept_bytes"])
    tally, first = added(before, new), first_after(row["first_event"], new)
    if is_full(tally, settings.max_event_buffer, settings.max_event_bytes):
        going, tally = pruned(_log(transaction, number), tally, settings.max_event_buffer, settings.max_event_bytes)
        for entry in going:
            _forget(transaction, number, entry)
        first = max([first, *(entry.sequence + 1 for entry in going)])
    last = new[-1].sequence
    transaction.changes[row["id"]] = Change(last, False)
    size = row["size"] + tally.size - before.size
    return {**tally._asdict(), "last_event": last, "first_event": first, "size": size}


def _keep(transaction: Transaction, number: int, events: Sequence[JobEvent]) -> None:
    transaction.connection.executemany(
        "INSERT INTO events (job, sequence, kind, size, body) VALUES (?, ?, ?, ?, ?)",
        [
            (number, sequence, kind, len(body), None if len(body) > IN_TABLE else body)
            for sequence, kind, body in events
        ],
    )
    for event in events:
        if len(event.body) > IN_TABLE:
            transaction.payloads.put(transaction.connection, number, f"event:{event.sequence}", event.body)


def _forget(transaction: Transaction, number: int, entry: Entry) -> None:
    transaction.run("DELETE FROM events WHERE job = ? AND sequence = ?", (number, entry.sequence))
    if entry.size > IN_TABLE:
        transaction.payloads.drop(transaction.connection, number, [f"event:{entry.sequence}"])


def _log(transaction: Transaction, number: int) -> list[Entry]:
    rows = transaction.all("SELECT sequence, kind, size FROM events WHERE job = ? ORDER BY sequence", (number,))
    return [Entry(*row) for row in rows]
