"""What came of a run, as its job's record has it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from time import time
from typing import NamedTuple

from ..errors import PipemountError, RunCancelledError, RunError, ValueLostError
from ..runtime.events import TERMINAL, Event, EventKind
from .encoding import SHUTDOWN, cancelled_data, cancelled_members, encode, ending, error_members
from .models import Job, JobEvent, JobRequest, Outcome

__all__ = ["Performed", "as_asked_for", "outcome_of", "outcome_of_lost"]

logger = logging.getLogger("pipemount")


class Performed(NamedTuple):
    """What a run gave.

    Attributes:
        result: JSON.
        execution_time: Seconds.
        run_index: The how-manieth run of its pipeline in this process.
        run_name: For people.
    """

    result: bytes
    execution_time: float
    run_index: int
    run_name: str | None


def outcome_of(
    job: Job, run: asyncio.Future[Performed], reason: str | None, last: Event | None
) -> tuple[Outcome, JobEvent]:
    """How a run that is done ended, and the event that says so.

    Args:
        job: Whose run it is.
        run: The run; done.
        reason: Why it was cancelled, if it was.
        last: The last of its events.
    """
    error = asyncio.CancelledError() if run.cancelled() else run.exception()
    if error is None:
        performed = run.result()
        outcome = Outcome(status="succeeded", **performed._asdict())
        return outcome, ending(_terminal(job, last, "run_completed"), performed.result)
    if reason is not None or isinstance(error, asyncio.CancelledError | RunCancelledError):
        why = reason or str(error) or SHUTDOWN
        event = replace(_terminal(job, last, "run_cancelled"), data=cancelled_data(job.id, why))
        return Outcome(status="cancelled", reason=why, error=cancelled_members(job.id, why)), encode(event)
    return _failure(job, error, last)


def outcome_of_lost(job: Job, error: ValueLostError) -> tuple[Outcome, list[JobEvent]]:
    """How a job ends that cannot be begun, and the event that says so."""
    members = {**error_members(error), "run_id": job.id}
    kind: EventKind = "run_failed"
    data = {"error": members["detail"], "code": members["code"], "step": None}
    last = encode(Event(kind, job.last_event + 1, job.id, time(), data=data))
    return Outcome(status="failed", error=members), [last]


def _failure(job: Job, error: BaseException, last: Event | None) -> tuple[Outcome, JobEvent]:
    _log(job, error)
    if isinstance(error, RunError):
        error.run_id = job.id
    members = error_members(error)
    event = _terminal(job, last, "run_failed")
    if not event.data:
        data = {"error": members["detail"], "code": members["code"], "step": members.get("step")}
        event = replace(event, data=data)
    return Outcome(status="failed", error=members), encode(event)


def _terminal(job: Job, last: Event | None, kind: EventKind) -> Event:
    """The event that the run ended with, or one that it would have ended with."""
    if last is not None and last.kind in TERMINAL:
        return replace(last, kind=kind)
    sequence = job.last_event + 1 if last is None else last.sequence + 1
    return Event(kind, sequence, job.id, time())


def _log(job: Job, error: BaseException) -> None:
    """As of a run whose caller waits: whole where it is the app's fault, else only what its caller is told."""
    if isinstance(error, PipemountError) and error.status < 500:
        logger.info("job %s failed with %d: %r", job.id, error.status, str(error))
    else:
        logger.error("job %s failed: %s", job.id, error, exc_info=error)


def as_asked_for(job: Job) -> JobRequest:
    """What a job was asked for with. Raises ``ValueLostError`` where that is lost, which records have as null."""
    for name, value in (("inputs", job.request.inputs), ("overrides", job.request.overrides)):
        if value == b"null":
            raise ValueLostError(name=name, why="what was asked for is not there any more; submit it anew")
    return job.request
