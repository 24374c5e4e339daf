"""Where jobs are kept: the protocol that every store speaks. The job table is the only truth; runners are transport."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from .models import Job, JobEvent, JobQuery, JobRequest, JobStatus, Lease, Outcome, Page, Submitted

__all__ = ["Store"]


class Store(Protocol):
    """Keeps jobs, their events and their idempotency keys. All methods belong to the app's home loop.

    Whatever cannot be kept or read raises a ``StoreError``. An unknown job is ``None``, never an error: who may see
    which job is for ``Jobs`` to say.
    """

    durable: bool
    """Whether jobs survive the process."""

    def forget(self) -> None:
        """Begin from nothing, as in a forked child: what is open is the parent's. Before ``open``."""
        ...

    async def open(self) -> None:
        """The app starts. What a runtime that is no more has left behind is ended."""
        ...

    async def check(self) -> None:
        """Raise ``StoreError`` where it cannot be used at the moment: the app is not ready then. Asked often."""
        ...

    async def submit(self, request: JobRequest) -> Submitted:
        """Keep a new job, ``queued``; or find the one that an equal request made.

        Raises:
            IdempotencyMismatchError: The key came with something else before.
            OverloadedError: There is no room for it.
        """
        ...

    async def claim(self, worker: str, pipelines: Sequence[str], count: int) -> Sequence[Lease]:
        """At most ``count`` of the oldest queued jobs of these pipelines; each is ``running`` now."""
        ...

    async def claim_job(self, job_id: str, worker: str) -> Lease | None:
        """This job, if it is queued."""
        ...

    async def append(self, lease: Lease, events: Sequence[JobEvent]) -> bool:
        """Keep events, in order. ``False``: the lease is lost, and the run is to stop."""
        ...

    async def finish(self, lease: Lease, outcome: Outcome, events: Sequence[JobEvent] = ()) -> bool:
        """The job has ended, with these last events. ``False``: the lease is lost; another outcome stands."""
        ...

    async def request_cancel(self, job_id: str, reason: str) -> Literal["cancelled", "requested", "ended", "unknown"]:
        """A queued job is ``cancelled`` at once, with its last event; of a running one the wish is noted."""
        ...

    async def get(self, job_id: str) -> Job | None:
        """The record."""
        ...

    async def list(self, query: JobQuery) -> Page:
        """A page of records, the youngest first."""
        ...

    async def counts(self) -> Mapping[JobStatus, int]:
        """How many jobs have which status; those that none has are left out."""
        ...

    async def delete(self, job_id: str) -> bool:
        """Forget a job that has ended, with its events. ``False``: it has not ended, or is unknown."""
        ...

    async def read_events(self, job_id: str, after: int, limit: int) -> Sequence[JobEvent]:
        """The events behind number ``after``; those that were pruned are left out (``Job.first_event`` tells)."""
        ...

    async def wait(self, job_id: str, after: int, timeout: float) -> bool:
        """Return when the job has an event behind ``after``, or has ended, or is forgotten; ``False`` in vain."""
        ...

    async def sweep(self) -> None:
        """Forget what need not be kept any longer."""
        ...

    async def close(self) -> None:
        """The app stops. What waits returns."""
        ...
