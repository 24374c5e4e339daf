"""What waits for a slow reader, and what it is told of the rest."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel

from pipemount.runtime.buffer import PARTS, PATIENCE, UNKNOWN, Buffer, weigh
from pipemount.runtime.events import PASSING, TERMINAL, Event, EventKind


def event(sequence: int, kind: EventKind = "delta", value: Any = "") -> Event:
    return Event(kind, sequence, "run", float(sequence), None, None, {"value": value})


def drained(buffer: Buffer) -> list[Event]:
    found = []
    while (one := buffer.take()) is not None:
        found.append(one)
    return found


def shown(buffer: Buffer) -> list[Any]:
    """Sequence numbers; of what was missed, from where to where."""
    return [(e.data["first"], e.data["last"]) if e.kind == "missed" else e.sequence for e in drained(buffer)]


def test_what_fits_is_kept() -> None:
    buffer = Buffer(4)
    for n in range(1, 5):
        buffer.put(event(n))
    assert shown(buffer) == [1, 2, 3, 4]
    assert buffer.take() is None


def test_what_passes_makes_way_and_is_told() -> None:
    buffer = Buffer(4)
    for n in range(1, 6):
        buffer.put(event(n, "log" if n == 2 else "delta"))
    missed, last = drained(buffer)
    assert (missed.kind, missed.sequence, missed.run_id, missed.time) == ("missed", 4, "run", 4.0)
    assert missed.data == {"first": 1, "last": 4, "kinds": {"delta": 3, "log": 1}}
    assert last.sequence == 5


def test_missed_again_it_is_told_once() -> None:
    buffer = Buffer(4)
    for n in range(1, 100):
        buffer.put(event(n))
    first, *rest = drained(buffer)
    assert first.data["first"] == 1
    assert [e.sequence for e in rest] == list(range(first.data["last"] + 1, 100))
    assert sum(first.data["kinds"].values()) == first.data["last"]


def test_what_a_reader_needs_is_kept_in_its_place() -> None:
    buffer = Buffer(3)
    for n, kind in enumerate(("delta", "step_started", "delta", "delta", "step_completed", "delta"), 1):
        buffer.put(event(n, kind))  # type: ignore[arg-type]  # literals in a tuple
    assert shown(buffer) == [(1, 1), 2, (3, 4), 5, 6]


def test_many_steps_leave_place_for_what_they_say() -> None:
    buffer = Buffer(4)
    for n in range(1, 21):
        buffer.put(event(n, "branch"))
    for n in range(21, 25):
        buffer.put(event(n))
    assert shown(buffer) == list(range(1, 25))


def test_kept_events_do_not_push_each_other_out() -> None:
    buffer = Buffer(4)
    for n in range(1, 4 * PATIENCE + 1):
        buffer.put(event(n, "step_started"))
    assert shown(buffer) == list(range(1, 4 * PATIENCE + 1))


def test_patience_ends_but_the_end_is_told() -> None:
    buffer = Buffer(4)
    for n in range(1, 1001):
        buffer.put(event(n, "step_started"))
    buffer.put(event(1001, "run_completed"))
    *_, last = found = drained(buffer)
    assert len(found) <= 4 * PATIENCE + 2
    assert (found[0].kind, last.kind) == ("missed", "run_completed")


@pytest.mark.parametrize("kind", sorted(TERMINAL))
def test_the_end_survives_whatever_comes_before(kind: EventKind) -> None:
    buffer = Buffer(1)
    for n in range(1, PATIENCE + 1):
        buffer.put(event(n, "branch"))
    buffer.put(event(PATIENCE + 1, kind))
    assert shown(buffer) == [(1, PATIENCE), PATIENCE + 1]


def test_large_values_make_way_before_they_are_many() -> None:
    buffer = Buffer(100, 1000)
    for n in range(1, 8):
        buffer.put(event(n, value="x" * 400))
    assert shown(buffer) == [(1, 5), 6, 7]


def test_one_value_that_is_larger_than_all_may_be_is_let_in() -> None:
    buffer = Buffer(100, 1000)
    buffer.put(event(1, value="x" * 5000))
    assert shown(buffer) == [1]
    buffer.put(event(2))
    buffer.put(event(3, value="x" * 5000))
    assert shown(buffer) == [(2, 2), 3]


def test_it_knows_when_it_is_half_full() -> None:
    buffer = Buffer(4, 1000)
    buffer.put(event(1))
    assert not buffer.crowded
    buffer.put(event(2))
    assert buffer.crowded
    drained(buffer)
    assert not buffer.crowded
    for n in range(4 * PATIENCE // 2):
        assert not buffer.crowded
        buffer.put(event(n, "branch"))
    assert buffer.crowded
    large = Buffer(100, 1000)
    large.put(event(1))
    large.put(event(2, value="x" * 600))
    assert large.crowded


def test_whatever_comes_no_number_is_lost_and_little_is_held() -> None:
    kinds: tuple[EventKind, ...] = ("delta", "log", "step_started", "branch")
    for seed in range(200):
        chance = random.Random(seed)
        limit = chance.randint(1, 8)
        buffer, read, weights = Buffer(limit, 200), [], chance.choices((1, 10, 60), k=4)
        for n in range(1, 301):
            buffer.put(event(n, chance.choices(kinds, weights)[0], "x" * chance.choice((0, 10, 90))))
            assert len(buffer._entries) <= (PATIENCE + 2) * limit + 1
            if chance.random() < 0.3 and (one := buffer.take()) is not None:
                read.append(one)
        buffer.put(event(301, "run_completed"))
        read += drained(buffer)
        expected = 1
        for one in read:
            assert (one.data["first"] if one.kind == "missed" else one.sequence) == expected
            if one.kind == "missed":
                assert sum(one.data["kinds"].values()) == one.sequence - expected + 1
            expected = one.sequence + 1
        assert read[-1].kind == "run_completed"
        assert buffer._bytes == 0
        assert buffer._kept == 0


# --------------------------------------------------------------------------------------------- weight


class Text(BaseModel):
    text: str


@dataclass(slots=True)
class Bare:
    text: str


class Array:
    nbytes = 8000


class Hostile:
    @property
    def nbytes(self) -> int:
        raise ValueError("not now")


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [
        ("x" * 1000, 1000, 1000),
        (b"x" * 1000, 1000, 1000),
        (7, 0, 64),
        (None, 0, 64),
        ({"a": ["x" * 500, ("x" * 500, {"x" * 100})]}, 1100, 1200),
        (Text(text="x" * 1000), 1000, 1200),
        (Bare("x" * 1000), 0, 64),
        (Array(), 8000, 8000),
        ([Array(), Array()], 16000, 16000),
        (Hostile(), UNKNOWN, UNKNOWN),
        (["xx"] * 1_000_000, PARTS, 2 * PARTS),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_are_weighed_roughly(value: Any, least: int, most: int) -> None:
    assert least <= weigh(value) <= most


def test_a_structure_that_contains_itself_has_a_weight() -> None:
    round_and_round: list[Any] = ["x"]
    round_and_round.append(round_and_round)
    assert weigh(round_and_round) < PARTS


def test_every_kind_either_passes_or_is_kept() -> None:
    assert not PASSING & TERMINAL
