"""Sees that jobs fail at the moment at which they are not to be begun any more, whoever is busy with what."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from .rounds import Rounds
from .store import Store

__all__ = ["Expiring"]

LOOK = 1.0
"""Seconds between two looks where other processes submit jobs, too."""


class Expiring:
    """Every process that has the store open looks: there may be no other. Belongs to the app's home loop.

    Where jobs end with the process nothing is begun before one comes that may expire.

    Args:
        store: Where the jobs are.
        ended: Called where some may have failed: who stands in line for one of them need not any more.
    """

    def __init__(self, store: Store, ended: Callable[[], None]) -> None:
        self._store, self._ended = store, ended
        self._rounds, self._up, self._looks = Rounds(), False, False

    def start(self) -> None:
        """The app starts."""
        self._rounds, self._up, self._looks = Rounds(), True, False
        self._told = asyncio.Event()
        if self._store.durable:
            self._begin()

    def tell(self) -> None:
        """A job came that may expire; where the app is not up, others look."""
        if self._up:
            self._told.set()
            self._begin()

    async def stop(self) -> None:
        """The app stops."""
        self._up = False
        await self._rounds.stop()

    def _begin(self) -> None:
        if self._looks:
            return
        self._looks = True
        self._rounds.keep(self._look, "jobs that are not to be begun any more could not be looked for")

    async def _look(self) -> None:
        while True:
            self._told.clear()
            left = await self._store.expire()
            self._ended()
            longest = LOOK if self._store.durable else None
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, longest or left) if left is not None else longest):
                    await self._told.wait()
