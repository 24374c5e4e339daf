"""A job that a process has taken on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..runtime.checkpoints import Checkpoints
from ..runtime.stragglers import Stragglers
from .models import Job, Lease
from .outcomes import Performed

__all__ = ["Work", "prefer"]


class Work:
    """A job that this process has taken on: it stands in line, or is performed.

    Attributes:
        job: As it was when it was submitted, or claimed.
        lease: Once it is claimed.
        stopping: Called before the run is cancelled, for whom a cancellation does not reach: threads.
        reason: Why it is cancelled, once it is.
        cut_short: Whether this process lets go of it, for another attempt.
        checkpoints: What its run keeps, and what earlier attempts have kept, where jobs outlive the process.
        stragglers: Functions of it that still run in threads when it has ended, if there are any.
        task: Sees to it.
    """

    def __init__(self, job: Job, lease: Lease | None = None) -> None:
        self.job, self.lease = job, lease
        self.stopping: Callable[[], None] | None = None
        self.reason: str | None = None
        self.cut_short = False
        self.checkpoints: Checkpoints | None = None
        self.stragglers: Stragglers | None = None
        self.task: asyncio.Task[None] | None = None
        self._run: asyncio.Future[Performed] | None = None
        self._placed = False

    def placed(self) -> None:
        """It stands in line no more."""
        self._placed = True

    def runs(self, run: asyncio.Future[Performed]) -> None:
        """It is performed; if it was let go just now, not for long."""
        self._run = run
        if self.let_go:
            run.cancel()

    @property
    def waits(self) -> bool:
        """Whether it has no place yet."""
        return not self._placed

    @property
    def let_go(self) -> bool:
        """Whether it was told to end."""
        return self.cut_short or self.reason is not None

    def cancel(self, reason: str) -> None:
        """Let go of it. Once: what cleans up is not cancelled again."""
        if not self.let_go:
            self.reason = reason
            self._end()

    def cut(self) -> None:
        """Let go of it, for another process, or another time."""
        if not self.let_go:
            self.cut_short = True
            self._end()

    def _end(self) -> None:
        if self.stopping is not None:
            self.stopping()
        if self._run is not None:
            self._run.cancel()
        elif self.waits and self.task is not None:  # once it has begun: before that it would end and do nothing
            self.task.get_loop().call_soon(self._leave_line)

    def _leave_line(self) -> None:
        if self.waits and self.task is not None:
            self.task.cancel()


def prefer(work: Work, works: dict[str, Work]) -> None:
    """A place came for it: of those of the same caller who wait for one like it, the most urgent job has it.

    Args:
        work: It stands in line no more.
        works: All that were taken on, by their jobs' ids; brought up to date.
    """
    request = work.job.request
    for other in list(works.values()):
        theirs = other.job.request
        alike = (theirs.pipeline, theirs.principal) == (request.pipeline, request.principal)
        if alike and other.waits and other.lease is None and theirs.priority > work.job.request.priority:
            works[work.job.id], works[other.job.id] = other, work
            work.job, other.job = other.job, work.job
