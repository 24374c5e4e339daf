"""What a runner does again and again while it is up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar

from ..errors import StoreError

__all__ = ["Rounds", "persistently"]

T = TypeVar("T")

logger = logging.getLogger("pipemount")

LONGEST = 5.0
"""Seconds between two attempts at a store that cannot be reached."""


class Rounds:
    """Tasks of a runner that go on until it stops, whatever happens to the store meanwhile."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def every(self, seconds: float, act: Callable[[], Awaitable[object]], what: str) -> None:
        """Await ``act()`` now and every ``seconds``; ``what`` it is about, for the log."""

        async def again_and_again() -> None:
            while True:
                await act()
                await asyncio.sleep(seconds)

        self.keep(again_and_again, what)

    def keep(self, run: Callable[[], Coroutine[Any, Any, None]], what: str) -> None:
        """Run what has no end; where it fails it is begun again, after a pause."""
        task = asyncio.get_running_loop().create_task(_kept(run, what), context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """End them all; returns when they have ended."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


async def _kept(run: Callable[[], Coroutine[Any, Any, None]], what: str) -> None:
    pause = 0.1
    while True:
        began = asyncio.get_running_loop().time()
        try:
            await run()
        except StoreError as error:  # it may come back
            logger.warning("%s: %s", what, error)
        except Exception:
            logger.exception("%s failed, and is begun again", what)
        if asyncio.get_running_loop().time() - began > LONGEST:  # all was well for a while
            pause = 0.1
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST)


async def persistently(write: Callable[[], Awaitable[T]], still: Callable[[], bool], what: str) -> T:
    """What ``write`` gives, however often it takes a store that cannot be reached for a while.

    Args:
        write: To be repeated.
        still: Whether it is worth while to try again.
        what: It is about, for the log.

    Raises:
        StoreError: It is not.
    """
    pause = 0.1
    while True:
        try:
            return await write()
        except StoreError as error:
            if not still():
                raise
            logger.warning("%s: %s; tried again", what, error)
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST)
