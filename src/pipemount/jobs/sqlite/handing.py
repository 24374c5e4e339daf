"""Queued jobs for what carries them to workers and may lose them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from time import time

from ..handed import Handed
from ..models import Job
from ..sql.rows import job_of
from .reading import whole
from .transaction import Transaction

__all__ = ["any_unclaimed", "unclaimed"]

_UNCLAIMED = """
    FROM jobs WHERE status = 'queued' AND (due IS NULL OR due <= :now) AND (begin_by IS NULL OR begin_by > :now) AND
    CASE
        WHEN handed_fence = fence THEN handed_again
        WHEN fence = 0 AND run_at IS NULL THEN created + :patience
        ELSE 0
    END <= :now
"""
"""As ``Handed.due`` has it."""


def any_unclaimed(connection: sqlite3.Connection, patience: float) -> bool:
    """Whether there is one: most often there is none, and nothing need be written."""
    known = {"now": time(), "patience": patience}
    [found] = connection.execute(f"SELECT EXISTS (SELECT 1 {_UNCLAIMED})", known).fetchone()
    return bool(found)


def unclaimed(transaction: Transaction, patience: float, limit: int) -> Sequence[Job]:
    """As ``Store.unclaimed``."""
    now = time()
    rows = transaction.connection.execute(
        f"SELECT * {_UNCLAIMED} ORDER BY number LIMIT :limit",
        {"now": now, "patience": patience, "limit": limit},
    ).fetchall()
    for row in rows:
        before = Handed(row["handed_fence"], row["handed_again"], row["handed_pause"])
        fence, again, pause = before.once_more(row["fence"], now, patience)
        columns = {"handed_fence": fence, "handed_again": again, "handed_pause": pause}
        transaction.update(row["number"], columns)
    folder = transaction.payloads.folder
    return [job_of(whole(transaction.connection, folder, row)) for row in rows]
