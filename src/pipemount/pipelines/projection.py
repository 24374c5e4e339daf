"""Fields of types: what ``reference.field`` and ``reference[item]`` are, and which of them exist."""

from __future__ import annotations

import collections.abc as abc
import dataclasses
import enum
import functools
import inspect
import typing
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel

from .annotations import NONE, describe, members, plain
from .snapshot import Access

__all__ = ["NoFieldError", "elements", "is_typed_dict", "project"]

_SCALARS = (str, bytes, int, float, complex, bool, NONE)
_CONTAINERS = (list, tuple, dict, set, frozenset, abc.Sequence, abc.Mapping, abc.Set)


class NoFieldError(Exception):
    """A type has no such field. ``code`` tells authors' tools, the two sentences tell the author."""

    def __init__(self, code: str, reason: str, way_out: str) -> None:
        super().__init__(reason)
        self.code, self.reason, self.way_out = code, reason, way_out


def project(annotation: Any, access: Access) -> Any:
    """The type of one hop into a value of type ``annotation``. Raises ``NoFieldError``."""
    found = [_member(kind, access) for member in members(annotation) for kind in _values(member)]
    return found[0] if len(found) == 1 else typing.Union[tuple(found)]  # noqa: UP007 (made at run time)


def elements(annotation: Any) -> tuple[Any, ...] | None:
    """The element types of a tuple of fixed length; ``None`` for every other type."""
    bare = plain(annotation)
    if (names := _named_tuple(bare)) is not None:
        return tuple(names.values())
    parts = get_args(bare)
    return parts if get_origin(bare) is tuple and parts and parts[-1] is not Ellipsis else None


def _values(annotation: Any) -> tuple[Any, ...]:
    """The types of a ``Literal``'s values; any other type alone."""
    is_literal = get_origin(annotation) is typing.Literal
    return tuple({type(value): None for value in get_args(annotation)}) if is_literal else (annotation,)


def _member(annotation: Any, access: Access) -> Any:
    if annotation is Any or not isinstance(get_origin(annotation) or annotation, type):
        return Any
    if annotation is NONE:
        raise NoFieldError(
            "optional-field",
            "it can be None, which has no fields",
            "Ask first (`if … is not None:`), or read it in a step",
        )
    return _attribute(annotation, str(access.key)) if access.kind == "attribute" else _item(annotation, access.key)


# ---------------------------------------------------------------------------------------- attributes


def _attribute(annotation: Any, name: str) -> Any:
    kind = get_origin(annotation) or annotation
    fields = _fields(annotation)
    if name in fields:
        return fields[name]
    found = inspect.getattr_static(kind, name, None)
    if found is None and _is_open(kind):
        return Any
    if isinstance(found, property | functools.cached_property):
        return _returned(found)
    if callable(getattr(kind, name, None)) and not _is_member(found):
        stars = "; `**` calls it, too: name the items one by one" if name == "keys" else ""
        raise NoFieldError(
            "method-on-reference",
            f"{name!r} is a method of {describe(annotation)} and needs the value",
            f"Call the method inside a step{stars}",
        )
    if found is not None:
        return Any
    raise NoFieldError("unknown-field", *_no_attribute(annotation, name, fields))


def _no_attribute(annotation: Any, name: str, fields: dict[str, Any]) -> tuple[str, str]:
    reason = f"{describe(annotation)} has no field {name!r}"
    if is_typed_dict(annotation):
        return f"{reason} as an attribute", f"Its items are: {_listed(typing.get_type_hints(annotation), '[{!r}]')}"
    if fields:
        return reason, f"Its fields are: {', '.join(fields)}"
    return reason, "Read it inside a step, or annotate the value with a type that has the field"


def _fields(annotation: Any) -> dict[str, Any]:
    kind: Any = get_origin(annotation) or annotation
    if issubclass(kind, BaseModel):
        return _model_fields(annotation)
    if dataclasses.is_dataclass(kind):
        hints = _hints(kind)
        return {field.name: hints.get(field.name, Any) for field in dataclasses.fields(kind)}
    return _named_tuple(kind) or {}


