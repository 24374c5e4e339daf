"""JSON Schemas for people: which parameters there are, of which type."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from ..comparing.schema_words import alternatives, resolve, type_text
from ..types import JsonObject

__all__ = ["Member", "alternatives", "members", "resolve", "type_text"]

MISSING = object()


@dataclass(frozen=True, slots=True)
class Member:
    """A property of an object schema: a parameter, or an output.

    Attributes:
        name: As callers send it.
        schema: Its own schema, references resolved one level.
        definitions: The ``$defs`` that its references are found in.
        required: Whether it must be given.
    """

    name: str
    schema: JsonObject
    definitions: Mapping[str, JsonObject]
    required: bool

    @property
    def type(self) -> str:
        """Its type in words."""
        return type_text(self.schema, self.definitions)

    @property
    def default(self) -> str:
        """Its default as JSON, or an empty string."""
        value = self.schema.get("default", MISSING)
        return "" if value is MISSING else json.dumps(value, ensure_ascii=False)

    @property
    def description(self) -> str:
        """What its author says of it."""
        return str(self.schema.get("description", ""))


def members(schema: JsonObject) -> tuple[Member, ...]:
    """The properties of an object schema, in its order."""
    definitions: Mapping[str, JsonObject] = schema.get("$defs", {})
    top = resolve(schema, definitions)
    required = frozenset(top.get("required", ()))
    return tuple(
        Member(name, member if isinstance(member, dict) else {}, definitions, name in required)
        for name, member in top.get("properties", {}).items()
    )
