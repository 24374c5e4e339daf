"""JSON Schemas for people."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, TypeAdapter
from typing_extensions import TypeAliasType

from pipemount.cli.schemas import members, resolve, type_text


class Place(BaseModel):
    name: Annotated[str, Field(description="As on the map")]
    height: float = 0.0
    parent: Place | None = None


Nested = TypeAliasType("Nested", "int | list[Nested]")
Named = TypeAliasType("Named", "dict[str, Named | None]")


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (str, "string"),
        (date, "string (date)"),
        (int | None, "integer or null"),
        (list, "array"),
        (list[int], "array of integer"),
        (list[int | str], "array of (integer or string)"),
        (dict, "object"),
        (dict[str, int], "object of integer"),
        (Literal["C", "F"], '"C" or "F"'),
        (Literal["C"], '"C"'),
        (Place, "Place"),
        (list[Place], "array of Place"),
        (Any, "any"),
        (Nested, "integer or array of Nested"),
        (list[Nested], "array of (integer or array of Nested)"),
        (Nested | None, "integer or array of Nested or null"),
        (Named, "object of (Named or null)"),
    ],
)
def test_types_in_words(annotation: Any, words: str) -> None:
    schema = TypeAdapter(annotation).json_schema()
    assert type_text(schema, schema.get("$defs", {})) == words


def test_a_type_that_several_branches_share_is_said_once() -> None:
    assert type_text({"oneOf": [{"type": "string"}, {"type": "string"}]}, {}) == "string"


def test_members_of_a_model_that_refers_to_itself() -> None:
    name, height, parent = members(Place.model_json_schema())
    assert (name.name, name.type, name.required, name.default) == ("name", "string", True, "")
    assert name.description == "As on the map"
    assert (height.required, height.default, height.description) == (False, "0.0", "")
    assert (parent.type, parent.default) == ("Place or null", "null")


def test_members_of_what_is_no_object_schema() -> None:
    assert members({"type": "string"}) == ()
    [free] = members({"properties": {"x": True}})
    assert free.type == "any"


def test_a_reference_to_nowhere_is_anything() -> None:
    assert resolve({"$ref": "#/$defs/Lost"}, {}) == {}
