"""Answers to what suspended jobs ask, as far as a question's schema tells."""

from __future__ import annotations

import enum
from datetime import date
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import to_json

from pipemount.errors import InvalidInputsError
from pipemount.jobs.answers import check_answer


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"


class Address(BaseModel):
    street: str
    number: int = 1


class Delivery(BaseModel):
    to: list[Address]
    on: date
    size: Size | None = None


TYPES: list[Any] = [
    bool,
    int,
    float,
    str,
    None,
    date,
    bytes,
    Any,
    Size,
    Literal["yes", "no", 3],
    Address,
    Delivery,
    int | None,
    bool | list[int],
    list[Address],
    dict[str, int],
    tuple[int, str],
    set[int],
]


def asked(of: Any) -> dict[str, Any]:
    return {"key": "ask?1", "step": "ask", "reason": "?", "schema": TypeAdapter(of).json_schema() or None}


def fits(of: Any, answer: Any) -> bool:
    try:
        check_answer(asked(of), to_json(answer))
    except InvalidInputsError:
        return False
    return True


@pytest.mark.parametrize(
    ("of", "answer", "loc"),
    [
        (bool, "perhaps", ["body"]),
        (int, 1.5, ["body"]),
        (str, 5, ["body"]),
        (Size, "m", ["body"]),
        (Literal["yes", "no"], "maybe", ["body"]),
        (Address, "Via Roma 1", ["body"]),
        (Address, {"number": 1}, ["body", "street"]),
        (Delivery, {"to": [{"street": "a", "number": "x"}], "on": "2026-01-01"}, ["body", "to", 0, "number"]),
        (int | None, "x", ["body"]),
        (list[int], [1, "x"], ["body", 1]),
        (list[int], 1, ["body"]),
    ],
)
def test_what_cannot_fit_is_refused_with_its_place(of: Any, answer: Any, loc: list[Any]) -> None:
    with pytest.raises(InvalidInputsError) as raised:
        check_answer(asked(of), to_json(answer))
    assert raised.value.errors[0]["loc"] == loc
    assert raised.value.errors[0]["msg"]


def test_a_question_of_any_type_takes_anything() -> None:
    check_answer({"key": "ask?1", "schema": {}}, b'"x"')
    check_answer({"key": "ask?1"}, b"[1]")
    check_answer({"key": "ask?1", "schema": {"type": "string", "format": "date"}}, b"5")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.sampled_from(["", "s", "yes", "1", "2026-01-01", 1.5, 2.0]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["street", "number", "to", "on", "size"]), inner, max_size=4)
    ),
    max_leaves=6,
)


@given(st.sampled_from(TYPES), JSON)
def test_what_the_step_would_take_is_never_refused(of: Any, answer: Any) -> None:
    try:
        TypeAdapter(of).validate_json(to_json(answer))
    except ValidationError:
        return
    assert fits(of, answer), f"{of}: {answer!r}"
