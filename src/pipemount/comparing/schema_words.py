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
    """A type in words: ``array of integer``, ``"C" or "F"``, ``Weather or null``.

    What refers to itself is told by its name where it comes up again: ``integer or array of Tree``.
    """
    return " or ".join(dict.fromkeys(_words(schema, definitions, frozenset())))


def _words(schema: JsonObject, definitions: Mapping[str, JsonObject], within: frozenset[str]) -> Iterator[str]:
    """Of each alternative; ``within`` are the references that led here."""
    reference = schema.get("$ref")
    if isinstance(reference, str):
        if reference in within:
            yield reference.rpartition("/")[2]
        else:
            yield from _words(resolve(schema, definitions), definitions, within | {reference})
        return
    branches = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(branches, list):
        for branch in branches:
            yield from _words(branch, definitions, within)
    else:
        yield _word(schema, definitions, within)


def _word(schema: JsonObject, definitions: Mapping[str, JsonObject], within: frozenset[str]) -> str:
    if "const" in schema:
        return json.dumps(schema["const"], ensure_ascii=False)
    if isinstance(schema.get("enum"), list):
        return " or ".join(json.dumps(value, ensure_ascii=False) for value in schema["enum"])
    kind = schema.get("type")
    if kind == "array":
        return _of("array", schema.get("items"), definitions, within)
    if kind == "object":
        return _object_word(schema, definitions, within)
    if isinstance(kind, str):
        return f"{kind} ({schema['format']})" if "format" in schema else kind
    return "any"


def _object_word(schema: JsonObject, definitions: Mapping[str, JsonObject], within: frozenset[str]) -> str:
    values: Any = schema.get("additionalProperties")
    if "properties" not in schema and isinstance(values, dict) and values:
        return _of("object", values, definitions, within)
    return str(schema.get("title") or "object")


def _of(kind: str, items: Any, definitions: Mapping[str, JsonObject], within: frozenset[str]) -> str:
    """``array of integer``, ``object of (integer or null)``."""
    if not isinstance(items, dict) or not items:
        return kind
    word = " or ".join(dict.fromkeys(_words(items, definitions, within)))
    return f"{kind} of ({word})" if " or " in word else f"{kind} of {word}"
