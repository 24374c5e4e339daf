"""Who may run now, who waits, and who is told to come back. Safe from any loop and thread."""

from __future__ import annotations

import asyncio
import math
import threading
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Literal, NamedTuple

from ..errors import OverloadedError
from ..types import Principal
from .line import Line

if TYPE_CHECKING:
    from .rates import Rates
    from .stragglers import Stragglers

__all__ = ["OWN", "Admission", "Caller", "Ticket", "at_least", "caller_of", "smoothed"]

Caller = tuple[str, str] | None
"""Who asks, as far as limits are concerned; ``None`` for the app's own code, which none but the app's concern."""

OWN = Principal("", source="own")
"""The team's own code, on behalf of nobody."""

READERS = 1024
"""Requests that may be on their way at the same time without a place; further ones keep theirs."""

LULL = 1.0
"""Seconds in which no run has ended that say nothing yet: the loop may have been busy with those who came."""

LONGEST = 300
"""Seconds: nobody is told to come back later than that."""


class Ticket(NamedTuple):
    """A place in the line of those who wait for a place to run."""

    admission: Admission
    pipeline: str
    caller: Caller
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[None]

    async def place(self) -> None:
        """Return with a place, which is to be given back (``leave``). Who is cancelled meanwhile has none."""
        try:
            await self.future
        except asyncio.CancelledError:
            self.admission.withdraw(self)
            raise


