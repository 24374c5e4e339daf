"""The verbs where the app does not run: a command looks into its store, and leaves the work to those who do it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ..errors import ConfigurationError
from .desk import Jobs
from .models import Job

__all__ = ["visiting"]


class Nobody:
    """A runner that performs nothing: those of other processes find in the store what there is to do."""

    def __init__(self) -> None:
        self.undecided: dict[str, asyncio.Future[None]] = {}

    async def start(self) -> None:
        """Nothing begins."""

    async def dispatch(self, job: Job) -> None:
        """It waits in the store until somebody claims it."""

    async def refuse(self, job: Job) -> bool:
        """What the store has taken is not given back."""
        return False

    async def revoke(self, job_id: str, reason: str) -> None:
        """Who performs it reads the wish in the store."""

    def leave_line(self) -> None:
        """Nobody stands in one."""

    async def drain(self, reason: str) -> None:
        """Nothing goes on."""

    async def stop(self, reason: str) -> None:
        """Nothing goes on."""


@asynccontextmanager
async def visiting(jobs: Jobs) -> AsyncIterator[Jobs]:
    """The verbs over the store of an app that does not run in this process: nothing is started, nothing performed.

    Args:
        jobs: Of the app.

    Raises:
        ConfigurationError: Its jobs are in the memory of the processes that run it.
        StoreError: The store cannot be opened.
    """
    if not jobs.store.durable:
        raise ConfigurationError(
            "the jobs of this app are in the memory of the processes that serve it; "
            "PipelineApp(…, jobs=Local('sqlite:///jobs.db')) keeps them where all can look"
        )
    await jobs.store.open()
    try:
        yield Jobs(jobs.store, Nobody(), jobs.fingerprints)
    finally:
        await jobs.store.close()
