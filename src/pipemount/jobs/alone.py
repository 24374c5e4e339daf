"""Jobs that crashed before, each alone in a process: what one does to it harms no other.

The process that claimed such a job starts one that imports the app and opens the same store, or has one that is free.
The job is performed there, under the same lease and by a worker of its own: only what ends that process is counted as
the job's doing.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

from .models import Lease
from .room import UNABLE, Room
from .work import Work

__all__ = ["Alone", "find_target"]

logger = logging.getLogger("pipemount")

TOLD = (-signal.SIGTERM, -signal.SIGINT)
"""Of a process that somebody told to end, as all of a terminal or a service are, before it could begin."""

AT_ONCE = os.cpu_count() or 1
"""Such processes at the same time: when one with many jobs has crashed, each of them is performed alone."""

FIRST, LONGEST = 1.0, 60.0
"""Seconds that a job waits whose process could not begin: twice as long after each one in a row that could not."""

SUSPECT = 2
"""Crashes after which a job has a process that nobody had before: what ends that one was nobody else's doing."""

Ended: TypeAlias = Literal["done", "crashed", "unable"]


class Alone:
    """Performs jobs alone, one at a time in a process. For one event loop at a time.

    Args:
        find: Where the app is found, ``"module:name"``; ``None`` where it is no module's attribute.
        patience: Seconds that a process has to end when it is told to.

    Attributes:
        at_once: Jobs that are performed at the same time; others wait.
    """

    def __init__(self, find: Callable[[], str | None], patience: float) -> None:
        self._find, self._patience = find, patience
        self.begin()

    def begin(self) -> None:
        """The runner starts, perhaps on another loop."""
        self.at_once, self._in_vain = AT_ONCE, 0
        self._turns = asyncio.Semaphore(self.at_once)
        self._rooms: set[Room] = set()
        self._free: list[Room] = []

    def close(self) -> None:
        """The runner stops: processes that are free end."""
        for room in list(self._free):
            room.close()

    async def end(self) -> None:
        """The runner has stopped: no process is left."""
        await asyncio.gather(*(room.leave(self._patience) for room in self._rooms))

    @property
    def pause(self) -> float:
        """Seconds until a job is tried again whose process could not begin: what keeps one from it keeps all."""
        return min(LONGEST, FIRST * 2.0 ** min(60, max(0, self._in_vain - 1)))

    @property
    def target(self) -> str | None:
        """Where the app is found."""
        return self._find()

    async def perform(self, lease: Lease, work: Work) -> Ended:
        """Have it performed; how the process ended, if there was one.

        ``"done"``: it has written down what came of the job. ``"unable"``: it could not begin, or was told to end.
        """
        if (target := self.target) is None:
            return "unable"
        logger.warning("job %s was in a process that ended, and is performed alone in one", lease.job.id)
        if not await self._has_turn(work):
            return "crashed"
        try:
            return await self._perform(target, lease, work)
        finally:
            self._turns.release()

    async def _has_turn(self, work: Work) -> bool:
        """Wait until there are not too many; ``False`` for a job that was let go of meanwhile, or before."""
        if work.let_go:
            return False
        let_go = asyncio.Event()
        work.stopping = let_go.set
        turn = asyncio.ensure_future(self._turns.acquire())
        told = asyncio.ensure_future(let_go.wait())
        try:
            await asyncio.wait({turn, told}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            told.cancel()
            if work.let_go and turn.done():
                self._turns.release()
            elif not turn.done():
                turn.cancel()
        return not work.let_go

    async def _perform(self, target: str, lease: Lease, work: Work) -> Ended:
        if self._free and lease.job.crashes < SUSPECT:
            room = self._free.pop()
            free = await self._end_of(room, room.perform(lease), work)
            if room.begun:  # else it ended, or had begun to, while nobody was in it
                return self._verdict(room, free, lease, work)
            if work.let_go:
                return "crashed"
        try:
            room = await self._open(target, lease)
        except (OSError, RuntimeError) as error:  # no memory, or too many processes, threads or files
            logger.warning("job %s: no process could be started: %s", lease.job.id, error)
            return self._unable(lease, UNABLE)
        free = await self._end_of(room, room.until_free(), work)
        return self._verdict(room, free, lease, work)

    async def _end_of(self, room: Room, performed: Coroutine[Any, Any, bool], work: Work) -> bool:
        """Whether the job has ended, and another may come; ``False``: the process has ended."""
        work.stopping = partial(room.stop, self._patience)
        if work.let_go:  # while it was started
            room.stop(self._patience)
        try:
            free = await performed
        except BaseException:
            room.kill()  # the loop ends
            raise
        finally:
            work.stopping = None
        if free and not work.let_go and not room.closed.done():
            self._free.append(room)
        return free

    async def _open(self, target: str, lease: Lease) -> Room:
        """One more, in place of one that is free and not to be had."""
        if self._free:
            self._free[0].close()
        room = await Room.open(target, lease)
        self._rooms.add(room)
        room.ended.add_done_callback(lambda _: self._rooms.discard(room))
        room.closed.add_done_callback(lambda _: self._free.remove(room) if room in self._free else None)
        return room

    def _verdict(self, room: Room, free: bool, lease: Lease, work: Work) -> Ended:
        code = 0 if free else room.ended.result()
        if code in TOLD:
            if work.reason is None:  # else it was cancelled, or has ended
                logger.warning("job %s: its process was told to end, and the job waits again", lease.job.id)
            return "unable"
        if code == UNABLE or not (room.begun or work.let_go):
            return self._unable(lease, code)
        self._in_vain = 0
        if code:
            logger.error("job %s: its process ended with %d", lease.job.id, code)
        return "crashed" if code or not room.begun else "done"

    def _unable(self, lease: Lease, code: int) -> Ended:
        self._in_vain += 1
        logger.warning(
            "job %s: its process could not begin (%d), nor could %d before it; the log of that process says why. "
            "The job waits %g s",
            lease.job.id,
            code,
            self._in_vain - 1,
            self.pause,
        )
        return "unable"


def find_target(app: object) -> str | None:
    """The name of a module and of its attribute that is ``app``; ``None`` where there is none."""
    for name, module in list(sys.modules.items()):
        for attribute, value in list(getattr(module, "__dict__", {}).items()):
            if value is app:
                return f"{_importable(name)}:{attribute}"
    return None


def _importable(name: str) -> str:
    """The name by which another process can import a module; the one that was run has a file's."""
    if name != "__main__":
        return name
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    return str(spec.name) if spec is not None else Path(getattr(main, "__file__", None) or "__main__").stem
