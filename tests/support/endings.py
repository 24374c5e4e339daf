"""Jobs in tests, to their end."""

from __future__ import annotations

from pipemount import PipelineApp
from pipemount.jobs.models import Job

__all__ = ["until_ended"]


def until_ended(app: PipelineApp, job: Job) -> Job:
    """The record when the job has ended, which its events tell."""
    asking = app.calling(principal=job.request.principal)
    [*_, last] = asking.events_sync(job)
    assert last.kind in ("run_completed", "run_failed", "run_cancelled")
    return asking.get_sync(job)
