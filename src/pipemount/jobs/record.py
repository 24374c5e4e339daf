"""A job in memory, and what its store knows of it beside that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from time import time
from typing import Any

from .handed import NEVER
from .log import Log
from .models import Job, JobRequest, JobStatus, Lease, Outcome, expiry_of

__all__ = ["Record"]

OVERHEAD = 2048
"""What a record takes beside what it holds, in bytes."""


class Record:
    """A job, and what the store knows of it beside that."""

    __slots__ = ("begun", "fence", "handed", "job", "log", "number", "outlived", "steps", "worker")

    def __init__(self, request: JobRequest, number: int, log: Log) -> None:
        now = time()
        expires_at = expiry_of(request, now)
        self.job = Job(request=request, status="queued", created=now, run_at=request.run_at, expires_at=expires_at)
        self.number, self.log, self.fence, self.outlived = number, log, 0, 0
        self.handed = NEVER
        self.worker: str | None = None
        self.begun = True
        self.steps: dict[str, bytes] = {}

    @property
    def seen(self) -> Job:
        """The job as it is now."""
        return replace(self.job, last_event=self.log.last, first_event=self.log.first)

    @property
    def keyed(self) -> bool:
        """Whether the result is kept for those who ask again."""
        return self.job.request.idempotency is not None

    @property
    def size(self) -> int:
        """Bytes that it takes, roughly."""
        request = self.job.request
        own = 0 if request.parameters is request.inputs else len(request.parameters)
        kept = sum(map(len, self.steps.values()))
        return OVERHEAD + len(request.inputs) + own + len(self.job.result or b"") + kept + self.log.size

    @property
    def due(self) -> bool:
        """Whether it can be claimed."""
        job, now = self.job, time()
        return job.status == "queued" and (job.run_at is None or job.run_at <= now) and not self.late(now)

    def late(self, now: float) -> bool:
        """Whether it was not claimed in the time that it had."""
        return self.job.expires_at is not None and self.job.expires_at <= now

    def claim(self, worker: str) -> Lease:
        """It is this worker's now; one that crashed before is begun when it is handed over."""
        self.fence += 1
        self.begun = not self.job.crashes
        self._become("running", worker, started=time(), attempt=self.job.attempt + 1, expires_at=None)
        return Lease(self.seen, self.fence)

    def wait_again(self, run_at: float | None, *, counts: bool) -> None:
        """It is nobody's; ``counts``: so does the attempt that is over."""
        self._become("queued", None, run_at=run_at, attempt=self.job.attempt - (not counts))

    def suspend(self, question: Mapping[str, Any]) -> None:
        """It asks something."""
        self._become("suspended", None, question=question)

    def resume(self) -> None:
        """It has its answer, and the attempt that asked goes on."""
        self._become("queued", None, run_at=None, question=None, attempt=self.job.attempt - 1)

    def _become(self, status: JobStatus, worker: str | None, **changes: Any) -> None:
        self.worker = worker
        self.job = replace(self.job, status=status, **changes)

    def end(self, outcome: Outcome) -> None:
        """What came of the job. The host's user object is let go: nothing asks for it any more."""
        request = self.job.request
        if request.principal is not None and request.principal.user is not None:
            request = replace(request, principal=replace(request.principal, user=None))
        self.worker = None
        self.steps = {}
        self.job = replace(
            self.job,
            request=request,
            status=outcome.status,
            finished=max(time(), self.job.started or self.job.created),
            result=outcome.result,
            execution_time=outcome.execution_time,
            run_index=outcome.run_index,
            run_name=outcome.run_name,
            error=outcome.error,
            reason=outcome.reason,
            question=None,
            expires_at=None,
        )
