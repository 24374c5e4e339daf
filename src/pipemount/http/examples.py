"""A small example value for a JSON Schema, for people who read the document."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..types import JsonObject

__all__ = ["example_of"]

FORMATS = {
    "date-time": "2026-01-31T12:00:00Z",
    "date": "2026-01-31",
    "time": "12:00:00Z",
    "duration": "PT1H",
    "uuid": "3fa85f64-5717-4562-b3fc-2c963f66afa6",
    "email": "ada@example.com",
    "uri": "https://example.com/",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "binary": "",
    "base64url": "",
}
DEPTH = 8


def example_of(schema: JsonObject, definitions: Mapping[str, JsonObject], depth: int = 0) -> Any:
    """A value that means to fit ``schema``: its own example or default, else the smallest of its type.

    Patterns are not solved and combinations of rules may be missed, so whoever shows the value validates it first.

    Args:
        schema: A JSON Schema as pydantic writes it.
        definitions: What its ``$ref`` name, by the reference's last segment.
        depth: How deep in the value we are; recursion ends in ``None``.
    """
    if depth > DEPTH:
        return None
    for key in ("examples", "enum"):
        if schema.get(key):
            return schema[key][0]
    for key in ("default", "const"):
        if key in schema:
            return schema[key]
    if "$ref" in schema:
        return example_of(definitions[schema["$ref"].rsplit("/", 1)[-1]], definitions, depth + 1)
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return example_of(schema[key][0], definitions, depth + 1)
    return _by_type(schema, definitions, depth)


def _by_type(schema: JsonObject, definitions: Mapping[str, JsonObject], depth: int) -> Any:
    match schema.get("type"):
        case "object":
            properties: JsonObject = schema.get("properties", {})
            shown = [name for name in properties if name in schema.get("required", ()) or "default" in properties[name]]
            return {name: example_of(properties[name], definitions, depth + 1) for name in shown}
        case "array":
            first = schema.get("prefixItems", [schema.get("items", {})] * schema.get("minItems", 0))
            return [example_of(item, definitions, depth + 1) for item in first]
        case "integer" | "number" as kind:
            return _number(schema, whole=kind == "integer")
        case "string":
            return _text(schema)
        case "boolean":
            return False
    return None


def _number(schema: JsonObject, *, whole: bool) -> float:
    """A number within the bounds: a multiple next to one of them, else the middle between them."""
    step = schema.get("multipleOf", 1)
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if low is not None:
        value = math.ceil(low / step) * step
        value += step if value == schema.get("exclusiveMinimum") else 0
    else:
        value = 0 if high is None else math.floor(high / step) * step
        value -= step if value == schema.get("exclusiveMaximum") else 0
    if low is not None and high is not None and not value < high:
        value = (low + high) / 2
    return int(value) if whole else value


def _text(schema: JsonObject) -> str:
    text = FORMATS.get(schema.get("format", ""), "text")
    return text.ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength")]
