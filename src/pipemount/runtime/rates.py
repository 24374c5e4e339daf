"""How often each caller may ask: the generic cell rate algorithm, which is a token bucket in one number per caller."""

from __future__ import annotations

import math
from collections.abc import Callable
from time import monotonic

from ..settings import RateLimit
from .admission import Caller

__all__ = ["Rates"]

KEPT = 65_536
"""Callers that are remembered; of more, those who asked least are forgotten."""


class Rates:
    """A quota per caller, which fills up evenly over its window and may be used at once.

    Of each caller one point in time is kept: when its quota will be full again. Who uses it holds a lock.

    Args:
        limit: The quota.
        clock: Seconds.
    """

    def __init__(self, limit: RateLimit, clock: Callable[[], float] = monotonic) -> None:
        self.policy = limit
        self._each, self._clock = limit.window / limit.quota, clock
        self._full: dict[Caller, float] = {}

    def wait(self, caller: Caller, count: int = 1) -> float:
        """Seconds until ``caller`` may ask ``count`` times more; 0 for now. More than the quota is never to be had."""
        if caller is None:
            return 0.0
        if count > self.policy.quota:
            return self.policy.window
        return max(0.0, self._used(caller) + count * self._each - self.policy.window - SLACK)

    def count(self, caller: Caller, count: int = 1) -> None:
        """``caller`` has asked ``count`` times."""
        if caller is None:
            return
        self._full[caller] = self._clock() + self._used(caller) + count * self._each
        if len(self._full) > KEPT:
            self._forget_some()

    def left(self, caller: Caller) -> tuple[int, int]:
        """How often ``caller`` may ask at once, and in how many seconds it may once more than that."""
        unused = self.policy.window - self._used(caller) + SLACK
        left = min(self.policy.quota, int(unused / self._each))
        return left, 0 if left == self.policy.quota else math.ceil((left + 1) * self._each - unused)

    def _used(self, caller: Caller) -> float:
        """What is missing of the quota, as the seconds in which it fills up again."""
        return max(0.0, self._full.get(caller, 0.0) - self._clock())

    def _forget_some(self) -> None:
        now = self._clock()
        self._full = {caller: full for caller, full in self._full.items() if full > now}
        if len(self._full) > KEPT:
            most = sorted(self._full, key=self._full.__getitem__, reverse=True)[: KEPT // 2]
            self._full = {caller: self._full[caller] for caller in most}


SLACK = 1e-9
"""Seconds that are no difference: a quota that is spent and filled up is whole again."""
