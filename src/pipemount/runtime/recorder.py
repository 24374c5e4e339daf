"""Numbers a run's events and hands them to whoever listens, from whichever thread they come."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from time import time
from typing import Any

from .events import TERMINAL, Event, EventKind, Listener
from .failures import is_signal
from .feed import Feed, Inbox

__all__ = ["Recorder"]

logger = logging.getLogger("pipemount")


class Recorder:
    """Gives a run's events their sequence numbers and times, and each listener all of them in that order.

    Made on the home loop; may be told things from any thread. What ends the run is the last thing that it takes. A run
    that nobody listens to has no recorder, and makes no event.

    Args:
        run_id: The run.
        listeners: Functions, which are called on the home loop, and feeds, which are filled at once.
        after: The number of the last event of an earlier attempt.
    """

    __slots__ = (
        "_closed",
        "_handovers",
        "_inboxes",
        "_last",
        "_lock",
        "_recording",
        "_run_id",
        "_sequence",
        "_thread",
        "_told",
    )

    def __init__(self, run_id: str, listeners: Iterable[Listener], after: int = 0) -> None:
        self._run_id = run_id
        self._inboxes = tuple(one if isinstance(one, Feed) else _Handover(one) for one in listeners)
        self._handovers = tuple(inbox for inbox in self._inboxes if isinstance(inbox, _Handover))
        self._told: deque[tuple[EventKind, str | None, int | None, Mapping[str, Any]]] = deque()
        self._lock = threading.RLock()  # re-entered where a finaliser tells something just now
        self._recording = self._closed = False
        self._sequence, self._last = after, 0.0
        self._thread = threading.get_ident()

    def emit(self, kind: EventKind, step: str | None = None, attempt: int | None = None, /, **data: Any) -> None:
        """Record that ``kind`` happened now."""
        self.record(kind, step, attempt, data)

    def record(self, kind: EventKind, step: str | None, attempt: int | None, data: Mapping[str, Any]) -> None:
        """``emit`` with data whose keys may be any."""
        at_home = threading.get_ident() == self._thread
        if not at_home:
            for inbox in self._inboxes:
                while inbox.crowded:
                    inbox.wait_for_turn()
        self._told.append((kind, step, attempt, data))
        with self._lock:
            if not self._recording:
                self._record_all()
        if at_home:
            for handover in self._handovers:
                handover.deliver()

    @property
    def crowded(self) -> bool:
        """Whether a reader who reads has a buffer half full; what can wait should ``await give_way()``."""
        return any(inbox.crowded for inbox in self._inboxes)

    async def give_way(self) -> None:
        """Let readers whose buffers fill up read what is there; waits for turns of their loops and not for them."""
        for inbox in self._inboxes:
            while inbox.crowded:
                await inbox.turn()

    def close(self) -> None:
        """The run has ended: what a thread still tells of it is dropped."""
        self._closed = True

    def _record_all(self) -> None:
        self._recording = True
        try:
            while self._told:
                kind, step, attempt, data = self._told.popleft()
                if self._closed:
                    continue
                self._sequence += 1
                if kind == "missed":
                    data = self._renumbered(data)
                if (now := time()) > self._last:
                    self._last = now
                event = Event(kind, self._sequence, self._run_id, self._last, step, attempt, data)
                for inbox in self._inboxes:
                    inbox.put(event)
                self._closed = kind in TERMINAL
        finally:
            self._recording = False

    def _renumbered(self, missed: Mapping[str, Any]) -> dict[str, Any]:
        """What an adapter says it missed of its own pipeline, in the numbers of this run."""
        first, self._sequence = self._sequence, self._sequence + sum(missed["kinds"].values()) - 1
        return {**missed, "first": first, "last": self._sequence}


class _Handover(Inbox):
    """The way from the threads of a run to a listener's function, which is called on the home loop."""

    patience = 1.0  # a run whose home loop is that busy does not get on either

    def __init__(self, listener: Listener) -> None:
        super().__init__()
        self._listener = listener
        self._scheduled = self._delivering = self._failed = False

    def deliver(self) -> None:
        """Tell the listener all that waits. On the home loop."""
        if self._delivering:  # it told something itself: the call around this one goes on with that
            return
        self._delivering = True
        try:
            while (event := self.take()) is not None:
                self._tell(event)
        finally:
            self._delivering = False

    def _tell(self, event: Event) -> None:
        try:
            self._listener(event)
        except BaseException as error:
            if is_signal(error):
                raise
            if not self._failed:
                self._failed = True
                logger.exception("the listener %r raised on %s; the run is not affected", self._listener, event.kind)

    def _wake(self) -> None:
        if threading.get_ident() != self._thread and not self._scheduled:
            self._scheduled = True
            with suppress(RuntimeError):  # the home loop is closed
                self._loop.call_soon_threadsafe(self._deliver_later)

    def _deliver_later(self) -> None:
        self._scheduled = False
        self.deliver()
