"""Our jobs: submitted by one process, performed by two workers."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from pipemount import Local, PipelineApp, Settings, pipeline, step
from queues.body import do

__all__ = ["Client", "app", "workers"]

SETTINGS = Settings(max_jobs=1_000_000, max_job_bytes=2**34)


@step
async def work(number: int) -> int:
    """One step."""
    return do(number)


@pipeline
def job(number: int) -> int:
    """Of one step."""
    return work(number)


def app(url: str) -> Any:
    """With the jobs there; only workers perform them."""
    return PipelineApp(job, settings=SETTINGS, jobs=Local(url, runner="external"))


def workers(module: str) -> list[list[str]]:
    """Two of them."""
    return [["-m", "pipemount.cli", "worker", f"queues.{module}:pipelines"]] * 2


class Client:
    """Submits from the process that the app is in."""

    def __init__(self, pipelines: Any) -> None:
        self._app = pipelines
        self._stack = contextlib.AsyncExitStack()

    async def open(self) -> None:
        """The app starts."""
        await self._stack.enter_async_context(self._app.lifespan(None))

    async def close(self) -> None:
        """The app stops."""
        await self._stack.aclose()

    async def submit(self, number: int) -> str:
        """The job's id: it is on the disk."""
        accepted = await self._app.submit(number=number)
        return str(accepted.id)

    async def first_event(self, job_id: str) -> None:
        """Return when the job's first event can be read in this process."""
        reader = await self._app.jobs.subscribe(job_id, None)
        while not await reader.next(1.0):
            pass

    async def ended(self) -> int:
        """How many jobs have their outcome on the disk."""
        counts = await self._app.jobs.counts()
        if counts["failed"]:
            raise ValueError(f"{counts['failed']} jobs failed")
        await asyncio.sleep(0.01)
        return int(counts["succeeded"])
