"""Decides, and never acts: which segments are ready, what is retried and when. Knows no clock, thread or loop."""

from __future__ import annotations

from ..pipelines.snapshot import Retry
from .plan import Plan

__all__ = ["Scheduler", "retry_delay"]


class Scheduler:
    """The order of one run: told what ended, it answers what is ready.

    Not thread-safe; the executor calls it on the home loop only.
    """

    __slots__ = ("_left", "_plan", "_waiting")

    def __init__(self, plan: Plan) -> None:
        self._plan, self._left = plan, len(plan.segments)
        self._waiting = [len(segment.needs) for segment in plan.segments]

    def start(self) -> list[int]:
        """Indexes of the segments that need nothing."""
        return [index for index, count in enumerate(self._waiting) if count == 0]

    @property
    def ended(self) -> bool:
        """Whether every segment has ended."""
        return self._left == 0

    def completed(self, index: int) -> list[int]:
        """Indexes of the segments that became ready because segment ``index`` ended."""
        self._left -= 1
        ready = []
        for other in self._plan.segments[index].feeds:
            self._waiting[other] -= 1
            if self._waiting[other] == 0:
                ready.append(other)
        return ready


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
