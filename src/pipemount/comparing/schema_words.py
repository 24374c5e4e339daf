"""JSON Schemas in words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ..types import JsonObject

__all__ = ["alternatives", "resolve", "type_text"]


def resolve(schema: JsonObject, definitions: Mapping[str, JsonObject]) -> JsonObject:
    """``schema``, or what its ``$ref`` points to."""
    reference = schema.get("$ref")
    if not isinstance(reference, str):
        return schema
    return definitions.get(reference.removeprefix("#/$defs/"), {})


def alternatives(schema: JsonObject, definitions: Mapping[str, JsonObject]) -> Iterator[JsonObject]:
    """The schemas of a union, references resolved; the schema alone where it is none."""
    schema = resolve(schema, definitions)
    branches = schema.get("anyOf") or schema.get("oneOf")
    if not isinstance(branches, list):
        yield schema
        return
    for branch in branches:
        yield resolve(branch, definitions)


def type_text(schema: JsonObject, definitions: Mapping[str, JsonObject]) -> str:
    """A type in words: ``array of integer``, ``"C" or "F"``, ``Weather or null``."""
    words = [_word(branch, definitions) for branch in alternatives(schema, definitions)]
    return " or ".join(dict.fromkeys(words))


def _word(schema: JsonObject, definitions: Mapping[str, JsonObject]) -> str:
    if "const" in schema:
        return json.dumps(schema["const"], ensure_ascii=False)
    if isinstance(schema.get("enum"), list):
        return " or ".join(json.dumps(value, ensure_ascii=False) for value in schema["enum"])
    kind = schema.get("type")
    if kind == "array":
        return _array_word(schema, definitions)
    if kind == "object":
        return _object_word(schema, definitions)
    if isinstance(kind, str):
        return f"{kind} ({schema['format']})" if "format" in schema else kind
    return "any"


def _array_word(schema: JsonObject, definitions: Mapping[str, JsonObject]) -> str:
    items = schema.get("items")
    if not isinstance(items, dict) or not items:
        return "array"
    word = type_text(items, definitions)
    return f"array of ({word})" if " or " in word else f"array of {word}"


def _object_word(schema: JsonObject, definitions: Mapping[str, JsonObject]) -> str:
    values: Any = schema.get("additionalProperties")
    if "properties" not in schema and isinstance(values, dict) and values:
        return f"object of {type_text(values, definitions)}"
    return str(schema.get("title") or "object")
