"""The jobs of what is mounted, for the management command and the admin: asked by the team, which sees all of them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import TypeVar

from ..errors import NotFoundError, PipemountError
from ..http.application import Application
from ..jobs.desk import Jobs
from ..jobs.models import Job, JobEvent, owner_of
from ..jobs.visiting import visiting

__all__ = ["find_job", "lasted", "moment", "owner", "reached", "runs_here", "visited", "written"]

T = TypeVar("T")

UNAVAILABLE = 503
"""The status of an app that cannot be asked, as its store is away."""

PAGE = 200
"""Events that are read at once."""


def reached(app: Application, verb: Callable[[Jobs], Awaitable[T]]) -> T:
    """What ``verb`` gives: asked of the app if it runs in this process, else of its store alone.

    Raises:
        ConfigurationError: It does not run here, and its jobs are in the memory of those processes where it does.
    """
    if runs_here(app):
        return app.lifecycle.call_sync(lambda: verb(app.jobs))
    return asyncio.run(visited(app, verb))


def runs_here(app: Application) -> bool:
    """Whether this process has started it."""
    return app.lifecycle.ready and app.lifecycle.pid == os.getpid()


async def visited(app: Application, verb: Callable[[Jobs], Awaitable[T]]) -> T:
    """The same of an app that does not run in this process."""
    async with visiting(app.jobs) as jobs:
        return await verb(jobs)


def find_job(apps: Mapping[str, Application], look: Callable[[Application], T]) -> tuple[Application, T]:
    """The app that has the job which ``look`` looks for, and what it gives.

    Raises:
        NotFoundError: None has it.
        PipemountError: What ``look`` raises; also where the job may be in an app that cannot be asked, and in no other.
    """
    missing: NotFoundError | None = None
    away: PipemountError | None = None
    for app in apps.values():
        try:
            return app, look(app)
        except NotFoundError as error:
            missing = error
        except PipemountError as error:
            if error.status != UNAVAILABLE:
                raise
            away = away or error
    raise away or missing or NotFoundError("no pipelines are mounted here")


async def written(jobs: Jobs, job: Job, after: int = 0) -> list[JobEvent]:
    """The events of a job so far, behind number ``after``; those that are not kept any more are left out."""
    found: list[JobEvent] = []
    while page := await jobs.store.read_events(job.id, after, PAGE):
        found += page
        after = page[-1].sequence
    return found


def owner(job: Job) -> str:
    """Whose it is, for people."""
    return owner_of(job.request.principal) or ""


def moment(seconds: float | None) -> datetime | None:
    """A time of a job's record as Django takes it."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def lasted(job: Job) -> str:
    """Seconds between its start and its end."""
    return "" if job.started is None or job.finished is None else f"{job.finished - job.started:.3f}"
