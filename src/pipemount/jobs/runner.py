"""Who performs jobs: the protocol that every runner speaks. A runner is transport; what is true stands in the store."""

from __future__ import annotations

import asyncio
from typing import Protocol

from .models import Job

__all__ = ["Runner"]


class Runner(Protocol):
    """Sees that jobs are claimed and performed. All methods belong to the app's home loop."""

    undecided: dict[str, asyncio.Future[None]]
    """Jobs of which it is being decided whether they are accepted: none of them is begun before."""

    async def start(self) -> None:
        """The app starts."""
        ...

    async def dispatch(self, job: Job) -> None:
        """A job was submitted: it is claimed as soon as there is a place for it.

        Raises:
            OverloadedError: Too many wait for one.
        """
        ...

    async def refuse(self, job: Job) -> bool:
        """A job that could not be dispatched is cancelled; ``False`` if somebody has begun it meanwhile."""
        ...

    async def revoke(self, job_id: str, reason: str) -> None:
        """A job was cancelled, or is to be: let go of it. Of a job that it does not have a runner knows nothing."""
        ...

    def leave_line(self) -> None:
        """Jobs may have expired: what stands in line here for one of them need not any more."""
        ...

    async def drain(self, reason: str) -> None:
        """The app is about to stop: what has not begun is cancelled, or left to others, and what runs goes on."""
        ...

    async def stop(self, reason: str) -> None:
        """The app stops: what still runs is cancelled, or left to others; returns when nothing runs here."""
        ...
