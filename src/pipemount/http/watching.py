"""The jobs that one WebSocket tells of: each read at its own pace, all told over one connection by turns."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Protocol

from ..errors import PipemountError, TooManyStreamsError, UnauthenticatedError
from ..jobs.models import JobEvent
from .messages import ended, event_text

__all__ = ["Reading", "Teller", "Watching"]

TURN = 16 * 1024
"""Bytes of events that one job may tell before it is another one's turn."""


class Reading(Protocol):
    """Reads one job's events: a ``Subscription`` of the jobs, on the loop of the socket."""

    @property
    def ended(self) -> bool:
        """Whether the final event was given."""

    async def next(self) -> Sequence[JobEvent]:
        """Those that came; empty after a time of silence."""


class Teller(Protocol):
    """The connection, as far as a watch needs it."""

    async def tell(self, texts: Sequence[str]) -> None:
        """Sends these, one after the other, when nobody else is sending; waits for a client that reads slowly."""

    async def tell_error(self, error: PipemountError, job_id: str) -> None:
        """Sends what went wrong with a job."""

    def check(self) -> None:
        """Raises when the client has lost the right to be told."""

    def fail(self, error: Exception) -> None:
        """Ends the conversation."""


class _Watch:
    """A job that is watched.

    Attributes:
        job_id: Its id.
        own: Whether it is cancelled when the client leaves.
        muted: Whether the client does not want to hear of it any more.
        task: Reads and tells.
    """

    __slots__ = ("job_id", "muted", "own", "task")

    def __init__(self, job_id: str, own: bool) -> None:
        self.job_id, self.own, self.muted = job_id, own, False
        self.task: asyncio.Task[None] | None = None


class Watching:
    """All that one connection watches, at most ``limit`` jobs. A job that was asked for here is watched to its end.

    A watch holds no more than one reading's events, and reads on when those were sent: what a client does not read
    stays in the log that all subscribers share.
    """

    __slots__ = ("_limit", "_teller", "_watches")

    def __init__(self, teller: Teller, limit: int) -> None:
        self._teller, self._limit = teller, limit
        self._watches: dict[str, _Watch] = {}

    @property
    def own(self) -> list[str]:
        """The jobs that end with the client, and have not ended yet as far as this connection has seen."""
        return [watch.job_id for watch in self._watches.values() if watch.own]

    def check_room(self, job_id: str | None = None) -> None:
        """Raises ``TooManyStreamsError`` if there is no place for another job."""
        if len(self._watches) >= self._limit and job_id not in self._watches:
            raise TooManyStreamsError(limit=self._limit)

    def start(self, job_id: str, reading: Reading, *, own: bool = False) -> None:
        """Tell what is read; in the place of an earlier watch of the same job."""
        watch = _Watch(job_id, own)
        if (earlier := self._watches.get(job_id)) is not None:
            watch.own = watch.own or earlier.own
            _cancel(earlier)
        self._watches[job_id] = watch
        watch.task = asyncio.get_running_loop().create_task(self._watch(watch, reading))

    def end(self, job_id: str) -> bool:
        """Tell no more of a job. Whether it was told of."""
        watch = self._watches.get(job_id)
        if watch is None or watch.muted:
            return False
        if watch.own:
            watch.muted = True
        else:
            _cancel(watch)
            del self._watches[job_id]
        return True

    async def close(self) -> None:
        """End all."""
        tasks = [watch.task for watch in self._watches.values() if watch.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _watch(self, watch: _Watch, reading: Reading) -> None:
        try:
            await self._read(watch, reading)
        except UnauthenticatedError as error:
            self._teller.fail(error)
        except PipemountError as error:
            self._forget(watch)
            if not watch.muted:
                await self._teller.tell_error(error, watch.job_id)
        except Exception as error:
            self._teller.fail(error)

    async def _read(self, watch: _Watch, reading: Reading) -> None:
        while not reading.ended:
            events = await reading.next()
            self._teller.check()
            for turn in _turns(events):
                if not watch.muted:
                    await self._teller.tell([event_text(watch.job_id, event) for event in turn])
                await asyncio.sleep(0)  # a client that reads fast is no reason to keep the others waiting
        self._forget(watch)
        if not watch.muted:
            await self._teller.tell([ended(watch.job_id)])

    def _forget(self, watch: _Watch) -> None:
        if self._watches.get(watch.job_id) is watch:
            del self._watches[watch.job_id]


def _cancel(watch: _Watch) -> None:
    if watch.task is not None:
        watch.task.cancel()


def _turns(events: Sequence[JobEvent]) -> Iterator[list[JobEvent]]:
    """What is told at a time: as many as make up a turn, at least one."""
    turn: list[JobEvent] = []
    size = 0
    for event in events:
        if turn and size + len(event.body) > TURN:
            yield turn
            turn, size = [], 0
        turn.append(event)
        size += len(event.body)
    if turn:
        yield turn
