"""Growing pauses between attempts at something that keeps failing."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Backoff"]


class Backoff:
    """Pauses of 1, 2, 4 … seconds up to a bound; one success begins anew.

    Args:
        clock: Seconds.
        longest: The upper bound, in seconds.

    Example:
        >>> backoff = Backoff(lambda: 100.0)
        >>> backoff.failed(); backoff.failed(); backoff.wait
        2.0
    """

    def __init__(self, clock: Callable[[], float], *, longest: float = 30.0) -> None:
        self._clock, self._longest = clock, longest
        self._next: float = clock()
        self._pause = 1.0

    @property
    def wait(self) -> float:
        """Seconds until the next attempt may be made; not above 0 when it may be now."""
        return self._next - self._clock()

    def failed(self) -> None:
        """An attempt failed: the next one waits."""
        self._next = self._clock() + self._pause
        self._pause = min(2 * self._pause, self._longest)

    def succeeded(self) -> None:
        """An attempt succeeded."""
        self._next, self._pause = self._clock(), 1.0
