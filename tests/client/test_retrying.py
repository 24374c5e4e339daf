"""What is tried again, and when."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipemount import errors
from pipemount.client.retrying import Retries, may_repeat, parse_retry_after
from pipemount.errors import ConfigurationError, OverloadedError, PipemountError
from pipemount.errors.problems import from_problem

BUSY = OverloadedError(retry_after=0)
DOWN = errors.UnreachableError(url="http://a", reason="refused")


@given(st.integers(0, 200), st.floats(0, 1, exclude_max=True))
def test_pauses_grow_to_a_limit_with_full_jitter(attempt: int, chance: float) -> None:
    retries = Retries(attempts=1000, first=0.5, most=8, random=lambda: chance)
    assert retries.pause(attempt, BUSY) == pytest.approx(chance * min(8, 0.5 * 2**attempt))


def test_what_the_server_asks_for_is_waited_and_the_jitter_comes_on_top() -> None:
    retries = Retries(first=0.5, random=lambda: 0.5)
    assert retries.pause(0, OverloadedError(retry_after=7)) == 7.25
    assert retries.pause(0, OverloadedError(retry_after=7), None, 4.0) == 9.0


def test_attempts_are_counted() -> None:
    assert Retries(attempts=2).pause(1, BUSY) is not None
    assert Retries(attempts=2).pause(2, BUSY) is None
    assert Retries(attempts=0).pause(0, BUSY) is None


def test_a_server_that_asks_for_too_long_is_not_waited_for() -> None:
    retries = Retries(patience=60)
    assert retries.pause(0, OverloadedError(retry_after=60)) is not None
    assert retries.pause(0, OverloadedError(retry_after=61)) is None


def test_no_pause_goes_beyond_the_callers_time() -> None:
    retries = Retries(first=4, random=lambda: 0.5, clock=lambda: 100.0)
    assert retries.pause(0, BUSY, until=102.5) == 2.0
    assert retries.pause(0, BUSY, until=102.0) is None


@pytest.mark.parametrize("wrong", [{"attempts": -1}, {"first": -1}, {"most": -0.1}, {"patience": -1}])
def test_what_cannot_be_below_zero(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="cannot be below 0"):
        Retries(**wrong)


RUNNING = from_problem({"code": "idempotency-running", "detail": "still runs"}, status=409)


@pytest.mark.parametrize(
    ("error", "always", "repeatable", "again"),
    [
        (BUSY, True, True, True),
        (errors.UnavailableError("starting"), True, True, True),
        (errors.StoreError("down"), True, True, True),
        (DOWN, False, True, True),
        (errors.NoAnswerError(url="u"), False, False, False),
        (errors.PipelineError("none left", status=503), False, False, False),
        (errors.PipelineError("slow down", status=429), False, False, False),
        (errors.ForeignAnswerError("a gateway", status=503), False, True, True),
        (errors.ForeignAnswerError("a gateway", status=429), True, True, True),
        (errors.ForeignAnswerError("a gateway", status=502), False, False, False),
        (errors.UnauthenticatedError("no", challenges=()), False, False, False),
        (errors.InvalidInputsError(errors=[]), False, False, False),
        (errors.PipemountError("a fault"), False, False, False),
        (RUNNING, False, False, True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_sent_again(error: PipemountError, always: bool, repeatable: bool, again: bool) -> None:
    assert may_repeat(error, repeatable=False, before=False) is always
    assert may_repeat(error, repeatable=True, before=False) is repeatable
    assert may_repeat(error, repeatable=True, before=True) is again


NOW = 784111777.0  # Sun, 06 Nov 1994 08:49:37 GMT


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "120"}, 120.0),
        ({"retry-after": " 0 "}, 0.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "1.5"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "9" * 5000}, 1e9),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:47 GMT"}, 10.0),
        ({"retry-after": "Sunday, 06-Nov-94 08:49:47 GMT"}, 10.0),
        ({"retry-after": "Sun Nov  6 08:49:47 1994"}, 10.0),
        ({"retry-after": "Sun, 06 Nov 1994 08:00:00 GMT"}, 0.0),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:47 GMT", "date": "Sun, 06 Nov 1994 08:49:44 GMT"}, 3.0),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:47 GMT", "date": "?"}, 10.0),
        ({"retry-after": "Sun, 99 Nov 1994 08:49:47 GMT"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert parse_retry_after(headers, NOW) == seconds


@given(st.text())
def test_no_text_of_a_retry_after_raises(text: str) -> None:
    found = parse_retry_after({"retry-after": text}, NOW)
    assert found is None or found >= 0
