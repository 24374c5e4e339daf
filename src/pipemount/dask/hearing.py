"""What a Dask task says on its way, brought to the loop that waits for it, in order."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from ..pipelines.executors import Hear

__all__ = ["Hearing"]

logger = logging.getLogger("pipemount")

PATIENCE = 10.0
"""Seconds that what a task says may come later than its outcome."""


class Hearing:
    """One task as it is heard. ``heard`` may be called from any loop, the rest belongs to the one that waits."""

    def __init__(self, hear: Hear) -> None:
        self._loop, self._hear = asyncio.get_running_loop(), hear
        self._mine, self._count, self._gone = "", 0, set[str]()
        self._more = asyncio.Event()

    def heard(self, mine: str, message: bytes) -> None:
        """Whoever calls itself ``mine`` says something: a worker, or another one that the task was given to."""
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._take, mine, message)

    async def all_of(self, mine: str, count: int) -> None:
        """Return when all was heard that the worker said whose outcome counts."""
        try:
            async with asyncio.timeout(PATIENCE):
                while (self._mine, self._count) != (mine, count):
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            logger.warning("some events of a step that ran on Dask were lost on the way")

    def _take(self, mine: str, message: bytes) -> None:
        if mine in self._gone:
            return
        if mine != self._mine:
            self._gone.add(self._mine)
            self._mine, self._count = mine, 0
        self._count += 1
        self._more.set()
        self._hear(message)
