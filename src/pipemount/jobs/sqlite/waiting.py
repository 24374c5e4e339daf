"""Who waits for jobs, and for work, in this process; belongs to the home loop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from time import time

from .reading import Ready
from .transaction import Change

__all__ = ["ForJobs", "ForWork"]

LONGEST = 1.0
"""Seconds after which one who waits for a delayed job looks at the clock again: it may have been set."""


class ForJobs:
    """Those who wait until something becomes of a job."""

    def __init__(self) -> None:
        self._waiting: dict[str, dict[asyncio.Future[bool], int]] = {}

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._waiting

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def ids(self) -> list[str]:
        """The jobs that somebody waits for."""
        return list(self._waiting)

    def add(self, job_id: str, after: int) -> asyncio.Future[bool]:
        """Somebody waits for an event behind ``after``."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(job_id, {})[future] = after
        return future

    def remove(self, job_id: str, future: asyncio.Future[bool]) -> None:
        """He does not any more."""
        others = self._waiting[job_id]
        del others[future]
        if not others:
            del self._waiting[job_id]

    def tell(self, changes: Mapping[str, Change]) -> None:
        """What has become of jobs."""
        for job_id, change in changes.items():
            for future, after in self._waiting.get(job_id, {}).items():
                if change.over or change.last_event > after:
                    settle(future, True)

    def release(self) -> None:
        """There is nothing to wait for any more."""
        for others in self._waiting.values():
            for future in others:
                settle(future, False)


class ForWork:
    """Those who wait until there may be a job that can be claimed. Each piece of news is told once."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[bool]] = set()
        self._came = 0
        self.told = 0.0
        self._due: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self) -> asyncio.Future[bool]:
        """Somebody waits."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        return future

    def remove(self, future: asyncio.Future[bool]) -> None:
        """He does not any more."""
        self._waiting.discard(future)
        if not self._waiting and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def tell(self, found: Ready) -> None:
        """What there is."""
        if found.came != self._came:
            self._came = found.came
            self.release(True)
        self._due = found.due
        self._look()

    def _look(self) -> None:
        """Whether a delayed job is due, now or later."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._due is None or not self._waiting:
            return
        left = self._due - time()
        if left <= 0:
            self.told, self._due = time(), None
            self.release(True)
        else:
            self._timer = asyncio.get_running_loop().call_later(min(left, LONGEST), self._look)

    def release(self, value: bool) -> None:
        """Nobody waits any more."""
        for future in self._waiting:
            settle(future, value)


def settle(future: asyncio.Future[bool], value: bool) -> None:
    if not future.done():
        future.set_result(value)
