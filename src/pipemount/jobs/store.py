"""Where jobs are kept: the protocol that every store speaks. The job table is the only truth; runners are transport."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from .models import Claim, Job, JobEvent, JobQuery, JobRequest, JobStatus, Lease, LeaseState, Outcome, Page, Submitted

__all__ = ["Store"]


class Store(Protocol):
    """Keeps jobs, their events and their idempotency keys. All methods belong to the app's home loop.

    Whatever cannot be kept or read raises a ``StoreError``. An unknown job is ``None``, never an error: who may see
    which job is for ``Jobs`` to say.
    """

    durable: bool
    """Whether jobs survive the process."""

    rescue_every: float
    """Seconds between two calls of ``rescue``; 0 where nobody can be rescued."""

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

    async def join(self, worker: str) -> None:
        """A worker begins to claim jobs under this name. While its process lives, nobody takes its leases away."""
        ...

    async def leave(self, worker: str) -> None:
        """It claims no more. Jobs that it still has wait again, each in its old place.

        No crash is counted, and no attempt: the next claim goes on with the one that was cut short.
        """
        ...

    async def claim(self, claim: Claim) -> Sequence[Lease]:
        """The jobs that it names, in their order; each is ``running`` now."""
        ...

    async def claim_job(self, job_id: str, worker: str) -> Lease | None:
        """This job, if it is queued and due."""
        ...

    async def unclaimed(self, patience: float, limit: int) -> Sequence[Job]:
        """At most ``limit`` queued jobs that are due and that nobody came for, the oldest first.

        For what carries jobs to workers and may lose them. A job is given to one caller, ``patience`` seconds after it
        was submitted, and again after twice the time whenever nobody came, up to ten minutes. One that waits for
        another attempt, or for its time, is given as soon as it is due.
        """
        ...

    async def hand_over(self, lease: Lease, worker: str) -> bool:
        """The job is this worker's now, under the same lease, and is begun. ``False``: the lease is lost.

        A job that crashed before is begun by this alone, not by a claim: what ends the process that has claimed it is
        no crash of the job until then, and its attempt does not count.
        """
        ...

    async def expire(self) -> float | None:
        """Jobs that nobody has claimed in the time that they had (``JobRequest.expires``) have failed, with an event.

        Seconds until the next one may have to; ``None`` where none waits that has such a time. A job is not claimed
        any more when its time is over, whether or not this was called; one that was claimed before has all the time
        that it takes, also when it waits for another attempt.
        """
        ...

    async def wait_for_work(self, timeout: float) -> bool:
        """Return when a job may have come that can be claimed, from whatever process; ``False`` in vain."""
        ...

    async def heartbeat(self, leases: Sequence[Lease]) -> Sequence[LeaseState]:
        """Keep these leases; what became of each, in order."""
        ...

    async def requeue(
        self,
        lease: Lease,
        run_at: float | None = None,
        events: Sequence[JobEvent] = (),
        *,
        crashed: bool = False,
        cut_short: bool = False,
    ) -> bool:
        """The job waits again, in its old place. ``False``: the lease is lost.

        Args:
            lease: Of the attempt that is over: it failed and is to be tried again, or was cut short.
            run_at: Not to be begun before, in seconds since the epoch.
            events: Its last ones.
            crashed: The process that performed it, and nothing else, came to its end: one crash more, as by
                ``rescue``, which the third one ends; it is the third since the job last kept something new.
            cut_short: An orderly stop ended the attempt, which does not count: the next claim goes on with it.
        """
        ...

    async def rescue(self) -> int:
        """How many jobs of workers that are no more wait again; those that were begun have one crash more."""
        ...

    async def save_step(self, lease: Lease, key: str, output: bytes) -> bool:
        """Keep what a step of the job gave, so that it need not run again. ``False``: the lease is lost.

        A key that nothing was kept under is progress: the crashes before it are no more the job's fault.
        """
        ...

    async def read_steps(self, lease: Lease) -> Mapping[str, bytes]:
        """What earlier attempts have kept, by key."""
        ...

    async def suspend(self, lease: Lease, question: Mapping[str, Any], events: Sequence[JobEvent] = ()) -> bool:
        """The job asks something: ``suspended`` until it is answered or cancelled, whatever process lives or dies.

        Nobody claims it, nothing rescues or forgets it. ``False``: the lease is lost. As with ``requeue``, a job whose
        cancel was requested ends as cancelled instead.

        Args:
            lease: Of the attempt that asks; the lease is over.
            question: ``Job.question`` from now on; its ``key`` says where the answer is kept.
            events: Its last ones.
        """
        ...

    async def resume(self, job_id: str, answer: bytes) -> Literal["resumed", "not-suspended", "unknown"]:
        """A suspended job has its answer, and waits again in its old place, due at once; who waits for work is told.

        In one transaction the answer is kept as ``save_step`` keeps it, under the question's ``key``, in the place of
        one that may be there; ``question`` is gone; and ``attempt`` is one less, for the next claim goes on with the
        attempt that asked. Of two answers at the same time one is taken.
        """
        ...

    async def append(self, lease: Lease, events: Sequence[JobEvent]) -> bool:
        """Keep events, in order. ``False``: the lease is lost, and the run is to stop."""
        ...

    async def finish(self, lease: Lease, outcome: Outcome, events: Sequence[JobEvent] = ()) -> bool:
        """The job has ended, with these last events. ``False``: the lease is lost; another outcome stands."""
        ...

    async def request_cancel(self, job_id: str, reason: str) -> Literal["cancelled", "requested", "ended", "unknown"]:
        """One that is queued or suspended is ``cancelled`` at once, with its last event; else the wish is noted."""
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
