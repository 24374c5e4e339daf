"""The clock of the database, by which leases are measured, beside one that never jumps."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from time import monotonic

__all__ = ["Clock"]

logger = logging.getLogger("pipemount")


class Clock:
    """Notices that the clock of the database was set.

    Where it jumps ahead all leases have run out at once, though nobody is late. So none is taken away for the length of
    a lease: who lives renews his by the new time meanwhile, and the others' are still out afterwards.

    Args:
        lease: The length of a lease, in seconds.
    """

    def __init__(self, lease: float) -> None:
        self._lease = lease
        self._last: tuple[float, float] | None = None
        self._in_doubt_until = 0.0

    async def is_sure(self, tell: Callable[[], Awaitable[float]]) -> bool:
        """Whether a lease that has run out is one that was not renewed; ``tell`` asks the database for its time."""
        asked = monotonic()
        now = await tell()
        at = monotonic()
        last, self._last = self._last, (now, at)
        if at - asked > self._lease / 4:  # it took too long to be compared
            self._last = None
        elif last is not None and abs(jump := now - last[0] - (at - last[1])) > self._lease / 2:
            logger.warning("the clock of the database of jobs was set by %+.0f s; no lease is lost by that", jump)
            self._in_doubt_until = at + self._lease
        return at >= self._in_doubt_until
