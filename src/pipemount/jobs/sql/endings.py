"""How jobs end that no run ends: cancelled, not begun in time, or after their workers were lost too often."""

from __future__ import annotations

from time import time

from ...errors import JobExpiredError, RunError, WorkerLostError
from ...runtime.events import Event, EventKind
from ..encoding import cancelled, cancelled_members, encode, error_members
from ..models import JobEvent, Outcome

__all__ = ["CRASHES", "cancelled_ending", "expired_ending", "lost_ending"]

CRASHES = 3
"""So many workers may come to their end with a job that keeps nothing new meanwhile; then it is the job's fault."""


def cancelled_ending(job_id: str, last_event: int, reason: str) -> tuple[Outcome, JobEvent]:
    """Of a job that was cancelled while nobody performed it."""
    outcome = Outcome(status="cancelled", reason=reason, error=cancelled_members(job_id, reason))
    return outcome, cancelled(job_id, last_event + 1, reason)


def lost_ending(job_id: str, last_event: int, crashes: int) -> tuple[Outcome, JobEvent]:
    """Of a job whose workers did not survive it."""
    return _failed(WorkerLostError(crashes=crashes), job_id, last_event)


def expired_ending(job_id: str, last_event: int, expires: float | None) -> tuple[Outcome, JobEvent]:
    """Of a job that was not begun in the seconds that it had."""
    return _failed(JobExpiredError(expires=expires or 0.0), job_id, last_event)


def _failed(error: RunError, job_id: str, last_event: int) -> tuple[Outcome, JobEvent]:
    error.run_id = job_id
    members = error_members(error)
    kind: EventKind = "run_failed"
    data = {"error": members["detail"], "code": members["code"], "step": None}
    return Outcome(status="failed", error=members), encode(Event(kind, last_event + 1, job_id, time(), data=data))
