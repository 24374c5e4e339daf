"""An event loop whose clock moves on when nobody has anything to do, and threads that keep to it."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from pipemount.runtime.threads import Owner, ThreadPool

__all__ = ["VirtualLoop", "VirtualThreads", "run_virtually"]

T = TypeVar("T")


class _Selector(selectors.DefaultSelector):
    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise AssertionError("everybody waits and nothing will come: the run hangs")
        self.now += max(timeout, 0.0)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Sleeps take no time and end in the order of their ends."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)
        self._clock_resolution = 1e-12

    def time(self) -> float:
        return self._virtual.now


class VirtualThreads(ThreadPool):
    """Calls at once what a thread would be given, and takes as long as the calls say that they do."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._spent = 0.0

    @property
    def spent(self) -> float:
        """Seconds that the call that is under way has taken so far."""
        return self._spent

    def spend(self, seconds: float) -> None:
        """Called by a sync step, in the place of being busy."""
        self._spent += seconds

    async def run(self, function: Callable[[], T], owner: Owner | None = None) -> T:
        error = None
        try:
            value = function()
        except BaseException as raised:
            error = raised
        spent, self._spent = self._spent, 0.0
        await asyncio.sleep(spent)
        if error is not None:
            raise error
        return value


def run_virtually(work: Coroutine[Any, Any, T]) -> T:
    """``asyncio.run`` on a ``VirtualLoop``."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
