"""Marks that a pipeline's own annotations carry."""

from __future__ import annotations

import types
import typing
from typing import Annotated, Any, get_args, get_origin

__all__ = ["STATIC", "is_static"]


class _StaticMark:
    """Says in ``Annotated`` that a parameter is static; pydantic passes over it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "STATIC"


STATIC = _StaticMark()


def is_static(annotation: Any) -> bool:
    """Whether a parameter annotated so is handed to the body as a plain value."""
    if get_origin(annotation) is Annotated:
        return STATIC in annotation.__metadata__ or is_static(get_args(annotation)[0])
    if get_origin(annotation) in (typing.Union, types.UnionType):
        return any(is_static(part) for part in get_args(annotation))
    return False
