"""The type check of edges: does a value of one type always, perhaps or never fit another?

``ok`` and ``never`` are given only where they are certain; everything between is ``coerce``: validated in the run, in
pydantic's lax mode (https://docs.pydantic.dev/latest/concepts/conversion_table/). Containers count as covariant, and
``int`` fits ``float``, as type checkers have it.
"""

from __future__ import annotations

import collections
import collections.abc as abc
import dataclasses
import enum
import types
import typing
from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeAlias, get_args, get_origin

from annotated_types import BaseMetadata, GroupedMetadata
from pydantic import BaseModel, RootModel, ValidationError
from pydantic.fields import FieldInfo

from .annotations import NONE, plain
from .constants import adapter_for
from .projection import elements, is_typed_dict

__all__ = ["Fit", "fit"]

Fit: TypeAlias = Literal["ok", "coerce", "never"]

_NUMBERS = frozenset({"int", "float", "bool"})
_TEXTS = frozenset({"str", "bytes"})
_MANY = frozenset({"list", "tuple", "set", "frozenset"})
_RECORDS = frozenset({"model", "dataclass"})
_ALL = _NUMBERS | _TEXTS | _MANY | _RECORDS | {"none", "dict"}

# What no value of a family becomes, even in lax mode. Families that are not named may succeed.
_NEVER: dict[str, frozenset[str]] = {
    "int": _MANY | _RECORDS | {"none", "dict"},
    "float": _MANY | _RECORDS | {"none", "dict"},
    "bool": _MANY | _RECORDS | {"none", "dict"},
    "str": _NUMBERS | _MANY | _RECORDS | {"none", "dict"},
    "bytes": _NUMBERS | _MANY | _RECORDS | {"none", "dict"},
    "none": _ALL - {"none"},
    "list": _NUMBERS | _TEXTS | {"none", "dict"},
    "tuple": _NUMBERS | _TEXTS | {"none", "dict"},
    "set": _NUMBERS | _TEXTS | {"none", "dict"},
    "frozenset": _NUMBERS | _TEXTS | {"none", "dict"},
    "dict": _NUMBERS | _TEXTS | _MANY | {"none"},
    "model": _NUMBERS | _TEXTS | _MANY | _RECORDS | {"none"},
    "dataclass": _NUMBERS | _TEXTS | _MANY | _RECORDS | {"none"},
}
_EXACT = (NONE, bool, int, float, str, bytes, list, tuple, set, frozenset, dict)


def fit(source: Any, target: Any) -> Fit:
    """How values declared as ``source`` fit a parameter declared as ``target``."""
    if source == target or plain(target) in (Any, object):
        return "coerce" if _constraints(target) and source != target else "ok"
    if _constraints(target):
        verdict = fit(source, get_args(target)[0])
        return "never" if verdict == "never" and _only_narrow(_constraints(target)) else "coerce"
    return _every([_some([_one(plain(s), t) for t in _arms(target)]) for s in _arms(source)])


def _every(verdicts: Iterable[Fit]) -> Fit:
    """Of a union's alternatives as a source: each can be what comes."""
    found = set(verdicts)
    return found.pop() if len(found) == 1 else "coerce"


def _some(verdicts: Iterable[Fit]) -> Fit:
    """Of a union's alternatives as a target: one is enough."""
    found = set(verdicts)
    return "ok" if "ok" in found else "coerce" if "coerce" in found else "never"


# -------------------------------------------------------------------------------------- annotations


def _constraints(annotation: Any) -> tuple[Any, ...]:
    """Metadata that may change or refuse values; texts do neither."""
    if get_origin(annotation) is not Annotated:
        return ()
    return tuple(item for item in annotation.__metadata__ if not isinstance(item, str))


def _only_narrow(metadata: Iterable[Any]) -> bool:
    """Whether metadata only refuses values, and turns none into another."""
    return all(
        _only_narrow(item.metadata) if isinstance(item, FieldInfo) else isinstance(item, BaseMetadata | GroupedMetadata)
        for item in metadata
    )


def _arms(annotation: Any) -> tuple[Any, ...]:
    """A union's alternatives, their constraints kept."""
    if _constraints(annotation):
        return (annotation,)
    bare = plain(annotation)
    if get_origin(bare) not in (typing.Union, types.UnionType):
        return (bare,)
    return tuple(arm for part in get_args(bare) for arm in _arms(part))


# --------------------------------------------------------------------------------------- one to one


def _one(source: Any, target: Any) -> Fit:
    if _constraints(target):
        return fit(source, target)
    if source == target or target in (Any, object):
        return "ok"
    if source in (Any, object):
        return "coerce"
    if get_origin(source) in (typing.Union, types.UnionType):
        return fit(source, target)
    if get_origin(source) is Literal:
        return _every(_literal(value, target) for value in get_args(source))
    kinds = get_origin(source) or source, get_origin(target) or target
    if not all(isinstance(kind, type) for kind in kinds):
        return "coerce"
    if is_typed_dict(source) or is_typed_dict(target):
        return _typed_dict(source, target)
    return _classes(source, target, *kinds)


