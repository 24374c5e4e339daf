"""Patterns that a caller's text could keep busy for ever: those that Python's ``re`` matches, by trying again.

Pydantic's own engine takes time in proportion to the text, whatever the pattern; ``regex_engine="python-re"`` and
patterns that are compiled already do not use it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["slow_patterns"]

LINEAR = "rust-regex"


def slow_patterns(schema: Any, engine: str = LINEAR) -> Iterator[str]:
    """The patterns in a pydantic core schema that are matched by trying again."""
    if isinstance(schema, list | tuple):
        for value in schema:
            yield from slow_patterns(value, engine)
    elif isinstance(schema, dict):
        if schema.get("type") in ("model", "dataclass", "typed-dict"):  # each has a configuration of its own
            engine = (schema.get("config") or {}).get("regex_engine", LINEAR)
        pattern = schema.get("pattern") if schema.get("type") == "str" else None
        if pattern is not None and (not isinstance(pattern, str) or schema.get("regex_engine", engine) != LINEAR):
            yield str(getattr(pattern, "pattern", pattern))
        for key, value in schema.items():
            if key not in ("metadata", "default"):
                yield from slow_patterns(value, engine)
