"""What runs when, and what is retried: decided without a loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pipemount import Retry, pipeline, step
from pipemount.runtime.plan import Plan, build_plan
from pipemount.runtime.scheduler import Scheduler, retry_delay


@step
def one(value: int = 1) -> int:
    return value


@step
def join(left: int, right: int) -> int:
    return left + right


@step
async def later(value: int) -> int:
    return value


@step(timeout=1)
def timed(value: int) -> int:
    return value


def shape(plan: Plan) -> list[list[str]]:
    return [[planned.node.id for planned in segment.nodes] for segment in plan.units]


def plan_of(body: Callable[..., Any]) -> Plan:
    return build_plan(pipeline(body).compile())


def test_a_chain_of_sync_steps_is_one_segment() -> None:
    def body(x: int) -> int:
        return one(one(one(x)))  # type: ignore[no-any-return]  # steps answer references here

    plan = plan_of(body)

    assert shape(plan) == [["one", "one_2", "one_3"]]
    assert plan.ways is not None


def test_a_chain_changes_segment_where_it_changes_place() -> None:
    def body(x: int) -> int:
        return one(later(later(one(x))))  # type: ignore[no-any-return]  # as above

    assert shape(plan_of(body)) == [["one"], ["later", "later_2"], ["one_2"]]


def test_a_step_that_the_loop_times_has_a_hop_of_its_own() -> None:
    def body(x: int) -> int:
        return one(timed(one(x)))  # type: ignore[no-any-return]  # as above

    assert shape(plan_of(body)) == [["one"], ["timed"], ["one_2"]]


def test_a_value_used_twice_along_a_chain_does_not_split_it() -> None:
    def body(x: int) -> int:
        first = one(x)
        second = one(first)
        return join(first, second)  # type: ignore[no-any-return]  # as above

    assert shape(plan_of(body)) == [["one", "one_2", "join"]]


def test_independent_steps_are_ready_together_and_what_joins_them_last() -> None:
    def body(x: int) -> int:
        return join(one(x), one(x))  # type: ignore[no-any-return]  # as above

    plan = plan_of(body)
    scheduler = Scheduler(plan.units, plan.waiting)

    assert shape(plan) == [["one"], ["one_2"], ["join"]]
    assert plan.ways is None
    assert scheduler.start() == [0, 1]
    assert scheduler.completed(1, plan.every) == []
    assert scheduler.completed(0, plan.every) == [2]
    assert scheduler.completed(2, plan.every) == []


def test_two_chains_beside_each_other_are_two_segments() -> None:
    def body(x: int) -> tuple[int, int]:
        return one(one(x)), one(one(x))

    assert shape(plan_of(body)) == [["one", "one_2"], ["one_3", "one_4"]]


@pytest.mark.parametrize(
    ("attempt", "error", "draw", "expected"),
    [
        (1, ValueError(), 0.0, 1.0),
        (2, ValueError(), 0.0, 3.0),
        (3, ValueError(), 0.0, 5.0),
        (1, ValueError(), 0.5, 1.25),
        (4, ValueError(), 0.0, None),
        (1, OSError(), 0.0, None),
    ],
)
def test_delays_grow_up_to_their_cap_and_only_for_listed_errors(
    attempt: int, error: Exception, draw: float, expected: float | None
) -> None:
    retry = Retry(attempts=4, delay=1.0, backoff=3.0, max_delay=5.0, jitter=0.5, on=(ValueError,))

    assert retry_delay(retry, attempt, error, draw) == expected


def test_without_a_policy_a_failure_stands() -> None:
    assert retry_delay(None, 1, ValueError(), 0.0) is None


def test_a_delay_never_exceeds_its_bound_whatever_the_jitter_and_however_many_attempts() -> None:
    assert retry_delay(Retry(attempts=2, delay=60, jitter=1), 1, ValueError(), 1.0) == 60
    assert retry_delay(Retry(attempts=9000, delay=1, max_delay=7), 8000, ValueError(), 0.0) == 7
    assert retry_delay(Retry(attempts=9000), 8000, ValueError(), 0.0) == 0
