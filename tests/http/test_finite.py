"""Numbers that JSON does not have, held against a parser that reads all of them."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic_core import from_json

from pipemount.errors import MalformedRequestError
from pipemount.http.finite import refuse_non_finite

DIGITS = st.text("0123456789", max_size=4).flatmap(lambda some: st.integers(0, 330).map(lambda n: some + "7" * n))
NUMBERS = st.builds(
    lambda sign, whole, part, exponent: sign + (whole.lstrip("0") or "0") + part + exponent,
    st.sampled_from(["", "-"]),
    DIGITS,
    st.one_of(st.just(""), DIGITS.map(lambda digits: f".{digits}0")),
    st.one_of(
        st.just(""),
        st.builds(
            "".join, st.tuples(st.sampled_from("eE"), st.sampled_from(["", "+", "-"]), st.integers(0, 400).map(str))
        ),
        st.integers(0, 400).map(lambda n: f"e+000{n}"),
    ),
)
TEXTS = st.one_of(st.sampled_from(["NaN", "1e999", "-Infinity", "9" * 400]), st.text(max_size=5)).map(json.dumps)
VALUES = st.recursive(
    st.one_of(NUMBERS, TEXTS, st.sampled_from(["null", "NaN", "Infinity", "-Infinity"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[" + ", ".join(items) + "]"),
        st.dictionaries(TEXTS, inner, max_size=2).map(
            lambda items: "{" + ",".join(f"{key}:{item}" for key, item in items.items()) + "}"
        ),
    ),
    max_leaves=5,
)


def finite(value: Any) -> bool:
    """Whether all numbers are, as doubles."""
    if isinstance(value, dict):
        return all(map(finite, value.values()))
    if isinstance(value, list):
        return all(map(finite, value))
    return not isinstance(value, int | float) or math.isfinite(float(str(value)))


def refused(body: bytes) -> bool:
    try:
        refuse_non_finite(body)
    except MalformedRequestError as error:
        assert "a number that JSON does not" in str(error)
        return True
    return False


@given(VALUES)
@example("1" + "0" * 250 + "e99")
@example("9" * 309)
@example("17976931348623158" + "0" * 292)
@example("17976931348623159" + "0" * 292)
@example("1E+309")
@example("1e0000000000000309")
@example("[1.5e-400]")
def test_refused_is_what_is_not_finite(text: str) -> None:
    body = text.encode()
    assert refused(body) == (not finite(from_json(body)))


@pytest.mark.parametrize("body", [b'"NaN"', b'{"Infinity":"-Infinity"}', b'["1e999"]', b'"' + b"9" * 400 + b'"', b"{}"])
def test_texts_that_look_like_them_are_texts(body: bytes) -> None:
    assert not refused(body)
