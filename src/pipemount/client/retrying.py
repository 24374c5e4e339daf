"""What is tried again, and when: back-off with full jitter, bounded by count and by the caller's time."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from time import monotonic, time

from ..errors import (
    ConfigurationError,
    ForeignAnswerError,
    IdempotencyRunningError,
    PipemountError,
    RunError,
    UnreachableError,
)

__all__ = ["Retries", "may_repeat", "parse_retry_after"]

REFUSED = (429, 503)
MOST_SECONDS = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How often, and after how long, a request is sent again.

    The n-th pause is drawn from 0 to ``first * 2**n`` seconds, at most ``most``, and comes on top of what the server
    asked for with ``Retry-After``.

    Attributes:
        attempts: Further attempts after the first; 0 for none.
        first: Seconds, the longest first pause.
        most: Seconds, the longest pause that is our own choice.
        patience: Seconds that a server may ask for; a request that would have to wait longer fails at once.
        random: Draws from 0 to 1.
        clock: Tells the time that pauses and timeouts are reckoned by, as ``time.monotonic``.
        now: Tells the time of the day, for a ``Retry-After`` that is a date.
    """

    attempts: int = 8
    first: float = 0.1
    most: float = 10.0
    patience: float = 120.0
    random: Callable[[], float] = random.random
    clock: Callable[[], float] = monotonic
    now: Callable[[], float] = time

    def __post_init__(self) -> None:
        if self.attempts < 0 or min(self.first, self.most, self.patience) < 0:
            raise ConfigurationError("Retries(…): attempts, first, most and patience cannot be below 0")

    def pause(
        self, attempt: int, error: PipemountError, until: float | None = None, first: float | None = None
    ) -> float | None:
        """Seconds to wait after attempt number ``attempt`` (from 0) failed; ``None`` where there is no other.

        Args:
            attempt: How many were made before.
            error: What it failed with.
            until: When the caller gives up, on ``clock``.
            first: In the place of ``self.first``.
        """
        asked = float(getattr(error, "retry_after", None) or 0)
        if attempt >= self.attempts or asked > self.patience:
            return None
        longest = min(self.most, (self.first if first is None else first) * 2.0 ** min(attempt, 64))
        seconds = asked + self.random() * longest
        return None if until is not None and self.clock() + seconds >= until else seconds


def may_repeat(error: PipemountError, *, repeatable: bool, before: bool) -> bool:
    """Whether the request that failed with ``error`` may be sent again.

    Args:
        error: What it failed with.
        repeatable: Whether the server makes one of two: a GET, or a request with an idempotency key.
        before: Whether it was sent before, so that what runs under its key is our own.
    """
    if isinstance(error, IdempotencyRunningError):
        return before
    if isinstance(error, RunError):  # a step chose the status: the pipeline did run
        return False
    if isinstance(error, ForeignAnswerError):  # a gateway may answer 503 for a server that had begun
        return error.status == 429 or (repeatable and error.status in REFUSED)
    return error.status in REFUSED or (repeatable and isinstance(error, UnreachableError))


def parse_retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """The seconds of a ``Retry-After`` header (RFC 9110, section 10.2.3), which may be a date; ``None`` without one.

    A date is reckoned from the answer's own ``Date``, if it has one: clocks differ.
    """
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(min(int(value[:12]), MOST_SECONDS))
    then = _seconds(value)
    if then is None:
        return None
    sent = _seconds(headers.get("date", ""))
    return max(0.0, then - (now if sent is None else sent))


def _seconds(date: str) -> float | None:
    try:
        found = parsedate_to_datetime(date)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()  # of the oldest form: GMT, unsaid
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
