"""Sources: comparing them across traces, naming their nodes anew, writing them for people and for fingerprints."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import is_dataclass, replace
from enum import Enum
from typing import Any, TypeAlias

from pydantic import BaseModel

from .constants import canonical
from .literals import collected, written
from .snapshot import Access, Choice, Collected, Constant, Output, Parameter, Source

__all__ = ["Outline", "choice", "origins", "outline", "renamed", "shown"]

Outline: TypeAlias = tuple[Any, ...]
"""A source as nested tuples of texts and numbers: hashable, and the same in every process."""

_ATOMS = (str, int, bool, type(None))


def outline(source: Any) -> Outline:
    """Two sources (``Source``) have one outline if, and only if, they always give the same value."""
    kind = type(source)  # asked for by the hundred; a match statement takes three times as long
    if kind is Output:
        return ("output", source.node, source.index, *_hops(source.path))
    if kind is Parameter:
        return ("parameter", source.name, *_hops(source.path))
    if kind is Constant:
        return _constant(source.value)
    if kind is Collected:
        return (source.kind, tuple(map(outline, source.items)), tuple(map(_constant, source.keys)))
    return ("choice", tuple((hex(paths), outline(option)) for paths, option in source.options))


def _constant(value: Any) -> Outline:
    kind = type(value)
    if kind in _ATOMS:
        return ("constant", kind.__name__, value)
    return ("constant", _kinds(value), json.dumps(canonical(value), sort_keys=True))


def _kinds(value: Any) -> str:
    """The types of a value and of all in it: as JSON, ``Path("a")`` and ``"a"`` are one."""
    kind = type(value)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    inner = ",".join(_inner_kinds(value))
    return f"{name}({inner})" if inner else name


def _inner_kinds(value: Any) -> Iterable[str]:
    if isinstance(value, Enum):
        return [str(value.name)]
    if isinstance(value, set | frozenset):
        return sorted(map(_kinds, value))
    if isinstance(value, list | tuple):
        return map(_kinds, value)
    if isinstance(value, dict):
        return (_kinds(part) for item in value.items() for part in item)
    if isinstance(value, BaseModel) or is_dataclass(value):
        return (f"{name}={_kinds(item)}" for name, item in getattr(value, "__dict__", {}).items())
    return ()


def _hops(path: Sequence[Access]) -> Outline:
    return tuple([(access.kind, access.key) for access in path]) if path else ()


def origins(source: Source) -> Iterator[str]:
    """Ids of the nodes that a value may be from; ``""`` for the pipeline's parameters."""
    if isinstance(source, Collected):
        for item in source.items:
            yield from origins(item)
    elif isinstance(source, Choice):
        for _, option in source.options:
            yield from origins(option)
    elif isinstance(source, Output):
        yield source.node
    elif isinstance(source, Parameter):
        yield ""


def renamed(source: Source, ids: Mapping[str, str]) -> Source:
    """``source`` with other ids for its nodes."""
    if isinstance(source, Output):
        return replace(source, node=ids[source.node])
    if isinstance(source, Collected):
        return replace(source, items=tuple(renamed(item, ids) for item in source.items))
    return source


def choice(options: Sequence[tuple[int, Source]]) -> Source:
    """One source for several paths: itself where all agree, else a ``Choice``."""
    found: dict[Outline, tuple[int, Source]] = {}
    for paths, source in options:
        key = outline(source)
        bits, first = found.get(key, (0, source))
        found[key] = (bits | paths, first)
    if len(found) == 1:
        return options[0][1]
    return Choice(tuple(found.values()))


def shown(source: Source | None) -> str:
    """``source`` as an author would write it."""
    match source:
        case Constant(value):
            return written(value)
        case Parameter(name, path):
            return name + _path(path)
        case Output(node, index, path):
            return node + (f"[{index}]" if index is not None else "") + _path(path)
        case Choice(options):
            return _alternatives(tuple(dict.fromkeys(shown(option) for _, option in options)))
        case Collected(kind, items, keys):
            return collected(kind, [shown(item) for item in items], keys)
    return ""


def _path(path: Sequence[Access]) -> str:
    return "".join(f".{access.key}" if access.kind == "attribute" else f"[{access.key!r}]" for access in path)


def _alternatives(texts: Sequence[str]) -> str:
    """``(fetch or convert).temperature``: what the texts end with alike stands once."""
    tails = [text[len(_head(text)) :] for text in texts]
    if len(set(tails)) == 1:
        return f"({' or '.join(map(_head, texts))}){tails[0]}"
    return f"({' or '.join(texts)})"


def _head(text: str) -> str:
    return text.partition(".")[0].partition("[")[0]
