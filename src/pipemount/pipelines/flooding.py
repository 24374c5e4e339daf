"""Inputs that are made to be slow: values of a set, or keys of a mapping, that all have one hash.

Python's hash of a number is no secret: multiples of 2**61 - 1 all hash to 0, and a set of n such values takes n**2
steps. So does one of anything that hashes by its numbers: UUIDs, decimals, tuples. Texts hash by a secret and are left
alone. A validator with these guards counts how many values share a hash while it puts them together, in pieces, and
refuses in time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from pydantic import ValidationError
from pydantic_core import PydanticCustomError, SchemaValidator, core_schema

__all__ = ["guarded"]

CoreSchema: TypeAlias = Any  # dicts by their ``type``; pydantic's types for them cannot be walked

AT_ONCE = 64
"""Values that are put in before it is looked again."""

MOST = 64
"""Values that may share their hash with another one. What n of them cost grows with n**2, and a body has room for many
sets: so few that all of them together cost little more than reading it."""

RANDOMISED = frozenset({"bool", "bytes", "date", "datetime", "enum", "literal", "str", "time", "url"})
"""Kinds whose hash depends on a secret of the process, or that have few values."""


def guarded(validator: Any, schema: CoreSchema) -> Any:
    """``validator`` if nothing in its core ``schema`` can be flooded, else one of the same schema that cannot be."""
    if not any(True for _ in _exposed(schema)):
        return validator
    return SchemaValidator(_guarded(schema, _Definitions(schema)), _use_prebuilt=False)


def _exposed(schema: CoreSchema) -> Iterator[CoreSchema]:
    """Every set and mapping in a core schema whose values or keys hash by no secret."""
    if isinstance(schema, dict):
        if _is_exposed(schema):
            yield schema
        for key, value in schema.items():
            if key not in NO_SCHEMAS:
                yield from _exposed(value)
    elif isinstance(schema, list | tuple):
        for value in schema:
            yield from _exposed(value)


NO_SCHEMAS = ("metadata", "default", "expected", "serialization")


def _is_exposed(schema: Mapping[str, Any]) -> bool:
    if "keys_schema" in schema:  # of a dict, or of what is like one: newer releases of pydantic know more of them
        keys: CoreSchema = schema["keys_schema"]
        return keys.get("type") not in (*RANDOMISED, "any")  # of any type: texts, JSON has no others
    if schema.get("type") not in ("set", "frozenset"):
        return False
    values: CoreSchema = schema.get("items_schema", {})
    return values.get("type") not in RANDOMISED


class _Definitions:
    """What a part of a schema may refer to."""

    def __init__(self, schema: CoreSchema) -> None:
        self._found: list[CoreSchema] = schema["definitions"] if schema.get("type") == "definitions" else []

    def validator(self, schema: CoreSchema) -> SchemaValidator:
        """Of a part of the schema."""
        whole: CoreSchema = core_schema.definitions_schema(schema, self._found) if self._found else schema
        return SchemaValidator(whole)


def _guarded(schema: CoreSchema, definitions: _Definitions) -> CoreSchema:
    """A copy of the schema with its guards."""
    if isinstance(schema, list | tuple):
        return type(schema)(_guarded(value, definitions) for value in schema)
    if not isinstance(schema, dict):
        return schema
    copy = {key: value if key in NO_SCHEMAS else _guarded(value, definitions) for key, value in schema.items()}
    if not _is_exposed(schema):
        return copy
    return _guarded_mapping(copy, schema, definitions) if "keys_schema" in schema else _guarded_set(copy)


def _guarded_set(schema: CoreSchema) -> CoreSchema:
    """First a list, then its values as a set, then what else the schema says of that."""
    values = core_schema.list_schema(schema.get("items_schema"), strict=schema.get("strict"))
    rest = {key: value for key, value in schema.items() if key not in ("items_schema", "ref", "serialization")}
    steps = [core_schema.no_info_after_validator_function(_distinct, values), rest]
    return core_schema.chain_schema(steps, ref=schema.get("ref"), serialization=schema.get("serialization"))


def _guarded_mapping(copy: CoreSchema, schema: CoreSchema, definitions: _Definitions) -> CoreSchema:
    """First its keys alone, then the whole of it."""
    keys = definitions.validator(core_schema.list_schema(schema["keys_schema"]))
    inner = {key: value for key, value in copy.items() if key != "ref"}
    return core_schema.no_info_before_validator_function(_checking(keys), inner, ref=copy.get("ref"))


def _checking(keys: SchemaValidator) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if isinstance(value, dict) and len(value) > MOST:
            sent, seen = list(value), Distinct()
            for some in _in_pieces(sent):
                try:
                    seen.add(keys.validate_python(some))
                except ValidationError as error:
                    raise ValidationError.from_exception_data(error.title, _of_keys(error, some)) from None
        return value

    return check


def _of_keys(error: ValidationError, keys: Sequence[Any]) -> list[Any]:
    """The faults of a list of keys as those of the mapping, as pydantic tells them."""
    make: Any = PydanticCustomError  # its types are literals
    return [
        {"type": make(fault["type"], fault["msg"]), "loc": (keys[int(fault["loc"][0])], "[key]"), "input": None}
        for fault in error.errors(include_url=False, include_input=False)
    ]


def _distinct(values: Sequence[Any]) -> set[Any]:
    """``values`` as a set. Raises a pydantic error when too many share a hash."""
    seen = Distinct()
    try:
        for some in _in_pieces(values):
            seen.add(some)
    except TypeError:
        raise ValidationError.from_exception_data("set", list(_unhashable(values))) from None
    return seen.values


def _unhashable(values: Sequence[Any]) -> Iterator[Any]:
    for index, value in enumerate(values):
        try:
            hash(value)
        except TypeError:
            kind = PydanticCustomError("set_item_not_hashable", "Set items should be hashable")
            yield {"type": kind, "loc": (index,), "input": None}


class Distinct:
    """Distinct values, put together in pieces."""

    def __init__(self) -> None:
        self.values: set[Any] = set()
        self._hashes: set[int] = set()

    def add(self, values: Sequence[Any]) -> None:
        """Some more. Raises a pydantic error when too many share a hash."""
        self.values.update(values)
        self._hashes.update(map(hash, values))
        if len(self.values) - len(self._hashes) > MOST:
            raise PydanticCustomError("too_many_alike", "Too many of the values have the same hash")


def _in_pieces(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (values[start : start + AT_ONCE] for start in range(0, len(values), AT_ONCE))
