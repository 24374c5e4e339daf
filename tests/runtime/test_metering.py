from __future__ import annotations

import asyncio
import sys
import threading

import pytest

from pipemount.errors import (
    DeadlineExceededError,
    InvalidInputsError,
    OverloadedError,
    PipelineError,
    RunCancelledError,
    RunSuspendedError,
    StepTimeoutError,
)
from pipemount.runtime.metering import BUCKETS, FOLD, KEPT, RESULTS, Meter, percentiles, result_of


def test_a_new_meter_has_counted_nothing() -> None:
    meter = Meter()
    assert meter.active == 0
    assert list(meter.recent) == []
    assert meter.results() == dict.fromkeys(RESULTS, 0)
    assert meter.durations() == ((0,) * (len(BUCKETS) + 1), 0.0)


def test_a_run_is_in_the_bucket_that_its_duration_is_at_most() -> None:
    meter = Meter()
    for seconds in (0.0, 0.005, 0.0051, 7200.0, 7201.0):
        meter.ended(seconds)
    counts, total = meter.durations()
    assert (counts[0], counts[1], counts[-2], counts[-1]) == (2, 1, 1, 1)
    assert total == pytest.approx(14401.0101)
    assert sorted(meter.recent) == [0.0, 0.005, 0.0051, 7200.0, 7201.0]


def test_every_result_is_counted_and_failed_runs_took_their_time_too() -> None:
    meter = Meter()
    meter.ended(0.1)
    meter.failed(0.1, PipelineError("no"))
    meter.failed(0.1, ValueError())
    meter.failed(0.1, DeadlineExceededError(timeout=1))
    meter.failed(0.1, asyncio.CancelledError())
    meter.failed(0.1, OverloadedError(retry_after=1))  # nothing was executed
    assert meter.results() == dict.fromkeys(RESULTS, 1)
    assert sum(meter.durations().counts) == 5


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (PipelineError("no", status=404), "failure"),
        (StepTimeoutError(step="a", timeout=1), "timeout"),
        (RunCancelledError("left"), "cancellation"),
        (GeneratorExit(), "cancellation"),
        (KeyboardInterrupt(), "error"),
        (InvalidInputsError(errors=[]), None),
        (RunSuspendedError(step="ask", interrupts=[]), "failure"),
        (RunSuspendedError(step="ask", interrupts=[], question={"key": "ask?1"}), None),
    ],
)
def test_what_a_run_comes_to(error: BaseException, result: str | None) -> None:
    assert result_of(error) == result


def test_runs_under_way_are_those_that_began_and_did_not_end() -> None:
    meter = Meter()
    meter.running.append(None)
    meter.running.append(None)
    meter.running.pop()
    assert meter.active == 1
    meter.forget()
    assert meter.active == 0


def test_a_meter_keeps_a_bounded_number_of_durations() -> None:
    meter = Meter()
    for number in range(5 * KEPT):
        meter.ended(float(number % 2))
    assert len(meter.recent) == KEPT
    assert len(meter._ended) < FOLD
    assert sum(meter.durations().counts) == 5 * KEPT


def test_no_count_is_lost_between_threads() -> None:
    """Eight threads that are switched all the time, and a reader that makes numbers of what they append meanwhile."""
    meter, each, done = Meter(), 4000, threading.Event()
    error = PipelineError("no")

    def run() -> None:
        for number in range(each):
            if number % 4:
                meter.ended(number % 3)
            else:
                meter.failed(number % 3, error)

    def read() -> None:
        while not done.is_set():
            results = meter.results()
            assert results["success"] >= 0

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        reader = threading.Thread(target=read)
        threads = [threading.Thread(target=run) for _ in range(8)]
        for thread in (reader, *threads):
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
        done.set()
        reader.join()
    assert meter.active == 0
    assert meter.results() == dict.fromkeys(RESULTS, 0) | {"success": 6 * each, "failure": 2 * each}
    assert meter.durations().total == pytest.approx(8 * sum(number % 3 for number in range(each)))


def test_percentiles_are_values_that_occurred() -> None:
    assert percentiles([]) == {"p50": None, "p95": None, "p99": None}
    assert percentiles([3.0]) == {"p50": 3.0, "p95": 3.0, "p99": 3.0}
    hundred = [float(number) for number in range(100, 0, -1)]
    assert percentiles(hundred) == {"p50": 50.0, "p95": 95.0, "p99": 99.0}
