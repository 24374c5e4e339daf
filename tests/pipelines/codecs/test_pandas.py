"""Frames and series: what is read, what is refused and why, what is written."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter, ValidationError

from pipemount.errors import InvalidOutputsError
from pipemount.pipelines.codecs import coded
from pipemount.pipelines.edges import fit
from pipemount.pipelines.schema import Schema


class Sales(pd.DataFrame):  # type: ignore[misc]  # the library has no types
    """A frame of the team's own."""


FRAME: TypeAdapter[Any] = TypeAdapter(coded(pd.DataFrame))
SERIES: TypeAdapter[Any] = TypeAdapter(coded(pd.Series))


def read(adapter: TypeAdapter[Any], value: Any) -> Any:
    return adapter.validate_json(json.dumps(value))


def written(adapter: TypeAdapter[Any], value: Any) -> Any:
    return json.loads(adapter.dump_json(value))


def test_a_frame_is_read_of_columns() -> None:
    frame = read(FRAME, {"city": ["Rome", "Oslo"], "visits": [3, None]})
    assert list(frame.columns) == ["city", "visits"]
    assert frame["visits"].sum() == 3
    assert frame["visits"].isna().tolist() == [False, True]
    assert read(FRAME, {}).empty


def test_a_series_is_read_of_cells() -> None:
    assert read(SERIES, [1, 2]).tolist() == [1, 2]
    assert read(SERIES, []).empty


REFUSED: list[tuple[Any, str]] = [
    (
        {"a": [1], "b": [1, 2], "c": [1], "d": [1, 2]},
        "Input cannot be read as DataFrame: its columns are of unequal length (a: 1, b: 2)",
    ),
    ({"a": [[1]]}, "Input cannot be read as DataFrame: the column 'a' holds lists or objects, where a cell is"),
    ({"a": 3}, "Input should be a valid array"),
    ([{"a": 1}], "Input should be an object"),
]


@pytest.mark.parametrize(("value", "reason"), REFUSED)
def test_what_is_no_frame_is_refused_with_the_reason(value: Any, reason: str) -> None:
    with pytest.raises(ValidationError) as caught:
        read(FRAME, value)
    assert caught.value.errors()[0]["msg"].startswith(reason)


def test_what_is_no_series_is_refused_with_the_reason() -> None:
    with pytest.raises(ValidationError, match="Input cannot be read as Series: it holds lists or objects"):
        read(SERIES, [{}])


def test_cells_are_written_as_json_knows_them() -> None:
    frame = pd.DataFrame(
        {
            "count": [1, 2],
            "share": [0.5, float("inf")],
            "name": ["a", None],
            "day": [pd.Timestamp("2026-01-02"), pd.NaT],
            "kind": pd.Categorical(["x", "y"]),
            "mixed": np.array([np.float32(0.5), np.int8(3)], dtype=object),
            "yes": [True, False],
            "price": [Decimal("1.50"), None],
            "id": [UUID(int=1), None],
            7: pd.array([1, None], dtype="Int64"),
        },
        index=["r", "s"],
    )
    assert written(FRAME, frame) == {
        "count": [1, 2],
        "share": [0.5, None],
        "name": ["a", None],
        "day": ["2026-01-02T00:00:00", None],
        "kind": ["x", "y"],
        "mixed": [0.5, 3],
        "yes": [True, False],
        "price": ["1.50", None],
        "id": [str(UUID(int=1)), None],
        "7": [1, None],
    }
    assert written(SERIES, pd.Series([1.5, float("nan")], name="share")) == [1.5, None]


UNWRITABLE = [
    pd.DataFrame([[1, 2]], columns=["a", "a"]),
    pd.DataFrame([[1, 2]], columns=[1, "1"]),
    pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")])),
    pd.DataFrame({"a": [object()]}),
]


@pytest.mark.parametrize(
    "frame", UNWRITABLE, ids=["equal names", "names alike in JSON", "names of two parts", "objects"]
)
def test_a_frame_without_a_form_in_json_is_the_steps_fault(frame: Any) -> None:
    with pytest.raises(InvalidOutputsError):
        Schema(pd.DataFrame, FRAME, "serialization").dump_json(frame)


def test_a_class_that_inherits_from_a_frame_is_read_as_itself() -> None:
    assert type(read(TypeAdapter(coded(Sales)), {"a": [1]})) is Sales


def test_the_schema_tells_columns_and_cells() -> None:
    cells = {"type": "array", "items": {"anyOf": [{"type": kind} for kind in ("number", "string", "boolean", "null")]}}
    assert FRAME.json_schema() == {"type": "object", "additionalProperties": cells}
    assert SERIES.json_schema(mode="serialization") == cells


def test_frames_are_passed_on_as_they_are() -> None:
    frame = pd.DataFrame({"a": [1]})
    assert FRAME.validate_python(frame) is frame
    assert fit(pd.DataFrame, pd.DataFrame) == "ok"
    assert fit(Sales, pd.DataFrame) == "ok"
    assert fit(pd.DataFrame, Sales) == "coerce"
    assert fit(str, pd.DataFrame) == "never"
    assert fit(pd.Series, pd.DataFrame) == "coerce"
    assert fit(dict[str, list[int]], pd.DataFrame) == "coerce"
