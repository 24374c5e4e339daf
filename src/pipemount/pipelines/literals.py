"""Values as an author would write them."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

__all__ = ["collected", "written"]


def written(value: object) -> str:
    """``repr(value)``, with the members of enums by their names, in collections, too: ``[Color.RED]``."""
    if isinstance(value, Enum):
        return _member(value)
    kind = type(value)
    if kind in (list, tuple, dict):
        items: Any = value
        keys, parts = (tuple(items), items.values()) if kind is dict else ((), items)
        return collected(kind.__name__, [written(part) for part in parts], keys)
    if isinstance(value, set | frozenset) and value and kind in (set, frozenset):
        text = "{" + ", ".join(sorted(map(written, value))) + "}"
        return text if kind is set else f"frozenset({text})"
    return repr(value)


def collected(kind: str, items: Sequence[str], keys: Sequence[Any]) -> str:
    """A ``list``, ``tuple`` or ``dict`` of what is written already; only a dict has keys."""
    if kind == "dict":
        return "{" + ", ".join(f"{written(key)}: {item}" for key, item in zip(keys, items, strict=True)) + "}"
    text = ", ".join(items)
    return f"[{text}]" if kind == "list" else f"({text}{',' if len(items) == 1 else ''})"


def _member(member: Enum) -> str:
    """``Color.RED``; of flags also ``Access.READ|Access.WRITE``."""
    if not member.name:
        return repr(member)
    return "|".join(f"{type(member).__name__}.{name}" for name in member.name.split("|"))
