"""Decides, and never acts: which units are ready, what is retried and when. Knows no clock, thread or loop."""

from __future__ import annotations

from collections.abc import Sequence

from ..pipelines.specs import Retry
from .ordering import Unit

__all__ = ["Scheduler", "retry_delay"]


class Scheduler:
    """The order of one run: told what ended, it answers what is ready.

    Not thread-safe; the executor calls it on the home loop only.

    Args:
        units: What is ordered.
        waiting: How many units each of them waits for.
    """

    __slots__ = ("_units", "_waiting")

    def __init__(self, units: Sequence[Unit], waiting: Sequence[int]) -> None:
        self._units, self._waiting = units, list(waiting)

    def copy(self) -> Scheduler:
        """Another one that knows what this one knows."""
        return Scheduler(self._units, self._waiting)

    def start(self) -> list[int]:
        """Indexes of the units that need nothing."""
        return [index for index, count in enumerate(self._waiting) if count == 0]

    def completed(self, index: int, alive: int) -> list[int]:
        """Indexes of the units that became ready because unit ``index`` ended.

        Args:
            index: What ended.
            alive: The paths that the run may still take, as bits. Units on none of them end with it.
        """
        ready: list[int] = []
        ended = [index]
        units, waiting = self._units, self._waiting
        for index in ended:  # and what ends with it
            for other in units[index].feeds:
                waiting[other] -= 1
                if waiting[other] == 0:
                    (ready if units[other].paths & alive else ended).append(other)
            for other in units[index].decides:
                if waiting[other] > 0 and not units[other].paths & alive:
                    waiting[other] = _NEVER
                    ended.append(other)
        return ready


_NEVER = -1
"""What a unit waits for that is skipped before all has ended that it needs; it only ever sinks."""


def retry_delay(retry: Retry | None, attempt: int, error: BaseException, draw: float) -> float | None:
    """Seconds until the attempt after ``attempt`` (from 1), or ``None`` if the failure stands.

    Args:
        retry: The step's policy.
        attempt: The attempt that failed.
        error: What it raised.
        draw: A random number from 0 to 1, for the jitter.
    """
    if retry is None or attempt >= retry.attempts or not isinstance(error, retry.on):
        return None
    try:
        delay = retry.delay * retry.backoff ** (attempt - 1) * (1 + retry.jitter * draw)
    except OverflowError:  # a thousand attempts
        return retry.max_delay if retry.delay else 0.0
    return min(delay, retry.max_delay)
