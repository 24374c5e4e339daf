"""Functions on their way to another process: by name where that finds them, as they are where it would not."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

__all__ = ["Named", "found", "portable"]


class Named(NamedTuple):
    """A function that any process finds which can import its module."""

    module: str
    path: str


def portable(function: Callable[..., Any]) -> Callable[..., Any] | Named:
    """The name of ``function`` if its module has it, or the step made of it, under that name; else itself."""
    named = Named(getattr(function, "__module__", None) or "", getattr(function, "__qualname__", ""))
    module = sys.modules.get(named.module)
    if module is None or named.module == "__main__":
        return function
    return named if _plain(_at(module, named.path)) is function else function


def found(function: Callable[..., Any] | Named) -> Callable[..., Any]:
    """What ``portable`` was given. Raises ``ImportError``, or ``AttributeError`` where a module is another version."""
    if not isinstance(function, Named):
        return function
    value = _plain(_at(import_module(function.module), function.path))
    if not callable(value):
        raise AttributeError(f"module {function.module!r} has no function {function.path!r}")
    return value  # type: ignore[no-any-return]  # callable() does not narrow Any


def _at(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = getattr(value, name, None)
    return value


def _plain(value: Any) -> Any:
    """The function of a step, which is what its name leads to."""
    return value.function if getattr(type(value), "what", None) == "step" else value
