"""Events that wait for one reader, at most so many; what makes way is told, not hidden."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from .events import PASSING, TERMINAL, Event

__all__ = ["LIMIT", "LIMIT_BYTES", "Buffer", "weigh"]

LIMIT = 256
"""Passing events that wait."""

LIMIT_BYTES = 1024 * 1024
"""Roughly what they may carry."""

PATIENCE = 16
"""How many times as many may wait of the events that are kept for a reader that reads no more."""

PARTS = 1000
"""How many parts of a value are weighed at most."""

UNKNOWN = 4096
"""The weight of what cannot be weighed, as its own code raises."""


class Buffer:
    """The events that one reader has not read yet.

    Of the ``PASSING`` events ``limit`` may wait. When there are more, all of them make way, and a ``missed`` event
    stands in their place. The others are kept, up to ``PATIENCE`` times as many: beyond that they are missed as well,
    for a run may have no end. The event that ends a run is always kept. An event that finds the buffer empty is let
    in, however large it is.

    No lock, no clock, no loop: the owner sees that nobody else is at it.

    Args:
        limit: Passing events that may wait.
        limit_bytes: Bytes that they may carry, roughly.
    """

    __slots__ = ("_bytes", "_entries", "_kept", "_limit", "_limit_bytes")

    def __init__(self, limit: int = LIMIT, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit, self._limit_bytes = limit, limit_bytes
        self._entries: deque[tuple[Event, int | None]] = deque()  # with the weight of what may make way
        self._kept = self._bytes = 0

    def put(self, event: Event) -> None:
        """Take ``event`` in, and note what was missed for it."""
        if event.kind not in PASSING:
            self._entries.append((event, None))
            self._kept += 1
            if self._kept > PATIENCE * self._limit:
                self._drop(_may_be_missed)
            return
        weight = weigh(event.data) if self._entries else 0
        if len(self._entries) - self._kept >= self._limit or self._bytes + weight > self._limit_bytes:
            self._drop(_is_passing)
        self._entries.append((event, weight))
        self._bytes += weight

    def take(self) -> Event | None:
        """The next event, or ``None``."""
        if not self._entries:
            return None
        event, weight = self._entries.popleft()
        if weight is None:
            self._kept -= 1
        else:
            self._bytes -= weight
        return event

    @property
    def crowded(self) -> bool:
        """Whether it is half full."""
        passing = len(self._entries) - self._kept
        return (
            passing * 2 >= self._limit
            or self._bytes * 2 >= self._limit_bytes
            or self._kept * 2 >= PATIENCE * self._limit
        )

    def _drop(self, goes: Callable[[Event], bool]) -> None:
        """Leave only what does not go, and notes of what did."""
        self._entries = deque((event, None) for event in _thinned((event for event, _ in self._entries), goes))
        self._kept, self._bytes = len(self._entries), 0


def _may_be_missed(event: Event) -> bool:
    return event.kind not in TERMINAL


def _is_passing(event: Event) -> bool:
    return event.kind in PASSING


def _thinned(events: Iterable[Event], goes: Callable[[Event], bool]) -> Iterator[Event]:
    """The events without those that go; a ``missed`` in the place of each unbroken row of them."""
    gone: list[Event] = []
    for event in events:
        if event.kind == "missed" or goes(event):
            gone.append(event)
            continue
        if gone:
            yield _missed(gone)
            gone = []
        yield event
    if gone:
        yield _missed(gone)


def _missed(gone: list[Event]) -> Event:
    """What stands for a row of events, some of which may stand for others themselves."""
    first, last = gone[0], gone[-1]
    kinds: Counter[str] = Counter()
    for event in gone:
        kinds.update(event.data["kinds"] if event.kind == "missed" else (event.kind,))
    data = {"first": first.data["first"] if first.kind == "missed" else first.sequence, "last": last.sequence}
    return Event("missed", last.sequence, last.run_id, last.time, None, None, {**data, "kinds": dict(kinds)})


# ------------------------------------------------------------------------------------------------ weight


def weigh(value: Any) -> int:
    """Roughly how many bytes ``value`` keeps in memory; of a large structure its first thousand parts."""
    try:
        return _weigh(value)
    except Exception:  # looking at it runs the author's code, and a value that is told must not fail its step
        return UNKNOWN


def _weigh(value: Any) -> int:
    total, parts = 0, [value]
    for _ in range(PARTS):
        if not parts:
            break
        part = parts.pop()
        if isinstance(part, str | bytes | bytearray):
            total += len(part)
        elif isinstance(part, dict):
            parts.extend(islice(part.values(), PARTS))
        elif isinstance(part, list | tuple | set | frozenset):
            parts.extend(islice(part, PARTS))
        elif isinstance(size := getattr(part, "nbytes", None), int):  # an array's
            total += size
        else:
            total += 32
            parts.append(getattr(part, "__dict__", ""))
    return total
