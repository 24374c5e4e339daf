"""Quotas that fill up evenly."""

from __future__ import annotations

import random

import pytest

from pipemount.runtime import rates as module
from pipemount.runtime.rates import Rates
from pipemount.settings import RateLimit


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


ANN, BOB = ("key", "ann"), ("key", "bob")


def spent(rates: Rates, caller: tuple[str, str], count: int) -> int:
    """How many of ``count`` requests are let through now."""
    through = 0
    for _ in range(count):
        if rates.wait(caller) == 0:
            rates.count(caller)
            through += 1
    return through


def test_a_quota_may_be_used_at_once_and_fills_up_evenly() -> None:
    clock = Clock()
    rates = Rates(RateLimit(10, 5), clock)

    assert spent(rates, ANN, 20) == 10
    assert rates.wait(ANN) == pytest.approx(0.5)
    clock.now += 1.0
    assert spent(rates, ANN, 20) == 2
    assert spent(rates, BOB, 20) == 10, "each caller has a quota of its own"
    clock.now += 100
    assert spent(rates, ANN, 20) == 10, "it does not grow beyond itself"


def test_in_any_window_no_more_than_twice_the_quota_and_over_time_just_the_quota() -> None:
    clock, draw = Clock(), random.Random(5)
    rates, times = Rates(RateLimit(7, 3), clock), []
    for _ in range(5000):
        clock.now += draw.random() / 5
        times += [clock.now] * spent(rates, ANN, draw.randrange(3))

    assert max(sum(start <= t < start + 3 for t in times) for start in times) <= 14
    assert len(times) <= 7 + (clock.now - 1000) * 7 / 3 + 1e-6
    assert len(times) >= (clock.now - 1000) * 7 / 3 * 0.95


def test_several_at_once_are_let_through_together_or_not() -> None:
    rates = Rates(RateLimit(10, 10), Clock())

    rates.count(ANN, 8)
    assert rates.wait(ANN, 2) == 0
    assert rates.wait(ANN, 3) == pytest.approx(1.0)
    assert rates.wait(ANN, 11) == 10, "never: as good as any time"


def test_what_is_left_is_told_and_when_there_is_more() -> None:
    clock = Clock()
    rates = Rates(RateLimit(4, 60), clock)

    assert rates.left(ANN) == (4, 0)
    rates.count(ANN)
    assert rates.left(ANN) == (3, 15)
    rates.count(ANN, 3)
    assert rates.left(ANN) == (0, 15)
    clock.now += 14.5
    assert rates.left(ANN) == (0, 1)
    assert rates.wait(ANN) <= 1, "who comes back when it was told is let through"


def test_the_apps_own_code_has_no_quota() -> None:
    rates = Rates(RateLimit(1, 60), Clock())
    for _ in range(5):
        assert rates.wait(None, 9) == 0
        rates.count(None)


def test_callers_are_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 10)
    clock = Clock()
    rates = Rates(RateLimit(5, 10), clock)
    for number in range(10):
        rates.count(("user", f"old {number}"))
    clock.now += 60
    rates.count(ANN, 5)
    assert rates.wait(ANN) > 0, "those whose quota is full again go first"
    for number in range(10):
        rates.count(("user", f"new {number}"))
    assert rates.wait(ANN) > 0, "and then those who asked least"
    assert len(rates._full) <= 10