def _literal(value: Any, target: Any) -> Fit:
    if get_origin(target) is Literal:
        known = any(type(other) is type(value) and other == value for other in get_args(target))
    else:
        known = isinstance(target, type) and not get_args(target) and _is_subclass(type(value), target)
    if known:
        return "ok"
    try:
        adapter_for(target).validate_python(value)
    except ValidationError:
        return "never"
    return "coerce"


def _typed_dict(source: Any, target: Any) -> Fit:
    if is_typed_dict(target):
        family = "dict" if is_typed_dict(source) else _family(get_origin(source) or source)
        return "never" if family in _NEVER["dict"] else "coerce"
    kind = get_origin(target) or target
    if not (isinstance(kind, type) and issubclass(dict, kind)):
        return "never" if _family(kind) in _NUMBERS | _TEXTS | _MANY else "coerce"
    key, value = get_args(target) or (Any, Any)
    hints = typing.get_type_hints(source, include_extras=True).values()
    return _at_least([fit(str, key), *(fit(plain(hint), value) for hint in hints)])


def _at_least(verdicts: Iterable[Fit]) -> Fit:
    """Of the parts of a value that may be empty or lack some: never certain to fail."""
    return "ok" if set(verdicts) <= {"ok"} else "coerce"


def _classes(source: Any, target: Any, s_kind: type, t_kind: type) -> Fit:
    if _is_subclass(s_kind, t_kind):
        return _generics(source, target)
    if t_kind is float and _family(s_kind) in ("int", "bool"):
        return "ok"
    ours, theirs = _family(s_kind), _family(t_kind)
    if ours is None or theirs is None or ours not in _NEVER[theirs]:
        return _fixed(source, target, "coerce")
    if theirs in _RECORDS and not _is_closed(s_kind, t_kind):
        return "coerce"
    return "never"


def _is_subclass(kind: type, other: type) -> bool:
    try:
        return issubclass(kind, other)
    except TypeError:  # a protocol that cannot be asked
        return False


def _generics(source: Any, target: Any) -> Fit:
    wanted = get_args(target)
    if not wanted:
        return "ok"
    if elements(source) is not None or elements(target) is not None:
        return _fixed(source, target, "ok")
    given = tuple(part for part in get_args(source) if part is not Ellipsis) or (Any,) * len(wanted)
    wanted = tuple(part for part in wanted if part is not Ellipsis)
    if len(given) != len(wanted):
        return "coerce"
    return _at_least(fit(part, other) for part, other in zip(given, wanted, strict=True))


def _fixed(source: Any, target: Any, best: Fit) -> Fit:
    """Tuples of fixed length, on either side: one misfit is enough to fail."""
    given, wanted = elements(source), elements(target)
    if given is None or (get_origin(target) or target) not in (tuple, list, set, frozenset, abc.Sequence):
        return "coerce"
    if wanted is None:
        wanted = (get_args(target) or (Any,))[:1] * len(given)
    if len(given) != len(wanted):
        return "never"
    verdicts = {fit(part, other) for part, other in zip(given, wanted, strict=True)}
    if "never" in verdicts:
        return "never"
    return best if verdicts <= {"ok"} else "coerce"


# ----------------------------------------------------------------------------------------- families


def _family(kind: Any) -> str | None:
    """The group of types that a class belongs to; ``None`` where nothing certain is known of it."""
    if not isinstance(kind, type) or issubclass(kind, enum.Enum) or is_typed_dict(kind):
        return None
    if issubclass(kind, BaseModel):
        return "model"
    if dataclasses.is_dataclass(kind):
        return "dataclass"
    if kind in (abc.Mapping, abc.MutableMapping, collections.OrderedDict):
        return "dict"
    return next((("none" if exact is NONE else exact.__name__) for exact in _EXACT if kind is exact), None)


def _is_closed(source: Any, target: Any) -> bool:
    """Whether a model or dataclass takes nothing but mappings and its own instances."""
    if issubclass(target, RootModel) or _generic_origin(source) is _generic_origin(target):
        return False
    config = getattr(target, "model_config", None) or getattr(target, "__pydantic_config__", None) or {}
    decorators = getattr(target, "__pydantic_decorators__", None)
    validators = decorators.model_validators.values() if decorators else ()
    return not (
        config.get("from_attributes")
        or any(validator.info.mode != "after" for validator in validators)
        or _is_custom(target)
    )


def _generic_origin(kind: Any) -> Any:
    metadata = getattr(kind, "__pydantic_generic_metadata__", None) or {}
    return metadata.get("origin") or kind


def _is_custom(kind: Any) -> bool:
    own = getattr(kind, "__get_pydantic_core_schema__", None)
    inherited = getattr(BaseModel, "__get_pydantic_core_schema__", None)
    return getattr(own, "__func__", own) is not getattr(inherited, "__func__", None) and own is not None
