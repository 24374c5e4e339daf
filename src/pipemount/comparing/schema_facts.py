"""What single JSON Schemas say: their alternatives, the values that they take, which of two bounds is wider."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import Any, TypeAlias

from ..types import JsonObject
from .schema_words import resolve

__all__ = ["ANNOTATIONS", "FROM", "UNDECIDED", "Alternative", "admits", "alike", "expand", "loosened"]

Alternative: TypeAlias = JsonObject
"""A schema without references and unions at its top; ``{}`` takes anything."""

ANNOTATIONS = frozenset(
    {"$comment", "$defs", "default", "deprecated", "description", "discriminator", "examples", "readOnly", "title"}
    | {"writeOnly", "$from"}
)
FROM = "$from"
"""The reference that an alternative was found by."""
UNDECIDED = "$undecided"
"""Marks an alternative in which schemas are combined in a way that only equal ones can be compared."""


def expand(schema: Any, definitions: Mapping[str, Any]) -> list[Alternative]:
    """The alternatives of a schema, in its order; listed values stand in one alternative."""
    found: list[Alternative] = []
    values: list[Any] = []
    for each in _alternatives(schema, definitions):
        if "enum" in each:
            values += (value for value in each["enum"] if not _listed(value, values))
        else:
            found.append(each)
    return [*found, *([{"enum": values}] if values else [])]


def _alternatives(schema: Any, definitions: Mapping[str, Any], depth: int = 0) -> Iterator[Alternative]:
    if schema is False or depth > 100:
        return
    if schema is True:
        yield {}
        return
    if "$ref" in schema:
        siblings = schema.keys() - ANNOTATIONS - {"$ref"}
        if siblings:
            yield _undecided(schema, definitions)
        else:
            target = _alternatives(resolve(schema, definitions), definitions, depth + 1)
            yield from ({FROM: schema["$ref"], **each} for each in target)
        return
    for union in ("anyOf", "oneOf"):
        if union in schema:
            yield from _union(schema, union, definitions, depth)
            return
    yield from _plain(schema, definitions)


def _union(schema: JsonObject, union: str, definitions: Mapping[str, Any], depth: int) -> Iterator[Alternative]:
    """The branches of ``anyOf``; of ``oneOf`` only where they exclude each other, as the tagged ones do."""
    siblings = schema.keys() - ANNOTATIONS - {union}
    if siblings or (union == "oneOf" and "discriminator" not in schema):
        yield _undecided(schema, definitions)
        return
    for branch in schema[union]:
        yield from _alternatives(branch, definitions, depth + 1)


def _plain(schema: JsonObject, definitions: Mapping[str, Any]) -> Iterator[Alternative]:
    if COMBINING & schema.keys():
        yield _undecided(schema, definitions)
        return
    if "const" in schema:
        schema = {key: value for key, value in schema.items() if key != "const"} | {"enum": [schema["const"]]}
    if "enum" in schema:
        yield (
            _values(schema)
            if schema.keys() <= ANNOTATIONS | CHECKS.keys() | {"enum", "type"}
            else _undecided(schema, definitions)
        )
        return
    kinds = schema.get("type")
    if isinstance(kinds, list):
        yield from ({**schema, "type": kind} for kind in kinds)
    elif kinds is None and schema.keys() - ANNOTATIONS:
        yield _undecided(schema, definitions)
    else:
        yield {key: value for key, value in schema.items() if key not in ANNOTATIONS - {"title"}} if kinds else {}


COMBINING = frozenset({"allOf", "not", "if", "then", "else", "dependentSchemas", "dependentRequired", "$dynamicRef"})


def _values(schema: JsonObject) -> Alternative:
    """Those listed that the rest of the schema takes."""
    rest = {key: value for key, value in schema.items() if key not in ANNOTATIONS | {"enum"}}
    return {"enum": [value for value in schema["enum"] if admits(rest, value)]}


def _undecided(schema: JsonObject, definitions: Mapping[str, Any]) -> Alternative:
    """One that is like another only if both say the same, definitions included."""
    said = json.dumps([schema, dict(definitions)], sort_keys=True, default=repr)
    return {"type": "value of a combined schema", UNDECIDED: said}


# ------------------------------------------------------------------------------------------- values


def admits(schema: Alternative, value: Any) -> bool:
    """Whether it is certain that ``schema`` takes ``value``; objects and arrays only where they are listed."""
    if "enum" in schema:
        return _listed(value, schema["enum"])
    if not schema.keys() - ANNOTATIONS:
        return True
    kind = str(schema.get("type"))
    if kind not in TYPES or not TYPES[kind](value):
        return False
    return all(
        keyword in CHECKS and CHECKS[keyword](value, limit)
        for keyword, limit in schema.items()
        if keyword not in ANNOTATIONS and keyword != "type"
    )


def _listed(value: Any, values: list[Any]) -> bool:
    return any(alike(value, each) for each in values)


def alike(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same: ``true`` is not 1, and 1.0 is."""
    return json.dumps(_canonical(one), sort_keys=True) == json.dumps(_canonical(other), sort_keys=True)


def _canonical(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_canonical(each) for each in value]
    return {key: _canonical(each) for key, each in value.items()} if isinstance(value, dict) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


TYPES: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": _is_number,
    "integer": lambda value: _is_number(value) and float(value).is_integer(),
}
CHECKS: Mapping[str, Callable[[Any, Any], bool]] = {
    "minLength": lambda value, limit: len(value) >= limit,
    "maxLength": lambda value, limit: len(value) <= limit,
    "minimum": lambda value, limit: value >= limit,
    "maximum": lambda value, limit: value <= limit,
    "exclusiveMinimum": lambda value, limit: value > limit,
    "exclusiveMaximum": lambda value, limit: value < limit,
}


# ------------------------------------------------------------------------------------------- bounds


def loosened(keyword: str, narrow: Alternative, wide: Alternative) -> bool | None:
    """Whether what ``narrow`` takes passes ``keyword`` of ``wide``; ``None`` where that cannot be told."""
    if keyword not in wide:
        return True
    if keyword in ("minimum", "exclusiveMinimum"):
        return _lower(narrow) >= _lower(wide)
    if keyword in ("maximum", "exclusiveMaximum"):
        return _upper(narrow) <= _upper(wide)
    if keyword in LEAST:
        return bool(narrow.get(keyword, 0) >= wide[keyword])
    if keyword in MOST:
        return bool(narrow.get(keyword, math.inf) <= wide[keyword])
    if keyword not in narrow:
        return False
    if keyword == "multipleOf":
        return (Fraction(str(narrow["multipleOf"])) / Fraction(str(wide["multipleOf"]))).denominator == 1
    return None


LEAST = frozenset({"minLength", "minItems", "minProperties"})
MOST = frozenset({"maxLength", "maxItems", "maxProperties"})


def _lower(schema: Alternative) -> tuple[float, bool]:
    """The lower bound, and whether it is itself refused; they compare as they narrow."""
    bounds = [(schema.get("minimum", -math.inf), False), (schema.get("exclusiveMinimum", -math.inf), True)]
    value, strict = max(bounds)
    return (math.floor(value) + 1, False) if strict and _whole(schema, value) else (value, strict)


def _upper(schema: Alternative) -> tuple[float, bool]:
    bounds = [(schema.get("maximum", math.inf), True), (schema.get("exclusiveMaximum", math.inf), False)]
    value, open_end = min(bounds)
    return (math.ceil(value) - 1, True) if not open_end and _whole(schema, value) else (value, open_end)


def _whole(schema: Alternative, value: float) -> bool:
    return schema.get("type") == "integer" and math.isfinite(value)
