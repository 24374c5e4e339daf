"""Telling what is open that the server is about to stop: one task for each event loop, however much is open on it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import Context

__all__ = ["Farewell"]

Tell = Callable[[], None]


class Farewell:
    """Calls back, on their own loop, those who listen when the end is told.

    Args:
        told: Returns when it is, on any loop: ``Lifecycle.until_draining``.
    """

    def __init__(self, told: Callable[[], Awaitable[None]]) -> None:
        self._told = told
        self._audiences: dict[asyncio.AbstractEventLoop, _Audience] = {}

    @contextmanager
    def listening(self, tell: Tell) -> Iterator[None]:
        """While the block lasts, ``tell`` is called when the end is told; soon, if it was told before."""
        loop = asyncio.get_running_loop()
        audience = self._audiences.get(loop) or self._audiences.setdefault(loop, _Audience(self._told))
        audience.enter(tell)
        try:
            yield
        finally:
            audience.leave(tell)
            if not audience.listeners:
                self._audiences.pop(loop, None)


class _Audience:
    """Those on one loop."""

    def __init__(self, told: Callable[[], Awaitable[None]]) -> None:
        self._until_told = told
        self.listeners: set[Tell] = set()
        self._task: asyncio.Task[None] | None = None

    def enter(self, tell: Tell) -> None:
        self.listeners.add(tell)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._wait(), context=Context())

    def leave(self, tell: Tell) -> None:
        self.listeners.discard(tell)
        if not self.listeners and self._task is not None:
            self._task.cancel()

    async def _wait(self) -> None:
        await self._until_told()
        for tell in tuple(self.listeners):
            tell()
