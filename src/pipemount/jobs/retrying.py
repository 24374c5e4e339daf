"""Whether a run that failed is tried again, and when."""

from __future__ import annotations

import asyncio
from random import random
from time import time

from ..errors import DefinitionError, PipemountError, RunCancelledError, UnsupportedError
from ..errors.problems import code_of
from ..runtime.events import Event
from ..settings import Settings
from .encoding import encode
from .models import Job, JobEvent
from .outcomes import Performed

__all__ = ["pause_before_retry", "retrying"]


def pause_before_retry(job: Job, error: BaseException, settings: Settings) -> float | None:
    """Seconds until the next attempt; ``None`` where there is none.

    The first one comes ``job_retry_delay`` after the failure, each further one after twice the time, up to
    ``max_job_retry_delay``; half of it is left to chance, so that what failed together does not come back together.
    """
    begun = job.attempt - job.crashes
    if begun >= job.request.max_attempts or not _may_pass(error):
        return None
    doubled = min(settings.max_job_retry_delay, settings.job_retry_delay * 2.0 ** min(begun - 1, 60))
    return doubled * (1 + random()) / 2  # noqa: S311  no secret


def _may_pass(error: BaseException) -> bool:
    """Whether another attempt may do better: what a caller would be told is no fault of the request (5xx)."""
    if isinstance(error, asyncio.CancelledError | RunCancelledError | DefinitionError | UnsupportedError):
        return False
    return not isinstance(error, PipemountError) or error.status >= 500


def retrying(job: Job, error: BaseException, last: Event | None, pause: float) -> JobEvent:
    """The event that stands in the place of the one that would have ended the run."""
    sequence = (job.last_event if last is None else last.sequence) + (last is None or last.kind != "run_failed")
    known = error if isinstance(error, PipemountError) else PipemountError("an unexpected error; see the log")
    data = {
        "attempt": job.attempt,
        "delay": round(pause, 3),
        "error": str(known),
        "code": code_of(known),
        "step": getattr(known, "step", None),
    }
    return encode(Event("run_retrying", sequence, job.id, time(), data=data))


def failure_of(run: asyncio.Future[Performed]) -> BaseException | None:
    """What a run that is done raised, or ``None``."""
    return asyncio.CancelledError() if run.cancelled() else run.exception()
