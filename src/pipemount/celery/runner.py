"""The runner of apps whose jobs Celery carries to its workers."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from functools import partial
from time import monotonic

from ..jobs.carried import CarriedRunner
from ..jobs.models import JobQuery
from ..runtime.stragglers import Stragglers
from .carrier import CeleryCarrier

__all__ = ["CeleryRunner"]

logger = logging.getLogger("pipemount")

CANCELLING = JobQuery(status=("cancelling",), limit=200)


class CeleryRunner(CarriedRunner[CeleryCarrier]):
    """Has jobs carried by Celery, which can end the process of one that does not heed its cancel.

    Attributes:
        may_end: Whether this process performs one job at a time, and another one takes its place when it ends.
    """

    engine = "Celery carries the jobs of this app: start a worker of Celery, celery -A … worker"
    may_end = False

    async def start(self) -> None:
        self._cancelling: dict[str, float] = {}
        await super().start()

    async def until_gone(self, stragglers: Stragglers) -> None:
        grace = self.carrier.grace if self.may_end else None
        try:
            async with asyncio.timeout(grace):
                await super().until_gone(stragglers)
        except TimeoutError:
            logger.warning("a function does not return, %g s after its job: this process is ended", grace)
            os.kill(os.getpid(), signal.SIGKILL)

    async def look_further(self) -> None:
        """Have the processes ended of jobs that were cancelled ``grace`` seconds ago."""
        if (grace := self.carrier.grace) is None:
            return
        jobs = (await self._store.list(CANCELLING)).jobs
        now, before = monotonic(), self._cancelling
        self._cancelling = {job.id: before.get(job.id, now) for job in jobs}
        for job_id, since in self._cancelling.items():
            if since <= now - grace:
                logger.warning("job %s was cancelled, and does not end: its process is ended", job_id)
                self.sender.post(job_id, partial(self.carrier.end, job_id))
                self._cancelling[job_id] = now  # again, if need be, after as long a time
