"""Numbers a run's events and hands them to its listener, from whichever thread they come."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

from .events import Event, EventKind, Listener

__all__ = ["Recorder"]


class Recorder:
    """Gives a run's events their sequence numbers and times.

    Made on the home loop; ``emit`` may be called from any thread and returns at once. Events reach the listener
    on the home loop, in the order of their numbers. A run that nobody listens to has no recorder.
    """

    __slots__ = ("_closed", "_listener", "_loop", "_run_id", "_sequence", "_thread")

    def __init__(self, listener: Listener, run_id: str) -> None:
        self._listener, self._run_id = listener, run_id
        self._sequence = 0
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    def emit(self, kind: EventKind, step: str | None = None, attempt: int | None = None, /, **data: Any) -> None:
        """Record that ``kind`` happened now."""
        now = time.time()
        if threading.get_ident() == self._thread:
            self._record(kind, now, step, attempt, data)
        else:
            self._loop.call_soon_threadsafe(self._record, kind, now, step, attempt, data)

    def close(self) -> None:
        """The run has ended: what a thread still tells of it is dropped."""
        self._closed = True

    def _record(self, kind: EventKind, now: float, step: str | None, attempt: int | None, data: dict[str, Any]) -> None:
        if self._closed:
            return
        self._sequence += 1
        self._listener(Event(kind, self._sequence, self._run_id, now, step, attempt, data))
