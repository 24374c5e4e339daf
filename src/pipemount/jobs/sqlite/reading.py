"""What is read of jobs, as functions of a connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import time
from typing import Any, NamedTuple

from ..cursors import number_of
from ..models import ENDED, STATUSES, Job, JobEvent, JobQuery, JobStatus, Lease, LeaseState, Page
from ..sql.rows import Row, job_of
from .payloads import IN_TABLE, read, read_named
from .transaction import Change

__all__ = [
    "Ready",
    "changes_of",
    "counts",
    "events",
    "find",
    "jobs",
    "lease_states",
    "ready",
    "steps",
    "whole",
    "workers",
]

PARAMETERS = 500
"""Values that a statement is given at once."""


def whole(connection: sqlite3.Connection, folder: Path, row: sqlite3.Row) -> Row:
    """A job's row with what was too large for it."""
    if not row["large"]:
        return row
    names = row["large"].split(",")
    found = read_named(folder, connection, row["number"], names)
    return {**dict(row), **{name: found[name] for name in names if name in found}}


def find(connection: sqlite3.Connection, folder: Path, job_id: str) -> Job | None:
    """As ``Store.get``."""
    row = connection.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
    if row is None or _is_over(row):
        return None
    return job_of(whole(connection, folder, row))


def _is_over(row: sqlite3.Row) -> bool:
    return row["expires"] is not None and row["expires"] < time()


def jobs(connection: sqlite3.Connection, folder: Path, query: JobQuery) -> Page:
    """As ``Store.list``: by the index that fits, one part for each status."""
    before = 2**62 if query.cursor is None else number_of(query.cursor)
    parts = _parts(query)
    limit = query.limit + 1
    values: list[Any] = []
    statements: list[str] = []
    for where, given in parts:
        statements.append(f"SELECT * FROM (SELECT number FROM jobs WHERE {where} ORDER BY number DESC LIMIT ?)")  # noqa: S608 - words of our own
        values += [*given, before, time(), limit]
    numbers = connection.execute(f"{' UNION ALL '.join(statements)} ORDER BY number DESC LIMIT ?", (*values, limit))
    found = [row["number"] for row in numbers]
    more = len(found) > query.limit
    rows = [
        connection.execute("SELECT * FROM jobs WHERE number = ?", (each,)).fetchone() for each in found[: query.limit]
    ]
    cursor = str(rows[-1]["number"]) if more else None
    return Page([job_of(whole(connection, folder, row)) for row in rows], cursor)


def _parts(query: JobQuery) -> list[tuple[str, list[Any]]]:
    """Conditions of which each is answered in order by one index; together they are the query."""
    common = "number < ? AND (expires IS NULL OR expires >= ?)"
    pipeline = "" if query.pipeline is None else "+pipeline = ? AND "
    given = [] if query.pipeline is None else [query.pipeline]
    statuses = tuple(dict.fromkeys(query.status)) or STATUSES
    if query.owner is not None:
        return [(f"owner = ? AND status = ? AND {pipeline}{common}", [query.owner, each, *given]) for each in statuses]
    if query.status:
        return [(f"status = ? AND {pipeline}{common}", [each, *given]) for each in statuses]
    return [(f"{pipeline[1:]}{common}", given)]


def counts(connection: sqlite3.Connection) -> Mapping[JobStatus, int]:
    """As ``Store.counts``."""
    found = {row["status"]: row["jobs"] for row in connection.execute("SELECT status, jobs FROM tally")}
    for row in connection.execute(
        "SELECT status, count(*) AS jobs FROM jobs WHERE expires IS NOT NULL AND keyed IN (0, 1) AND expires < ? "
        "GROUP BY status",
        (time(),),
    ):
        found[row["status"]] -= row["jobs"]
    return {status: found[status] for status in STATUSES if found[status]}


def events(connection: sqlite3.Connection, folder: Path, job_id: str, after: int, limit: int) -> Sequence[JobEvent]:
    """As ``Store.read_events``."""
    rows = connection.execute(
        "SELECT job, sequence, kind, size, body FROM events WHERE job = (SELECT number FROM jobs WHERE id = ?) "
        "AND sequence > ? ORDER BY sequence LIMIT ?",
        (job_id, after, limit),
    ).fetchall()
    found = []
    for row in rows:
        body = row["body"]
        if row["size"] > IN_TABLE:
            body = read_named(folder, connection, row["job"], [name := f"event:{row['sequence']}"]).get(name)
        if body is not None:
            found.append(JobEvent(row["sequence"], row["kind"], body))
    return found


def steps(connection: sqlite3.Connection, folder: Path, lease: Lease) -> Mapping[str, bytes]:
    """As ``Store.read_steps``."""
    row = connection.execute(
        "SELECT number FROM jobs WHERE id = ? AND fence = ? AND worker IS NOT NULL",
        (lease.job.id, lease.fence),
    ).fetchone()
    if row is None:
        return {}
    found = read(folder, connection, row["number"], "step:")
    return {name.removeprefix("step:"): output for name, output in found.items()}


def lease_states(connection: sqlite3.Connection, leases: Sequence[Lease]) -> Sequence[LeaseState]:
    """As ``Store.heartbeat``: nobody takes the leases of a process that lives, so nothing is written."""
    found: list[LeaseState] = []
    for lease in leases:
        row = connection.execute(
            "SELECT cancel_requested FROM jobs WHERE id = ? AND fence = ? AND worker IS NOT NULL",
            (lease.job.id, lease.fence),
        ).fetchone()
        found.append("lost" if row is None else "cancel" if row["cancel_requested"] else "held")
    return found


def changes_of(connection: sqlite3.Connection, job_ids: Sequence[str]) -> Mapping[str, Change]:
    """What is to be told to those who wait for these jobs."""
    found = dict.fromkeys(job_ids, Change(0, True))
    for begin in range(0, len(job_ids), PARAMETERS):
        part = job_ids[begin : begin + PARAMETERS]
        marks = ", ".join("?" * len(part))
        for row in connection.execute(
            f"SELECT id, status, last_event FROM jobs WHERE id IN ({marks})",  # noqa: S608 - question marks
            tuple(part),
        ):
            found[row["id"]] = Change(row["last_event"], row["status"] in ENDED)
    return found


class Ready(NamedTuple):
    """Whether there is work.

    Attributes:
        came: How often a job has come that can be claimed.
        due: When the next delayed one can be.
    """

    came: int
    due: float | None


def ready(connection: sqlite3.Connection, told: float) -> Ready:
    """As it is now; of the delayed ones those that were due by ``told`` are left out."""
    [came] = connection.execute("SELECT jobs FROM tally WHERE status = ''").fetchone()
    [due] = connection.execute("SELECT min(due) FROM jobs WHERE due IS NOT NULL AND due > ?", (told,)).fetchone()
    return Ready(came, due)


def next_to_expire(connection: sqlite3.Connection) -> float | None:
    """When the next job is not begun any more that nobody has claimed."""
    found: float | None = connection.execute("SELECT min(begin_by) FROM jobs WHERE begin_by IS NOT NULL").fetchone()[0]
    return found


def workers(connection: sqlite3.Connection) -> Sequence[str]:
    """Who has leases."""
    return [row["worker"] for row in connection.execute("SELECT DISTINCT worker FROM jobs WHERE worker IS NOT NULL")]
