"""Jobs as tests of stores ask for them, and what they look at."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from ...jobs.encoding import encode
from ...jobs.models import Claim, Idempotency, Job, JobEvent, JobQuery, JobRequest, Lease, Outcome
from ...jobs.store import Store
from ...runtime.events import Event, EventKind
from ...service import new_run_id
from ...types import Principal

__all__ = [
    "ADA",
    "BOB",
    "DONE",
    "FAILED",
    "FAR",
    "ONLY_ONCE",
    "Open",
    "again",
    "asked",
    "claimed",
    "ended",
    "event",
    "found",
    "gone",
    "ids",
    "keyed",
    "leased",
    "read",
    "submitted",
]

ADA = Principal("ada", frozenset({"invoke", "read"}))
BOB = Principal("bob", frozenset({"invoke"}), source="django")
DONE = Outcome(status="succeeded", result=b'{"output":1}', execution_time=0.5, run_index=7, run_name="morning")
FAILED = Outcome(status="failed", error={"status": 500, "code": "step-failed", "detail": "no"})
ONLY_ONCE = "there is one lease of a job"
FAR = 3600.0

Open = Callable[..., Awaitable[Store]]
"""Opens a store with the settings that it is given."""


def asked(**options: Any) -> JobRequest:
    """A request, and what of it is another."""
    return JobRequest(**{"job_id": new_run_id(), "pipeline": "sum", "fingerprint": "f", "inputs": b'{"a":1}'} | options)


def keyed(key: str = "k", digest: str = "d", scope: str = "ada", **options: Any) -> JobRequest:
    """A request with a key."""
    return asked(idempotency=Idempotency(scope, key, digest), **options)


def event(sequence: int, kind: EventKind = "delta", **data: Any) -> JobEvent:
    """As a run tells it."""
    return encode(Event(kind, sequence, "run", 1.0, data=data))


async def submitted(store: Store, **options: Any) -> Job:
    """A job that waits."""
    return (await store.submit(asked(**options))).job


async def leased(store: Store, **options: Any) -> Lease:
    """A job that ``"w"`` performs."""
    lease = await store.claim_job((await submitted(store, **options)).id, "w")
    assert lease is not None
    return lease


async def ended(store: Store, outcome: Outcome = DONE, **options: Any) -> str:
    """A job that has come to its end; its id."""
    lease = await leased(store, **options)
    await store.finish(lease, outcome, [event(1, "run_completed")])
    return lease.job.id


async def found(store: Store, job_id: str) -> Job:
    """The record of a job that is there."""
    job = await store.get(job_id)
    assert job is not None
    return job


async def read(store: Store, job_id: str, after: int = 0, limit: int = 1000) -> list[int]:
    """The numbers of a job's events."""
    return [event.sequence for event in await store.read_events(job_id, after, limit)]


async def ids(store: Store, **query: Any) -> list[str]:
    """The jobs that a query finds."""
    return [job.id for job in (await store.list(JobQuery(**query))).jobs]


async def gone(store: Store, job_id: str) -> None:
    """Return when the job is forgotten."""
    async with asyncio.timeout(30):
        while await store.get(job_id) is not None:
            await asyncio.sleep(0.005)


async def claimed(store: Store, count: int = 9, queues: tuple[str, ...] = ()) -> list[str]:
    """The jobs that ``"w"`` is given."""
    return [lease.job.id for lease in await store.claim(Claim("w", ["sum"], count, queues))]


async def again(store: Store, lease: Lease) -> Lease:
    """The job's next lease."""
    later = await store.claim_job(lease.job.id, "v")
    assert later is not None
    return later
