"""Types as they go over the wire: each part that has a codec is told so, all else stays as the author wrote it."""

from __future__ import annotations

import collections
import collections.abc as abc
import dataclasses
import functools
import operator
import sys
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any, NotRequired, get_args, get_origin

import typing_extensions
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from ..annotations import describe, plain
from ..projection import is_typed_dict
from .codec import Codec
from .registry import codec_for, fields_of

__all__ = ["coded"]

_CONTAINERS = frozenset(
    {
        list,
        tuple,
        set,
        frozenset,
        dict,
        collections.deque,
        collections.OrderedDict,
        collections.defaultdict,
        abc.Sequence,
        abc.MutableSequence,
        abc.Set,
        abc.MutableSet,
        abc.Mapping,
        abc.MutableMapping,
    }
)
_WRAPPERS = ("Required", "NotRequired", "ReadOnly", "Final")


def coded(annotation: Any) -> Any:
    """``annotation`` with the codecs of its parts; the very same object where none has one."""
    return _coded(annotation, frozenset())


def _coded(annotation: Any, within: frozenset[Any]) -> Any:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _annotated(annotation, parts, within)
    if _is_name(annotation, origin):
        return _if_changed(annotation, id(origin or annotation), within)
    if origin in (typing.Union, types.UnionType):
        return _rebuilt(annotation, parts, within, lambda new: functools.reduce(operator.or_, new))
    if origin in _CONTAINERS or getattr(origin, "_name", None) in _WRAPPERS:
        return _rebuilt(annotation, parts, within, lambda new: origin[new if len(new) > 1 else new[0]])
    if (origin or annotation) in (abc.Iterable, abc.Collection):
        return Annotated[list[_coded(parts[0], within) if parts else Any], _ITEMS]  # type: ignore[misc]  # at run time
    return _class(annotation, origin or annotation, within)


def _annotated(annotation: Any, parts: tuple[Any, ...], within: frozenset[Any]) -> Any:
    inner, *metadata = parts
    if any(isinstance(item, Codec) for item in metadata):
        return annotation
    new = _coded(inner, within)
    return annotation if new is inner else Annotated[(new, *metadata)]


def _is_name(annotation: Any, origin: Any) -> bool:
    """Whether a type stands for another: ``NewType``, a type variable, an alias with or without parameters."""
    if origin is None:
        return annotation is not None and plain(annotation) is not annotation
    return type(origin).__name__ == "TypeAliasType"


def _if_changed(annotation: Any, name: int, within: frozenset[Any]) -> Any:
    """What stands for another type: itself, unless that type has codecs. An alias may contain itself."""
    if name in within:
        return annotation
    bare = plain(annotation)
    new = _coded(bare, within | {name})
    return annotation if new is bare else new


def _rebuilt(annotation: Any, parts: tuple[Any, ...], within: frozenset[Any], build: Callable[[Any], Any]) -> Any:
    new = tuple(part if part is Ellipsis else _coded(part, within) for part in parts)
    same = all(part is other for part, other in zip(parts, new, strict=True))
    return annotation if same else build(new)


def _class(annotation: Any, kind: Any, within: frozenset[Any]) -> Any:
    if not isinstance(kind, type):
        return annotation
    if (codec := codec_for(annotation)) is not None:
        return Annotated[annotation, codec]
    if kind in within:
        return annotation
    if is_typed_dict(kind):
        return _typed_dict(annotation, kind, within | {kind})
    if dataclasses.is_dataclass(kind) and not hasattr(kind, "__pydantic_decorators__"):
        return _dataclass(annotation, kind, within | {kind})
    return annotation


# ---------------------------------------------------------------------------------------------- records


def _hints(annotation: Any, kind: Any) -> dict[str, Any]:
    """The types of a record's fields, with what its type parameters stand for in ``annotation``."""
    given = dict(zip(getattr(kind, "__parameters__", ()), get_args(annotation), strict=False))
    return {name: _filled(hint, given) for name, hint in fields_of(kind).items()}


def _filled(hint: Any, given: dict[Any, Any]) -> Any:
    if isinstance(hint, typing.TypeVar):
        return given.get(hint, hint)
    wanted = getattr(hint, "__parameters__", ()) if given and not isinstance(hint, type) else ()
    return hint[tuple(given.get(parameter, parameter) for parameter in wanted)] if wanted else hint


def _typed_dict(annotation: Any, kind: Any, within: frozenset[Any]) -> Any:
    """The TypedDict with codecs for its items. Pydantic takes none of ``typing`` before Python 3.12."""
    hints = _hints(annotation, kind)
    new = {name: _coded(hint, within) for name, hint in hints.items()}
    if not hints or (_is_readable(kind) and all(new[name] is hint for name, hint in hints.items())):
        return annotation
    optional = {name for name in kind.__optional_keys__ if not _is_wrapped(hints[name])}
    return _record(
        annotation, kind, {name: NotRequired[hint] if name in optional else hint for name, hint in new.items()}
    )


def _dataclass(annotation: Any, kind: Any, within: frozenset[Any]) -> Any:
    """The dataclass with codecs for its fields: read from and written as an object."""
    hints = _hints(annotation, kind)
    fields = [field for field in dataclasses.fields(kind) if field.init and field.name in hints]
    new = {field.name: _coded(hints[field.name], within) for field in fields}
    if all(new[field.name] is hints[field.name] for field in fields):
        return annotation
    optional = {field.name for field in fields if not _is_required(field)}
    members = {name: NotRequired[hint] if name in optional else hint for name, hint in new.items()}
    return Annotated[kind, Codec(_record(annotation, kind, members), lambda given: kind(**given), _values(tuple(new)))]


def _record(annotation: Any, kind: Any, members: dict[str, Any]) -> Any:
    make: Any = typing_extensions.TypedDict  # names and members are known at run time only
    record = make(kind.__name__ if annotation is kind else describe(annotation), members)
    record.__module__, record.__qualname__ = kind.__module__, kind.__qualname__
    record.__doc__ = None if (kind.__doc__ or "").startswith(f"{kind.__name__}(") else kind.__doc__  # made by dataclass
    if (config := getattr(kind, "__pydantic_config__", None)) is not None:
        record.__pydantic_config__ = config
    return record


def _values(names: tuple[str, ...]) -> Callable[[Any], dict[str, Any]]:
    return lambda record: {name: getattr(record, name) for name in names}


def _is_wrapped(hint: Any) -> bool:
    return getattr(get_origin(hint), "_name", None) in _WRAPPERS


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _is_readable(kind: Any) -> bool:
    return sys.version_info >= (3, 12) or type(kind).__module__ != "typing"


# -------------------------------------------------------------------------------------------- iterables


class _Items:
    """Marks a list that stands for any iterable: pydantic would look at an iterable's items only when a step does."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        items = handler(source)
        return core_schema.json_or_python_schema(
            json_schema=items, python_schema=core_schema.no_info_before_validator_function(_listed, items)
        )


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, abc.Iterable) else value


_ITEMS = _Items()
