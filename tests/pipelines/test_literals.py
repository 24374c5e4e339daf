"""Values as an author would write them."""

from __future__ import annotations

from enum import Enum, Flag, IntEnum, StrEnum
from typing import Any

import pytest

from pipemount.pipelines.literals import written


class Color(Enum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


class Tone(StrEnum):
    LOUD = "loud"


class Access(Flag):
    READ = 1
    WRITE = 2


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Color.RED, "Color.RED"),
        (Level.LOW, "Level.LOW"),
        (Tone.LOUD, "Tone.LOUD"),
        (Access.READ, "Access.READ"),
        (Access.READ | Access.WRITE, "Access.READ|Access.WRITE"),
        (Access(0), "<Access: 0>"),
        ([Color.RED, 1], "[Color.RED, 1]"),
        ((Color.RED,), "(Color.RED,)"),
        ((), "()"),
        ({Color.RED: [Tone.LOUD]}, "{Color.RED: [Tone.LOUD]}"),
        pytest.param({"b", "a"}, "{'a', 'b'}", id="set"),
        (frozenset({Color.RED}), "frozenset({Color.RED})"),
        (set(), "set()"),
        ("a", "'a'"),
        (None, "None"),
    ],
    ids=str,
)
def test_values_as_they_are_written(value: Any, text: str) -> None:
    assert written(value) == text
