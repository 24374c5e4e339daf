"""Families of types: groups whose values pydantic treats alike, and which of them never become which.

The tables hold for pydantic's lax mode (https://docs.pydantic.dev/latest/concepts/conversion_table/). They speak of
exact classes and of records; a class that is in no family may become anything, as far as is known here.
"""

from __future__ import annotations

import collections
import collections.abc as abc
import dataclasses
import datetime
import decimal
import enum
import pathlib
import uuid
from typing import Any, get_origin

from pydantic import BaseModel, RootModel

from .annotations import NONE
from .constants import adapter_for
from .projection import is_typed_dict

__all__ = ["family", "is_excluded", "is_within"]

_REAL = frozenset({"bool", "int", "float", "decimal"})
_TEXT = frozenset({"str", "bytes"})
_MANY = frozenset({"list", "tuple", "named-tuple", "set", "deque"})
_MAPS = frozenset({"dict", "typed-dict"})
_RECORDS = frozenset({"model", "dataclass"})
_ITERABLE = frozenset({"sequence", "iterable"})

_FAMILIES: dict[Any, str] = {
    NONE: "none",
    bool: "bool",
    int: "int",
    float: "float",
    complex: "complex",
    decimal.Decimal: "decimal",
    str: "str",
    bytes: "bytes",
    datetime.datetime: "datetime",
    datetime.date: "date",
    datetime.time: "time",
    datetime.timedelta: "timedelta",
    uuid.UUID: "uuid",
    pathlib.PurePath: "path",
    pathlib.Path: "path",
    list: "list",
    tuple: "tuple",
    set: "set",
    frozenset: "set",
    abc.Set: "set",
    abc.MutableSet: "set",
    collections.deque: "deque",
    dict: "dict",
    collections.OrderedDict: "dict",
    collections.defaultdict: "dict",
    abc.Mapping: "dict",
    abc.MutableMapping: "dict",
    abc.Sequence: "sequence",
    abc.MutableSequence: "sequence",
    abc.Collection: "iterable",
    abc.Iterable: "iterable",
}

# What a family may be made of; of the others no value ever becomes one.
_MADE_OF: dict[str, frozenset[str]] = {
    "none": frozenset({"none"}),
    "bool": _REAL | _TEXT,
    "int": _REAL | _TEXT,
    "float": _REAL | _TEXT,
    "complex": _REAL | {"complex", "str"},
    "decimal": _REAL | _TEXT | _MANY,
    "str": _TEXT,
    "bytes": _TEXT,
    "datetime": _REAL | _TEXT | {"datetime", "date"},
    "date": _REAL | _TEXT | {"datetime", "date"},
    "time": _REAL | _TEXT | {"time"},
    "timedelta": _REAL | _TEXT | {"timedelta"},
    "uuid": _TEXT | {"uuid"},
    "path": frozenset({"path", "str"}),
    **dict.fromkeys(("list", "tuple", "set", "deque"), _MANY | _RECORDS),
    "named-tuple": _MANY | _MAPS,
    "sequence": _MANY | _RECORDS | _TEXT,
    "iterable": _MANY | _RECORDS | _TEXT | _MAPS,
    "dict": _MAPS,
    "typed-dict": _MAPS,
    "model": _MAPS,
    "dataclass": _MAPS,
}

# Classes of which one inherits from the other, but whose values are not taken for each other's.
_APART = {(datetime.datetime, datetime.date), (str, abc.Sequence), (bytes, abc.Sequence)}


def is_within(kind: type, other: type) -> bool:
    """Whether every instance of ``kind`` is one of ``other``."""
    try:
        return issubclass(kind, other) and (kind, other) not in _APART
    except TypeError:  # a protocol that cannot be asked
        return False


def family(kind: Any) -> str | None:
    """The family of a class; ``None`` where nothing certain is known of its values."""
    if (known := _FAMILIES.get(kind)) is not None:
        return known
    if not isinstance(kind, type) or issubclass(kind, enum.Enum) or _is_custom(kind):
        return None
    if is_typed_dict(kind):
        return "typed-dict"
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return "named-tuple"
    if issubclass(kind, BaseModel):
        return "model"
    return "dataclass" if dataclasses.is_dataclass(kind) and not issubclass(kind, tuple(_FAMILIES)) else None


def is_excluded(source: type, target: type) -> bool:
    """Whether no value of one class can become one of the other. Nothing is taken to inherit from both."""
    if is_within(source, target) or is_within(target, source):
        return False
    ours, theirs = family(source), family(target)
    if ours is None or ours in _ITERABLE:
        return False
    if theirs is None:
        return _is_opaque(target)
    return ours not in _MADE_OF[theirs] and (theirs not in _RECORDS or _is_closed(source, target))


def _is_opaque(kind: Any) -> bool:
    """Whether nothing but instances of a class is taken for one."""
    return type(kind) is type and adapter_for(kind).core_schema["type"] == "is-instance"


def _is_closed(source: Any, target: Any) -> bool:
    """Whether a model or dataclass takes nothing but mappings and its own instances."""
    if issubclass(target, RootModel) or _generic_origin(source) is _generic_origin(target):
        return False
    config = getattr(target, "model_config", None) or getattr(target, "__pydantic_config__", None) or {}
    decorators = getattr(target, "__pydantic_decorators__", None)
    validators = decorators.model_validators.values() if decorators else ()
    return not (config.get("from_attributes") or any(validator.info.mode != "after" for validator in validators))


def _generic_origin(kind: Any) -> Any:
    metadata = getattr(kind, "__pydantic_generic_metadata__", None) or {}
    return metadata.get("origin") or get_origin(kind) or kind


def _is_custom(kind: Any) -> bool:
    """Whether a class tells pydantic itself how it is validated."""
    own = getattr(kind, "__get_pydantic_core_schema__", None)
    inherited = getattr(BaseModel, "__get_pydantic_core_schema__", None)
    return getattr(own, "__func__", own) is not getattr(inherited, "__func__", None) and own is not None