def _model_fields(model: Any) -> dict[str, Any]:
    model.model_rebuild(raise_errors=False)  # a name that stood for a later class is known by now
    fields = {
        name: Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
        for name, info in model.model_fields.items()
    }
    computed = {name: info.return_type for name, info in model.model_computed_fields.items()}
    return {**fields, **computed}


def _named_tuple(kind: Any) -> dict[str, Any] | None:
    if not (isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_fields")):
        return None
    hints = _hints(kind)
    return {name: hints.get(name, Any) for name in kind._fields}


def _hints(kind: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(kind, include_extras=True)
    except (NameError, TypeError):
        return {}


def _returned(found: property | functools.cached_property[Any]) -> Any:
    getter = found.fget if isinstance(found, property) else found.func
    try:
        return typing.get_type_hints(getter, include_extras=True).get("return", Any)
    except (NameError, TypeError):
        return Any


def _is_open(kind: type) -> bool:
    """Whether instances may have attributes that the class does not show."""
    if issubclass(kind, BaseModel):
        return kind.model_config.get("extra") == "allow"
    known = issubclass(kind, (*_SCALARS, *_CONTAINERS, enum.Enum)) or kind is object
    return not (known or dataclasses.is_dataclass(kind) or is_typed_dict(kind))


def _is_member(found: Any) -> bool:
    return inspect.isdatadescriptor(found)


# --------------------------------------------------------------------------------------------- items


def is_typed_dict(annotation: Any) -> bool:
    """Whether ``annotation`` is a ``TypedDict`` class, of ``typing`` or of ``typing_extensions``."""
    return isinstance(annotation, type) and hasattr(annotation, "__total__") and issubclass(annotation, dict)


def _item(annotation: Any, key: str | int) -> Any:
    kind = get_origin(annotation) or annotation
    if is_typed_dict(kind):
        return _typed_dict_item(kind, key)
    if (parts := elements(annotation)) is not None:
        return _tuple_item(annotation, parts, key)
    if issubclass(kind, abc.Mapping):
        return (get_args(annotation) or (Any, Any))[-1]
    if issubclass(kind, abc.Sequence) and not issubclass(kind, str | bytes):
        return _sequence_item(annotation, key)
    if hasattr(kind, "__getitem__") and not issubclass(kind, _SCALARS):
        return Any
    fields = _fields(annotation)
    raise NoFieldError(
        "unknown-item",
        f"{describe(annotation)} has no items",
        f"Its fields are: {_listed(fields, '.{}')}" if fields else "Read it inside a step",
    )


def _typed_dict_item(kind: Any, key: str | int) -> Any:
    hints = typing.get_type_hints(kind, include_extras=True)
    if key not in hints:
        raise NoFieldError(
            "unknown-field", f"{describe(kind)} has no item {key!r}", f"Its items are: {_listed(hints, '[{!r}]')}"
        )
    hint = hints[str(key)]
    return plain(hint) if getattr(get_origin(hint), "_name", None) in ("Required", "NotRequired", "ReadOnly") else hint


def _tuple_item(annotation: Any, parts: tuple[Any, ...], key: str | int) -> Any:
    if isinstance(key, int) and -len(parts) <= key < len(parts):
        return parts[key]
    raise NoFieldError(
        "unknown-item", f"{describe(annotation)} has no item {key!r}", f"Its items are numbered 0 to {len(parts) - 1}"
    )


def _sequence_item(annotation: Any, key: str | int) -> Any:
    if not isinstance(key, int):
        raise NoFieldError("unknown-item", f"{describe(annotation)} has no item {key!r}", "Its items are numbered")
    return (get_args(annotation) or (Any,))[0]


def _listed(fields: dict[str, Any], form: str) -> str:
    return ", ".join(form.format(name) for name in fields)
