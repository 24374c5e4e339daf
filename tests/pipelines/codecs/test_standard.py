"""What needs no codec of ours: the standard library's types, as they go over the wire."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, ValidationError
from typing_extensions import TypedDict

from pipemount.pipelines.authoring import compile_function
from pipemount.pipelines.constants import adapter_for
from pipemount.pipelines.snapshot import Snapshot


@dataclass
class Part:
    data: bytes
    day: datetime.date


class Item(TypedDict):
    price: Decimal
    files: list[Path]


class Model(BaseModel):
    id: UUID
    tags: frozenset[str] = frozenset()


def through(annotation: Any) -> Snapshot:
    def same(value: Any) -> Any:
        return value

    same.__annotations__ = {"value": annotation, "return": annotation}
    return compile_function(same)


ID = "12345678-1234-5678-1234-567812345678"
CASES: list[tuple[Any, Any, Any]] = [
    (bytes, "_wA=", b"\xff\x00"),
    (datetime.datetime, "2026-01-02T03:04:05Z", datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)),
    (datetime.date, "2026-01-02", datetime.date(2026, 1, 2)),
    (datetime.time, "03:04:05", datetime.time(3, 4, 5)),
    (datetime.timedelta, "PT1M", datetime.timedelta(minutes=1)),
    (Decimal, "1.50", Decimal("1.50")),
    (UUID, ID, UUID(ID)),
    (Path, "a/b", Path("a/b")),
    (set[int], [1], {1}),
    (frozenset[str], ["a"], frozenset({"a"})),
    (list[bytes] | None, ["YQ=="], [b"a"]),
    (list[tuple[Path, Decimal]], [["a", "1"]], [(Path("a"), Decimal(1))]),
    (dict[str, UUID], {"a": ID}, {"a": UUID(ID)}),
    (Part, {"data": "_w==", "day": "2026-01-02"}, Part(b"\xff", datetime.date(2026, 1, 2))),
    (Item, {"price": "1", "files": ["a"]}, {"price": Decimal(1), "files": [Path("a")]}),
    (Model, {"id": ID, "tags": ["a"]}, Model(id=UUID(ID), tags=frozenset({"a"}))),
    (Iterable[int], [1, 2], [1, 2]),
]


@pytest.mark.parametrize(("annotation", "wire", "value"), CASES)
def test_values_go_over_the_wire_and_back(annotation: Any, wire: Any, value: Any) -> None:
    snapshot = through(annotation)
    found = snapshot.input.adapter.validate_json(json.dumps({"value": wire}))
    assert found.value == value
    assert json.loads(snapshot.output.dump_json({"output": value})) == {"output": wire}


REFUSED: list[tuple[Any, Any, list[str | int]]] = [
    (bytes, "not base64!", ["value"]),
    (datetime.date, "2026-02-30", ["value"]),
    (Decimal, "NaN?", ["value"]),
    (UUID, "1234", ["value"]),
    (set[int], ["a"], ["value", 0]),
    (Iterable[int], [1, "a"], ["value", 1]),
    (Iterable[int], "12", ["value"]),
    (Part, {"data": 3, "day": "x"}, ["value", "data"]),
]


@pytest.mark.parametrize(("annotation", "wire", "loc"), REFUSED)
def test_wrong_values_are_the_callers_fault(annotation: Any, wire: Any, loc: list[str | int]) -> None:
    with pytest.raises(ValidationError) as caught:
        through(annotation).input.adapter.validate_json(json.dumps({"value": wire}))
    assert list(caught.value.errors()[0]["loc"]) == loc


def test_items_are_looked_at_before_a_step_sees_them() -> None:
    adapter = adapter_for(Iterable[int])
    assert adapter.validate_python(str(n) for n in range(3)) == [0, 1, 2]
    assert adapter.validate_python({1: "a"}) == [1]
    with pytest.raises(ValidationError):
        adapter.validate_python(["a"])
    with pytest.raises(ValidationError):
        adapter.validate_python(3)
