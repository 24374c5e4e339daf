"""What is told about a run: one frozen fact per event, the one stream that everyone reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

__all__ = ["Event", "EventKind", "Listener"]

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
    "run_completed",
    "run_failed",
    "run_cancelled",
]


@dataclass(frozen=True, slots=True)
class Event:
    """One fact about a run.

    Attributes:
        kind: What happened.
        sequence: 1, 2, 3 … without gaps within a run.
        run_id: The run.
        time: Seconds since the epoch, UTC.
        step: Node id, where the event is a step's.
        attempt: The step's attempt, from 1.
        data: What else is known, by kind: ``step_completed`` has ``duration`` (seconds), ``step_retrying`` has
            ``delay`` and ``error``, ``step_failed`` and ``run_failed`` have ``error``, ``delta`` and ``data`` have
            ``value``, ``log`` has ``level`` and ``message``, ``run_completed`` has ``duration``.
    """

    kind: EventKind
    sequence: int
    run_id: str
    time: float
    step: str | None = None
    attempt: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


Listener: TypeAlias = Callable[[Event], None]
"""Called on the home loop, in order; must not block."""
