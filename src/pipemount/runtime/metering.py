"""What a pipeline's runs came to: counted on the hot path, in any thread, at the cost of a few appends."""

from __future__ import annotations

import asyncio
import math
import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

from ..errors import DeadlineExceededError, RequestError, RunCancelledError, RunError, StepTimeoutError
from .failures import suspends

__all__ = ["BUCKETS", "RESULTS", "Durations", "Meter", "RunResult", "percentiles", "result_of"]

RunResult: TypeAlias = Literal["success", "failure", "error", "timeout", "cancellation"]

RESULTS: tuple[RunResult, ...] = ("success", "failure", "error", "timeout", "cancellation")
"""How a run can end: those of OpenTelemetry's ``cicd.pipeline.result`` but ``skip``, which no run does."""

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)
"""Upper bounds of the histogram, in seconds; what took longer still is in one more."""

KEPT = 1024
"""Durations that percentiles are taken of: those of the last so many runs of a pipeline."""

FOLD = 256
"""Durations that are held before they become numbers."""


class Durations(NamedTuple):
    """A histogram.

    Attributes:
        counts: By bucket, not cumulated; one more than there are ``BUCKETS``.
        total: Of all durations, in seconds.
    """

    counts: Sequence[int]
    total: float


class Meter:
    """Counts the runs of one pipeline in this process. Safe from any thread, and exact.

    ``append`` and ``pop`` of a deque are atomic, and ``+=`` on an attribute is not: so what happens is appended to a
    deque, and whoever finds a full one, or asks, makes numbers of it under a lock.

    Attributes:
        running: One entry for each run under way: whoever runs one appends ``None``, and pops it at the end.
    """

    __slots__ = ("_counts", "_ended", "_failed", "_lock", "_recent", "_total", "running")

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin from nothing, as in a forked child: what has run is the parent's."""
        self.running: deque[None] = deque()
        self._ended: deque[float] = deque()
        self._recent: deque[float] = deque(maxlen=KEPT)
        self._lock = threading.Lock()
        self._counts = [0] * (len(BUCKETS) + 1)
        self._total = 0.0
        self._failed: dict[RunResult, int] = dict.fromkeys(RESULTS[1:], 0)

    def ended(self, seconds: float) -> None:
        """A run ended, after so long."""
        self._ended.append(seconds)
        if len(self._ended) >= FOLD:
            self._fold()

    def failed(self, seconds: float, error: BaseException) -> None:
        """A run ended with ``error``; one that was refused before anything was executed does not count."""
        result = result_of(error)
        if result is None:
            return
        self.ended(seconds)
        with self._lock:
            self._failed[result] += 1

    def _fold(self) -> None:
        with self._lock:
            folded = [self._ended.popleft() for _ in range(len(self._ended))]  # what comes meanwhile is the next one's
            self._total += math.fsum(folded)
            self._recent.extend(folded)
            folded.sort()  # and then a look per bucket: a third of the work of a look per duration
            below = 0
            for bucket, bound in enumerate(BUCKETS):
                within = bisect_right(folded, bound, below)
                self._counts[bucket] += within - below
                below = within
            self._counts[-1] += len(folded) - below

    # ------------------------------------------------------------------------------------------ reading

    @property
    def active(self) -> int:
        """Runs under way."""
        return len(self.running)

    @property
    def recent(self) -> Sequence[float]:
        """The durations of the last runs, in the order of their ends."""
        self._fold()
        with self._lock:
            return self._recent.copy()

    def durations(self) -> Durations:
        """How long the runs took that have ended, whatever came of them."""
        self._fold()
        with self._lock:
            return Durations(tuple(self._counts), self._total)

    def results(self) -> Mapping[RunResult, int]:
        """How many runs ended how."""
        failed = dict(self._failed)  # first: each of them is among the runs by now
        return {"success": sum(self.durations().counts) - sum(failed.values()), **failed}


def result_of(error: BaseException) -> RunResult | None:
    """What a run came to that raised ``error``; ``None`` where nothing was executed, or it goes on another time."""
    if isinstance(error, RequestError) or suspends(error):
        return None
    if isinstance(error, DeadlineExceededError | StepTimeoutError):
        return "timeout"
    if isinstance(error, RunCancelledError | asyncio.CancelledError | GeneratorExit):
        return "cancellation"
    return "failure" if isinstance(error, RunError) else "error"


def percentiles(durations: Iterable[float], wanted: Sequence[int] = (50, 95, 99)) -> dict[str, float | None]:
    """``p50`` and so on, in seconds, by nearest rank; ``None`` where nothing has run yet."""
    found = sorted(durations)
    if not found:
        return {f"p{percent}": None for percent in wanted}
    return {f"p{percent}": found[math.ceil(len(found) * percent / 100) - 1] for percent in wanted}
