"""What of a job's log makes way when there is too much: as ``Log`` has it, told of rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ...runtime.buffer import PATIENCE
from ...runtime.events import PASSING, TERMINAL
from ..models import JobEvent

__all__ = ["Entry", "Tally", "added", "first_after", "is_full", "pruned"]


class Tally(NamedTuple):
    """How many events of a job are kept, and their bytes; those that steps say on the way, and the others."""

    passing: int = 0
    passing_bytes: int = 0
    kept: int = 0
    kept_bytes: int = 0

    def plus(self, kind: str, size: int, by: int = 1) -> Tally:
        """With one event more, or less."""
        if kind in PASSING:
            return self._replace(passing=self.passing + by, passing_bytes=self.passing_bytes + by * size)
        return self._replace(kept=self.kept + by, kept_bytes=self.kept_bytes + by * size)

    @property
    def size(self) -> int:
        """Bytes of all."""
        return self.passing_bytes + self.kept_bytes


class Entry(NamedTuple):
    """An event without what it says."""

    sequence: int
    kind: str
    size: int


def added(tally: Tally, events: Iterable[JobEvent]) -> Tally:
    """With these as well."""
    for event in events:
        tally = tally.plus(event.kind, len(event.body))
    return tally


def first_after(first: int, events: Iterable[JobEvent]) -> int:
    """The record's ``first_event`` once these are kept: what a ``missed`` event stands for did not come at all."""
    return max([first, *(event.sequence + 1 for event in events if event.kind == "missed")])


def is_full(tally: Tally, limit: int, limit_bytes: int) -> bool:
    """Whether some must make way."""
    return (
        tally.passing > limit
        or tally.passing_bytes > limit_bytes
        or tally.kept > PATIENCE * limit
        or tally.kept_bytes > PATIENCE * limit_bytes
    )


def pruned(log: Sequence[Entry], tally: Tally, limit: int, limit_bytes: int) -> tuple[list[Entry], Tally]:
    """Which of a log make way, the oldest first, until a quarter is free again; and what is left.

    Args:
        log: All that are kept, in order.
        tally: Of them.
        limit: Passing events that may be kept; of the others ``PATIENCE`` times as many.
        limit_bytes: Bytes that they may have.
    """
    going: list[Entry] = []
    last = log[-1].sequence if log else 0
    for passing, factor in ((True, 1), (False, PATIENCE)):
        most, most_bytes = factor * limit, factor * limit_bytes
        if not _exceeds(tally, passing, most, most_bytes):
            continue
        for entry in log:
            if not _exceeds(tally, passing, most * 3 / 4, most_bytes * 3 / 4):
                break
            if (entry.kind in PASSING) == passing and entry.kind not in TERMINAL and entry.sequence != last:
                going.append(entry)
                tally = tally.plus(entry.kind, entry.size, -1)
    return going, tally


def _exceeds(tally: Tally, passing: bool, most: float, most_bytes: float) -> bool:
    count, size = (tally.passing, tally.passing_bytes) if passing else (tally.kept, tally.kept_bytes)
    return count > most or size > most_bytes
