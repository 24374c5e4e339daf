"""Arrays and scalars: what is read, what is refused and why, what is written."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from pipemount.errors import InvalidOutputsError
from pipemount.pipelines.codecs import codec_for, coded
from pipemount.pipelines.constants import adapter_for
from pipemount.pipelines.edges import fit
from pipemount.pipelines.schema import Schema

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]
Table = np.ndarray[tuple[int, int], np.dtype[np.float32]]


def adapter(annotation: Any) -> TypeAdapter[Any]:
    return TypeAdapter(coded(annotation))


def read(annotation: Any, value: Any) -> Any:
    return adapter(annotation).validate_json(json.dumps(value))


def written(annotation: Any, value: Any) -> Any:
    return json.loads(adapter(annotation).dump_json(value))


def refusal(annotation: Any, value: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        read(annotation, value)
    return str(caught.value.errors()[0]["msg"])


READ: list[tuple[Any, Any, Any]] = [
    (Floats, [1, 2.5, None], np.array([1, 2.5, np.nan])),
    (Floats, [[1, 2], [3, None]], np.array([[1, 2], [3, np.nan]])),
    (Floats, [], np.array([], dtype=float)),
    (Floats, [10**30], np.array([1e30])),
    (Bytes, [0, 255], np.array([0, 255], dtype=np.uint8)),
    (Bytes, [], np.array([], dtype=np.uint8)),
    (NDArray[np.int16], [1.0, -2], np.array([1, -2], dtype=np.int16)),
    (NDArray[np.bool_], [[True], [False]], np.array([[True], [False]])),
    (NDArray[np.str_], ["a", "bcd"], np.array(["a", "bcd"])),
    (NDArray[np.integer], [1], np.array([1])),
    (NDArray[np.unsignedinteger], [1], np.array([1], dtype=np.uint64)),
    (NDArray[np.floating], [1], np.array([1.0])),
    (NDArray[Any], [[1, 2]], np.array([[1, 2]])),
    (np.ndarray, ["a"], np.array(["a"])),
    (np.ndarray, [None, 1], np.array([np.nan, 1])),
    (Table, [[1, 2]], np.array([[1, 2]], dtype=np.float32)),
    (Table, [], np.empty((0, 0), dtype=np.float32)),
]


@pytest.mark.parametrize(("annotation", "value", "array"), READ)
def test_arrays_are_read_as_their_annotation_says(annotation: Any, value: Any, array: Any) -> None:
    found = read(annotation, value)
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(found, array)


REFUSED: list[tuple[Any, Any, str]] = [
    (Floats, [[1], [2, 3]], "its rows are of unequal length or depth"),
    (Floats, [[1], 2], "its rows are of unequal length or depth"),
    (Floats, ["a"], "its items are texts, not numbers"),
    (Floats, [True], "its items are booleans, not numbers"),
    (Floats, [1, "a"], "its items are of several types or of none that is known (int, str)"),
    (np.ndarray, [{"a": 1}, None], "its items are of several types or of none that is known (dict, null)"),
    (Floats, [10**400], "int too large to convert to float"),
    (Bytes, [256], "an item is not within the values of uint8"),
    (Bytes, [-1], "an item is not within the values of uint8"),
    (Bytes, [0.5], "an item is not within the values of uint8"),
    (Bytes, [None], "an item is not within the values of uint8"),
    (NDArray[np.float16], [1e300], "an item is not within the values of float16"),
    (NDArray[np.bool_], [1], "its items are integers, not booleans"),
    (NDArray[np.str_], [1], "its items are integers, not texts"),
    (Table, [1], "it has 1 dimensions, not 2"),
]


@pytest.mark.parametrize(("annotation", "value", "reason"), REFUSED)
def test_what_no_such_array_can_be_made_of_is_refused_with_the_reason(annotation: Any, value: Any, reason: str) -> None:
    assert refusal(annotation, value) == f"Input cannot be read as ndarray: {reason}"


def test_what_is_no_list_is_refused_before() -> None:
    assert refusal(Floats, 3) == "Input should be a valid array"


WRITTEN: list[tuple[Any, Any, Any]] = [
    (Floats, np.array([1.5, np.nan, np.inf]), [1.5, None, None]),
    (Floats, np.array([[1.5], [2]]), [[1.5], [2.0]]),
    (NDArray[np.float16], np.array([0.5], dtype=np.float16), [0.5]),
    (NDArray[np.longdouble], np.array([0.5], dtype=np.longdouble), [0.5]),
    (Bytes, np.array([7], dtype=np.uint8), [7]),
    (NDArray[np.bool_], np.array([True]), [True]),
    (np.ndarray, np.array(["a"]), ["a"]),
    (np.ndarray, np.array(3), [3]),
]


@pytest.mark.parametrize(("annotation", "array", "value"), WRITTEN)
def test_arrays_are_written_as_lists(annotation: Any, array: Any, value: Any) -> None:
    assert written(annotation, array) == value


def test_an_array_without_a_form_in_json_is_the_steps_fault() -> None:
    schema = Schema(np.ndarray, adapter(np.ndarray), "serialization")
    with pytest.raises(InvalidOutputsError):
        schema.dump_json(np.array([1j]))


def test_the_schema_tells_items_and_dimensions() -> None:
    items = {"anyOf": [{"type": "number"}, {"type": "null"}]}
    assert adapter(Table).json_schema() == {"type": "array", "items": {"type": "array", "items": items}}
    assert adapter(NDArray[np.int8]).json_schema() == {
        "type": "array",
        "items": {"anyOf": [{"type": "integer"}, {"type": "array"}]},
    }
    assert adapter(Floats).json_schema(mode="serialization") == adapter(Floats).json_schema()


@pytest.mark.parametrize("annotation", [NDArray[np.complex128], NDArray[np.datetime64], np.number, np.datetime64])
def test_elements_without_a_form_in_json_have_no_codec(annotation: Any) -> None:
    assert codec_for(annotation) is None


def test_an_array_that_is_of_the_form_is_passed_on_as_it_is() -> None:
    array = np.array([1.0])
    assert adapter(Floats).validate_python(array) is array
    assert adapter(NDArray[np.floating]).validate_python(array) is array
    assert adapter(np.ndarray).validate_python(array) is array
    assert adapter(NDArray[np.str_]).validate_python(np.array(["a"])).tolist() == ["a"]


def test_an_array_of_another_form_is_converted_or_refused() -> None:
    assert adapter(Floats).validate_python(np.array([1])).dtype == np.float64
    with pytest.raises(ValidationError, match="an item is not within the values of uint8"):
        adapter(Bytes).validate_python(np.array([300]))


SCALARS: list[tuple[type, Any]] = [
    (np.float64, 1.5),
    (np.float32, 0.5),
    (np.int8, -3),
    (np.uint64, 2**64 - 1),
    (np.bool_, True),
    (np.str_, "a"),
]


@pytest.mark.parametrize(("kind", "value"), SCALARS)
def test_scalars_are_read_and_written(kind: type, value: Any) -> None:
    found = read(kind, value)
    assert type(found) is kind
    assert found == value
    assert written(kind, found) == value
    assert read(list[kind], [value]) == [value]  # type: ignore[valid-type]  # a type made at run time


def test_scalars_that_are_out_of_range_are_refused() -> None:
    assert refusal(np.int8, 128) == "Input cannot be read as int8: an item is not within the values of int8"
    assert refusal(np.int64, 10**30).startswith("Input cannot be read as int64: its items are")
    assert refusal(np.float32, "x").startswith("Input should be a valid number")
    assert written(np.float64, np.float64("nan")) is None


def test_edges_between_arrays() -> None:
    assert fit(Floats, np.ndarray) == "ok"
    assert fit(Floats, Floats) == "ok"
    assert fit(np.ndarray, Floats) == "coerce"
    assert fit(Floats, Bytes) == "coerce"
    assert fit(list[float], Floats) == "coerce"
    assert fit(int, Floats) == "never"
    assert fit(str, Floats) == "never"
    assert fit(np.float64, float) == "ok"
    assert fit(float, np.float32) == "coerce"
    assert fit(list[int], np.float32) == "never"
    assert adapter_for(Bytes).validate_python([1, 2]).dtype == np.uint8


def test_texts_that_would_fill_the_memory_are_refused_unmade() -> None:
    texts: TypeAdapter[Any] = TypeAdapter(coded(np.ndarray))
    with pytest.raises(ValidationError, match="10001 texts of the length of its longest are too large"):
        texts.validate_python(["x" * 100_000, *[""] * 10_000])
    assert texts.validate_python(["x" * 1000, *[""] * 1000]).dtype == "<U1000"
