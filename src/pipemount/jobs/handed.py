"""When a queued job is given once more to what carries jobs to workers and may lose them."""

from __future__ import annotations

from typing import NamedTuple

from .models import Job

__all__ = ["LONGEST", "NEVER", "Handed"]

LONGEST = 600.0
"""Seconds after which a job that still waits is given again at the latest."""


class Handed(NamedTuple):
    """That a job was given, as the store keeps it with the job.

    Attributes:
        fence: The job's, then: a greater one, and somebody has come for it since.
        again: Not to be given again before, in seconds since the epoch.
        pause: From when it was given until then, in seconds.
    """

    fence: int
    again: float
    pause: float

    def due(self, job: Job, fence: int, patience: float) -> float:
        """When ``job``, which is queued, is to be given, in seconds since the epoch."""
        if self.fence == fence:
            return self.again
        told_at_once = fence == 0 and job.request.run_at is None
        return job.created + patience if told_at_once else 0.0

    def once_more(self, fence: int, now: float, patience: float) -> Handed:
        """As it is when the job is given now."""
        pause = min(LONGEST, 2 * (self.pause if self.fence == fence else patience))
        return Handed(fence, now + pause, pause)


NEVER = Handed(-1, 0.0, 0.0)
"""Of a job that was not given yet."""
