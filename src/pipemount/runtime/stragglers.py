"""Functions that still run in threads when the run they belong to has ended: no thread can be stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from typing import Any

__all__ = ["Stragglers"]


class Stragglers:
    """Those of one run. Safe from any thread.

    What the run holds, its place above all, is held until the last of them has returned (``then``).
    """

    __slots__ = ("_errands", "_lock", "_then")

    def __init__(self) -> None:
        self._errands: set[object] = set()
        self._then: list[Callable[[], Any]] = []
        self._lock = Lock()

    def __bool__(self) -> bool:
        return bool(self._errands)

    def add(self, errand: object) -> None:
        """``errand`` still runs."""
        with self._lock:
            self._errands.add(errand)

    def ended(self, errand: object) -> None:
        """``errand`` has returned; said twice, it counts once."""
        with self._lock:
            self._errands.discard(errand)
            told, self._then = ([], self._then) if self._errands else (self._then, [])
        for callback in told:
            callback()

    def then(self, callback: Callable[[], Any]) -> None:
        """Call ``callback`` when none is left: now, or in the thread of the last one."""
        with self._lock:
            if self._errands:
                self._then.append(callback)
                return
        callback()

    async def gone(self) -> None:
        """Return when none is left."""
        loop = asyncio.get_running_loop()
        none_left = asyncio.Event()

        def tell() -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits there any more
                loop.call_soon_threadsafe(none_left.set)

        self.then(tell)
        await none_left.wait()
