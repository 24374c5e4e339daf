"""What a generator step tells of what it yields: as much as the declared type has, and no more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import PydanticUserError, TypeAdapter

__all__ = ["narrowing"]

PLAIN = frozenset({Any, str, int, float, bool, bytes, type(None)})
"""What has nothing that could be left out."""


def narrowing(annotation: Any) -> Callable[[Any], Any] | None:
    """What makes a value as its declared type has it; ``None`` where there is nothing to leave out.

    A value of a subclass loses the fields that the declared class does not have, as it does in the outputs; of one
    that does not fit at all, at which the run will fail, only its own type's name is told.
    """
    if _is_plain(annotation):
        return None
    try:
        adapter = TypeAdapter(annotation)
    except (PydanticUserError, NameError, TypeError):  # outputs of such a type go through a codec
        return None

    def narrow(value: Any) -> Any:
        if type(value) is annotation:
            return value
        try:
            return adapter.validate_python(adapter.dump_python(value, warnings="error"))
        except Exception:  # it may be anything, and looking at it may run the author's code
            return type(value).__name__

    return narrow


def _is_plain(annotation: Any) -> bool:
    try:
        return annotation in PLAIN
    except TypeError:
        return False
