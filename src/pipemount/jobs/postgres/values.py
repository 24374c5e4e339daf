"""What statements are told of leases, events and endings."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from ..models import JobEvent, Lease, Outcome
from ..sql.pruning import Tally, added, first_after
from ..sql.rows import job_of, outcome_row

__all__ = ["columns", "ending", "grown_by", "lease_of", "new_mark", "of"]


def lease_of(row: Mapping[str, Any]) -> Lease:
    """The lease that a row holds."""
    return Lease(job_of(row), row["fence"])


def of(lease: Lease) -> Mapping[str, Any]:
    """Whose job it is."""
    return {"id": lease.job.id, "fence": lease.fence}


def grown_by(events: Sequence[JobEvent]) -> dict[str, int]:
    """What a job's log grows by."""
    tally = added(Tally(), events)
    last = max((event.sequence for event in events), default=0)
    return {**tally._asdict(), "last": last, "first": first_after(1, events), "grown": tally.size}


def columns(events: Sequence[JobEvent]) -> dict[str, list[Any]]:
    """As columns, one row to an event."""
    return {
        "sequences": [event.sequence for event in events],
        "kinds": [event.kind for event in events],
        "bodies": [event.body for event in events],
    }


def ending(lease: Lease, outcome: Outcome, events: Sequence[JobEvent], crashed: bool = False) -> dict[str, Any]:
    """What is told of a job that ends, but for its events."""
    grown = grown_by(events)
    grown["grown"] += len(outcome.result or b"")
    return {**of(lease), **outcome_row(outcome), "crashed": int(crashed), "mark": new_mark(), **grown}


def new_mark() -> int:
    """What tells a statement that it was carried out before, though nobody heard."""
    return secrets.randbits(62) + 1
