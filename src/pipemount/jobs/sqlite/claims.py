"""Jobs that are claimed: which ones, and whose they are then."""

from __future__ import annotations

from time import time

from ..models import Claim, Lease
from ..sql.rows import job_of
from .reading import whole
from .transaction import Transaction

__all__ = ["claim", "claim_job"]


def claim(transaction: Transaction, claim: Claim) -> list[Lease]:
    """As ``Store.claim``."""
    now = time()
    transaction.run("UPDATE jobs SET due = NULL WHERE due <= ?", (now,))
    found: list[tuple[int, int, int]] = []
    marks = ", ".join("?" * len(claim.but_of))
    for pipeline in dict.fromkeys(claim.pipelines):
        for queue in claim.queues or _queues(transaction, pipeline):
            rows = transaction.all(
                "SELECT -priority, number, crashes FROM jobs "  # noqa: S608 - question marks
                "WHERE status = 'queued' AND due IS NULL AND pipeline = ? AND queue = ? "
                f"AND (begin_by IS NULL OR begin_by > ?) AND owner NOT IN ({marks}) AND (crashes = 0 OR ?) "
                "ORDER BY priority DESC, number LIMIT ?",
                (pipeline, queue, now, *claim.but_of, claim.crashed != 0, claim.count),
            )
            found += [(row[0], row[1], row[2]) for row in rows]
    chosen = claim.chosen(sorted(found), lambda row: row[2] > 0)
    return [_claimed(transaction, number, claim.worker) for _, number, _ in chosen]


def _queues(transaction: Transaction, pipeline: str) -> list[str]:
    """In which jobs of a pipeline wait: one look into the index for each, however many wait in it."""
    found: list[str] = []
    row = transaction.one(f"{_QUEUE} ORDER BY queue LIMIT 1", (pipeline,))
    while row is not None:
        found.append(row[0])
        row = transaction.one(f"{_QUEUE} AND queue > ? ORDER BY queue LIMIT 1", (pipeline, found[-1]))
    return found


_QUEUE = "SELECT queue FROM jobs WHERE status = 'queued' AND due IS NULL AND pipeline = ?"


def claim_job(transaction: Transaction, job_id: str, worker: str) -> Lease | None:
    """As ``Store.claim_job``."""
    found = transaction.one(
        "SELECT number FROM jobs WHERE id = :id AND status = 'queued' AND (due IS NULL OR due <= :now) "
        "AND (begin_by IS NULL OR begin_by > :now)",
        {"id": job_id, "now": time()},
    )
    return None if found is None else _claimed(transaction, found["number"], worker)


def _claimed(transaction: Transaction, number: int, worker: str) -> Lease:
    found = transaction.one(
        "UPDATE jobs SET status = 'running', due = NULL, begin_by = NULL, worker = ?, fence = fence + 1, "
        "attempt = attempt + 1, begun = crashes = 0, started = max(created, ?) WHERE number = ? RETURNING *",
        (worker, time(), number),
    )
    assert found is not None  # noqa: S101 - it was found in this transaction
    return Lease(job_of(whole(transaction.connection, transaction.payloads.folder, found)), found["fence"])
