"""What need not be kept any longer: jobs that are old, or too many, or have too much in them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from time import time

from .transaction import Change, Transaction

__all__ = ["drop", "forget_old", "make_room", "vacuum"]

AT_ONCE = 500
"""Jobs that one transaction forgets."""

PAGES = 2000
"""Of the file, that are given back to the disk at once."""


def make_room(transaction: Transaction, room: int = 0) -> bool:
    """Forget ended jobs, the oldest first, those with a key last, until no limit is passed; whether that was possible.

    Args:
        transaction: In which it is done.
        room: Bytes that are to come.
    """
    settings = transaction.settings
    ended, size = _tally(transaction)
    victims: Iterator[sqlite3.Row] | None = None
    while ended > settings.max_jobs or size + room > settings.max_job_bytes:
        victims = _victims(transaction) if victims is None else victims
        if (victim := next(victims, None)) is None:
            return not size or size + room <= settings.max_job_bytes
        size -= victim["size"]
        ended -= 1
        drop(transaction, victim)
    return True


def _tally(transaction: Transaction) -> tuple[int, int]:
    """How many have ended, and what all take."""
    row = transaction.one(
        "SELECT total(jobs) FILTER (WHERE status IN ('succeeded', 'failed', 'cancelled')), total(bytes) FROM tally"
    )
    assert row is not None  # noqa: S101 - an aggregate has a row
    return int(row[0]), int(row[1])


def _victims(transaction: Transaction) -> Iterator[sqlite3.Row]:
    """Ended jobs that nobody here waits for; some at a time, for they are dropped meanwhile."""
    skipped = 0
    while rows := transaction.all(
        "SELECT number, id, size FROM jobs WHERE expires IS NOT NULL ORDER BY keyed, expires, number LIMIT 16 OFFSET ?",
        (skipped,),
    ):
        for row in rows:
            if row["id"] in transaction.awaited:
                skipped += 1
            else:
                yield row


def drop(transaction: Transaction, row: sqlite3.Row) -> None:
    """Forget a job, its events and its key."""
    number = (row["number"],)
    transaction.payloads.drop_all(transaction.connection, row["number"])
    transaction.run("DELETE FROM events WHERE job = ?", number)
    transaction.run("DELETE FROM keys WHERE job = ?", number)
    transaction.run("DELETE FROM jobs WHERE number = ?", number)
    transaction.changes[row["id"]] = Change(0, True)


def forget_old(transaction: Transaction) -> bool:
    """Forget some of those whose time is over; whether there are more."""
    rows = transaction.all(
        "SELECT number, id FROM jobs WHERE expires IS NOT NULL AND keyed IN (0, 1) AND expires < ? LIMIT ?",
        (time(), AT_ONCE),
    )
    for row in rows:
        drop(transaction, row)
    return len(rows) == AT_ONCE


def vacuum(transaction: Transaction) -> None:
    """Give pages that nothing is in back to the disk."""
    transaction.connection.execute(f"PRAGMA incremental_vacuum({PAGES})").fetchall()
