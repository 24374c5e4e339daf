"""What a client hands out: frozen values, made from the server's JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from ..errors import ForeignAnswerError
from ..jobs.models import ENDED, JobStatus

__all__ = ["Job", "Result", "as_job"]

R_co = TypeVar("R_co", covariant=True)

STATUSES = frozenset({"queued", "running", "suspended", "cancelling", *ENDED})


@dataclass(frozen=True, slots=True)
class Result(Generic[R_co]):
    """What a run gave.

    Attributes:
        value: In the shape of the pipeline's return statement, if the client was given the pipeline; else ``outputs``.
        outputs: The same by output name: values of the declared types, if the client was given the pipeline; else JSON.
        run_id: A UUID.
        run_name: For people.
        execution_time: Seconds that the run took.
        document: The answer as it came.
    """

    value: R_co
    outputs: Mapping[str, Any]
    run_id: str
    run_name: str
    execution_time: float
    document: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Job:
    """A job, as it was when the server was asked. ``client.job(job.id)`` asks again.

    Attributes:
        id: Its UUID, which is its run's as well.
        status: ``queued``, ``running``, ``suspended``, ``cancelling``, ``succeeded``, ``failed`` or ``cancelled``.
        pipeline: Its name in the app, where the answer tells.
        created: When it was accepted.
        started: When its run began.
        finished: When it ended.
        document: The answer as it came.
    """

    id: str
    status: JobStatus
    pipeline: str | None = None
    created: datetime | None = None
    started: datetime | None = None
    finished: datetime | None = None
    document: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def ended(self) -> bool:
        """Whether it will not change any more."""
        return self.status in ENDED


def as_job(document: object) -> Job:
    """The job in an answer. Raises ``ForeignAnswerError``."""
    told = document if isinstance(document, Mapping) else {}
    id, status = told.get("job_id"), told.get("status")
    if not isinstance(id, str) or status not in STATUSES:
        raise ForeignAnswerError("the answer tells of no job; is the app of another version?", status=200)
    pipeline = told.get("pipeline")
    created, started, finished = (_time(told.get(name)) for name in ("created_at", "started_at", "finished_at"))
    return Job(id, status, pipeline if isinstance(pipeline, str) else None, created, started, finished, told)


def _time(told: object) -> datetime | None:
    try:
        return datetime.fromisoformat(told) if isinstance(told, str) else None
    except ValueError:
        return None
