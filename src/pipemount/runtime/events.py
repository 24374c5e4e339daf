"""What is told about a run: one frozen fact per event, the one stream that everyone reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

__all__ = ["OF_RUNS", "PASSING", "TERMINAL", "Event", "EventKind", "Listener"]

EventKind: TypeAlias = Literal[
    "run_started",
    "step_started",
    "step_retrying",
    "step_completed",
    "step_failed",
    "branch",
    "delta",
    "data",
    "log",
    "progress",
    "suspended",
    "run_retrying",
    "run_completed",
    "run_failed",
    "run_cancelled",
    "missed",
]

TERMINAL: frozenset[str] = frozenset({"run_completed", "run_failed", "run_cancelled"})
"""A run ends with exactly one of these; nothing is told after it."""

OF_RUNS: frozenset[str] = TERMINAL | {"run_started", "run_retrying"}
"""Told by the service alone, whatever runs."""

PASSING: frozenset[str] = frozenset({"delta", "data", "log", "progress"})
"""What steps say on the way: it makes way where a reader is slow. All else is kept for it."""


@dataclass(frozen=True, slots=True)
class Event:
    """One fact about a run.

    Attributes:
        kind: What happened.
        sequence: 1, 2, 3 … without gaps within a run. A reader that was too slow finds a ``missed`` event in the
            place of those that it did not get, with the number of the last of them.
        run_id: The run.
        time: Seconds since the epoch, UTC; never less than that of the event before.
        step: Node id, where the event is a step's; of an item of a map ``resize[3]``.
        attempt: The step's attempt, from 1.
        data: What else is known, by kind. ``docs/events.md`` lists it.
    """

    kind: EventKind
    sequence: int
    run_id: str
    time: float
    step: str | None = None
    attempt: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


Listener: TypeAlias = Callable[[Event], None]
"""Called on the home loop, in order, and must not block. What it raises is logged, and changes nothing.

A ``Feed`` is a listener, too: the one for a reader that takes its time.
"""