class Admission:
    """Places for runs: ``limit`` at the same time, ``queue`` that wait.

    Who waits is served in turns of the callers, each one's in the order in which they came. ``enter`` takes a place or
    raises; each ``enter`` is followed by one ``leave``. A free place is a token in a deque, whose ``pop`` and
    ``append`` are atomic: taking one while some are free needs no lock.

    Args:
        limit: Places.
        queue: Who may wait.
        rates: How often each caller may ask, if that is limited.

    Attributes:
        refusals: How many were told to come back, by what was full: ``app``, ``pipeline``, ``key``, ``rate``.
        reading: Requests whose bodies are on their way. They have no place, and count as if they waited.
        cancelling: Places, of those that are taken, of runs that have ended but for a function in a thread.
    """

    def __init__(self, limit: int, queue: int, rates: Rates | None = None) -> None:
        self.limit, self.queue, self.rates = limit, queue, rates
        self.forget()

    def forget(self) -> None:
        """Begin from nothing, as in a forked child: the runs that are under way are the parent's."""
        self.refusals: Counter[str] = Counter()
        self.queued = self.reading = self.cancelling = 0
        self._free: deque[None] = deque([None] * self.limit)
        self._line: Line[Ticket] = Line()
        self._drains: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._lock = threading.RLock()
        self._mean, self._moved = 0.0, 0.0

    @property
    def active(self) -> int:
        """Runs that have a place."""
        return self.limit - len(self._free)

    @property
    def rejected(self) -> int:
        """How many were told to come back."""
        return self.refusals.total()

    # ------------------------------------------------------------------------------------------ coming

    def try_enter(self, pipeline: str = "", who: Principal | None = None) -> bool:
        """Take a free place, without waiting; raises ``OverloadedError`` when the queue is full too."""
        if self.queued:
            return self._none_free(pipeline, who)
        try:
            self._free.pop()  # ``_take``, without a call
        except IndexError:
            return self._none_free(pipeline, who)
        return True

    async def enter(self, pipeline: str = "", who: Principal | None = None, within: float | None = None) -> None:
        """Take a place, waiting for one if need be; ``within`` as of ``line_up``. Raises ``OverloadedError``."""
        if not self.try_enter(pipeline, who):
            await self.line_up(pipeline, who, within).place()

    def line_up(
        self, pipeline: str = "", who: Principal | None = None, within: float | None = None, *, again: bool = False
    ) -> Ticket:
        """Wait for a place, beginning now: ``await ticket.place()`` on the running loop. Raises ``OverloadedError``.

        What was accepted and has yet to run, a job that is queued, has such a ticket, and so counts as waiting.

        Args:
            pipeline: Its name in the app.
            who: On whose behalf.
            within: Seconds in which the run must have ended. Who would spend more than half of them waiting, behind
                others who wait, would wait in vain, and is refused.
            again: It had a place before: it is not refused.
        """
        with self._lock:
            if not again:
                self._refuse_crowd(pipeline, who, within)
            return self._line_up(pipeline, caller_of(who))

    def check(self, pipeline: str = "", who: Principal | None = None, count: int = 1) -> None:
        """Raise what ``line_up`` would raise now. For what is refused before its body is read.

        Args:
            pipeline: Its name in the app.
            who: On whose behalf.
            count: Runs that are asked for.
        """
        if not self._free:
            with self._lock:
                self._refuse_crowd(pipeline, who)

    def refusal(self, pipeline: str = "", who: Principal | None = None) -> OverloadedError:
        """What to raise where no place is free and nobody waits for one."""
        with self._lock:
            return self._refusal("app", self._wait())

    def charge(self, who: Principal | None, count: int) -> None:
        """Count ``count`` runs more that ``who`` asked for at once. Raises ``RateLimitedError``."""

    @property
    def spare(self) -> int:
        """Places that nobody has and nobody waits for."""
        return 0 if self.queued else len(self._free)

    def try_spare(self, pipeline: str = "", who: Principal | None = None) -> bool:
        """Take a place that nobody waits for, if there is one; never waits, never refuses."""
        return not self.queued and self._take()

    def room(self, pipeline: str) -> int:
        """How many runs more a pipeline may have at the same time, as far as its own share is concerned."""
        return self.limit

    def callers_room(self) -> tuple[int, Sequence[Caller]]:
        """How many runs more each caller may have at the same time, at least, and those who may have none."""
        return self.limit, ()

    def _take(self) -> bool:
        try:
            self._free.pop()
        except IndexError:
            return False
        return True

    def _line_up(self, pipeline: str, caller: Caller) -> Ticket:
        """With the lock held."""
        loop = asyncio.get_running_loop()
        ticket = Ticket(self, pipeline, caller, loop, loop.create_future())
        if not self.queued:
            self._moved = monotonic()
        self.queued += 1
        self._line.append(caller, pipeline, ticket)
        self._hand_on()  # a place may have come free since we looked
        return ticket

    def _none_free(self, pipeline: str, who: Principal | None) -> Literal[False]:
        with self._lock:
            self._refuse_crowd(pipeline, who)
        return False

    def _refuse_crowd(self, pipeline: str, who: Principal | None, within: float | None = None) -> None:
        """With the lock held: raise if no more may wait, or in vain."""
        hopeless = within is not None and self.queued >= self.limit and self._wait() > within / 2
        if hopeless or self.queued + self.reading >= self.queue:
            raise self._refusal("app", self._wait())

    def _refusal(self, full: str, wait: float) -> OverloadedError:
        self.refusals[full] += 1
        return OverloadedError(retry_after=min(LONGEST, max(1, math.ceil(wait))), full=full)

    def _wait(self) -> float:
        """Seconds until one more that waits is likely to have a place.

        From the mean duration of recent runs; those under way take no less than the time in which none has ended.
        """
        mean = at_least(self._mean, self._moved) if self.queued else self._mean
        return mean * (self.queued + 1) / self.limit

    # ----------------------------------------------------------------------------------- slow bodies

    def step_aside(self, pipeline: str = "", who: Principal | None = None) -> bool:
        """Give the place back while the request's body is on its way; ``False`` where too many do that already."""
        with self._lock:
            if self.reading >= READERS:
                return False
            self.reading += 1
        self._give_back(pipeline, caller_of(who))
        return True

    def come_back(self, pipeline: str = "", who: Principal | None = None) -> Ticket:
        """The body is there: wait for a place again."""
        with self._lock:
            self.reading -= 1
            return self._line_up(pipeline, caller_of(who))

    def stay_away(self, pipeline: str = "", who: Principal | None = None) -> None:
        """The body did not come."""
        with self._lock:
            self.reading -= 1
        self._tell_drained()

    # ------------------------------------------------------------------------------------------ going

    def leave(self, duration: float, pipeline: str = "", who: Principal | None = None) -> None:
        """Give the place back; ``duration`` is what the run took, in seconds, and 0 if there was none."""
        if duration:
            mean = self._mean
            self._mean = mean + (duration - mean) * 0.05 if mean else duration  # ``smoothed``, without a call
        self._free.append(None)
        if self.queued or self._drains:
            self._look_after()

    def leave_behind(
        self, stragglers: Stragglers | None, began: float, pipeline: str = "", who: Principal | None = None
    ) -> None:
        """``leave`` when the run's ``stragglers`` have returned, if there are any; ``began`` on ``monotonic()``."""

        def leave() -> None:
            self.leave(monotonic() - began, pipeline, who)

        def leave_at_last() -> None:
            with self._lock:
                self.cancelling -= 1
            leave()

        if not stragglers:
            leave()
            return
        with self._lock:
            self.cancelling += 1
        stragglers.then(leave_at_last)

    def _return(self, pipeline: str, caller: Caller) -> None:
        """A place is free again."""
        self._free.append(None)

    def _give_back(self, pipeline: str, caller: Caller) -> None:
        self._return(pipeline, caller)
        self._look_after()

    def _look_after(self) -> None:
        """A place was given back: those who wait for one, or for the last, hear of it."""
        if self.queued:
            with self._lock:
                self._hand_on()
        if self._drains:
            self._tell_drained()

    def withdraw(self, ticket: Ticket) -> None:
        """Whoever has ``ticket`` waits no more; a place that it was just given goes to the next."""
        with self._lock:
            if self._line.remove(ticket.caller, ticket.pipeline, ticket):
                self._unqueue(ticket)
                return
        if ticket.future.done() and not ticket.future.cancelled():  # granted in the same tick
            self._give_back(ticket.pipeline, ticket.caller)

    def _unqueue(self, ticket: Ticket) -> None:
        """With the lock held: ``ticket`` is out of the line."""
        self.queued -= 1
        self._moved = monotonic()

    # ---------------------------------------------------------------------------------------- handing on

    def _hand_on(self) -> None:
        """With the lock held: places to those whose turn it is."""
        while self.queued and (ticket := self._next()) is not None:
            self._unqueue(ticket)
            try:
                ticket.loop.call_soon_threadsafe(self._wake, ticket)
            except RuntimeError:  # that loop is closed, its waiter is gone
                self._return(ticket.pipeline, ticket.caller)

    def _next(self) -> Ticket | None:
        """With the lock held: who goes on, with a place."""
        if not self._take():
            return None
        if (ticket := self._line.take(self._fits)) is None:
            self._free.append(None)
        return ticket

    def _fits(self, ticket: Ticket) -> bool:
        """Whether nothing but a place is missing."""
        return True

    def _wake(self, ticket: Ticket) -> None:
        if ticket.future.done():  # withdrawn in the meantime
            self._give_back(ticket.pipeline, ticket.caller)
        else:
            ticket.future.set_result(None)

    # --------------------------------------------------------------------------------------- draining

    @property
    def _idle(self) -> bool:
        return not (self.active or self.queued or self.reading)

    def _tell_drained(self) -> None:
        with self._lock:
            told, self._drains = (self._drains, []) if self._idle else ([], self._drains)
        for loop, future in told:
            with suppress(RuntimeError):  # that loop is closed: nobody waits there any more
                loop.call_soon_threadsafe(_wake_once, future)

    async def drained(self) -> None:
        """Return when nothing runs and nothing waits."""
        with self._lock:
            if self._idle:
                return
            loop = asyncio.get_running_loop()
            future: asyncio.Future[None] = loop.create_future()
            self._drains.append((loop, future))
        try:
            await future
        finally:
            with suppress(ValueError):  # already told
                self._drains.remove((loop, future))


def smoothed(mean: float, duration: float) -> float:
    """The mean of recent durations, with one more."""
    return mean + (duration - mean) * 0.05 if mean else duration


def at_least(mean: float, moved: float) -> float:
    """The mean, or what those under way take at least where none has ended since ``moved``."""
    passed = monotonic() - moved
    return max(mean, passed) if passed > LULL else mean


def caller_of(who: Principal | None) -> Caller:
    """Those without a name are one caller together."""
    if who is None:
        return ("", "")
    return None if who is OWN else (who.source, who.name)


def _wake_once(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
