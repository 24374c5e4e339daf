"""Where in the author's code something happened: file and line, never a place inside this package."""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import Any, TypeAlias

import pydantic

__all__ = [
    "Place",
    "Site",
    "asked_by_author",
    "caller_place",
    "enclosing_frames",
    "function_place",
    "is_async",
    "is_library",
    "raised_place",
    "site",
    "underlying",
]

_PACKAGE = str(Path(__file__).parent.parent) + os.sep
_LIBRARIES = ("<frozen ", *(str(Path(m).parent) + os.sep for m in (os.__file__, str(Path(pydantic.__file__).parent))))


@dataclass(frozen=True, slots=True)
class Place:
    """A line of the author's code; both are ``None`` where it has no source."""

    file: str | None = None
    line: int | None = None


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if not frame.f_code.co_filename.startswith(_PACKAGE):
            yield frame
        frame = frame.f_back


def underlying(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function behind ``functools.partial``, ``functools.wraps`` and callable objects."""
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(function)
    called: Callable[..., Any] = function if inspect.isroutine(function) else type(function).__call__
    return called


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling ``function`` gives something to await or to iterate asynchronously.

    Decorators count: one may make a coroutine function of a plain one, and one that only passes on does not hide it.
    """
    layer: Any = function
    while True:
        called = layer if inspect.isroutine(layer) else type(layer).__call__
        if any(inspect.iscoroutinefunction(f) or inspect.isasyncgenfunction(f) for f in (layer, called)):
            return True
        inner = layer.func if isinstance(layer, functools.partial) else getattr(layer, "__wrapped__", None)
        if inner is None:
            return False
        layer = inner


def is_library(file: str) -> bool:
    """Whether a file is of this package, of Python itself or of what is installed."""
    return file.startswith((_PACKAGE, *_LIBRARIES))


def asked_by_author(file: str | None) -> bool:
    """Whether the caller of whoever calls this is an author's code, in ``file`` or anywhere outside libraries."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code.co_name == "__instancecheck__":
        frame = frame.f_back
    name = frame.f_code.co_filename if frame is not None else _PACKAGE
    return name == file or not is_library(name)


def enclosing_frames(function: Callable[..., Any]) -> Iterator[FrameType]:
    """Frames of the functions that ``function`` is defined in, as far as they still run, the outermost first."""
    name = getattr(function, "__qualname__", "")
    found = [frame for frame in _frames() if name.startswith(f"{frame.f_code.co_qualname}.<locals>.")]
    return reversed(found)


def caller_place(file: str | None = None) -> Place:
    """The line that led here: the innermost in ``file`` if there is one, else the innermost outside the package."""
    nearest: Place | None = None
    for frame in _frames():
        place = Place(frame.f_code.co_filename, frame.f_lineno)
        if file is None or place.file == file:
            return place
        nearest = nearest or place
    return nearest or Place()


def function_place(function: Callable[..., Any]) -> Place:
    """The line where ``function`` is defined, its first decorator included."""
    code = getattr(underlying(function), "__code__", None)
    return Place(code.co_filename, code.co_firstlineno) if code else Place()


def raised_place(error: BaseException, file: str | None) -> Place:
    """The line that raised ``error``: the innermost in ``file``, else the innermost outside the package."""
    nearest, found = Place(), None
    traceback: TracebackType | None = error.__traceback__
    while traceback is not None:
        place = Place(traceback.tb_frame.f_code.co_filename, traceback.tb_lineno)
        if not str(place.file).startswith(_PACKAGE):
            nearest = place
            found = place if place.file == file else found
        traceback = traceback.tb_next
    return found or nearest


Site: TypeAlias = tuple[int, ...]
"""Where in a body something is called, the calls on the way there included; compared within one compilation only."""


def site(root: FrameType) -> Site:
    """The way from ``root``, a frame that is running, to the caller."""
    found: list[int] = []
    frame = sys._getframe(1)
    while frame is not root and frame.f_back is not None:
        code = frame.f_code
        if not code.co_filename.startswith(_PACKAGE):
            found += (id(code), _spot(code, frame.f_lasti))
        frame = frame.f_back
    return tuple(found)


_spots: dict[int, tuple[CodeType, list[int]]] = {}


def _spot(code: CodeType, offset: int) -> int:
    """A number for a place in the source of ``code``: compilers write what follows a condition once per outcome."""
    if (known := _spots.get(id(code))) is None:
        if len(_spots) > 4096:
            _spots.clear()
        known = _spots[id(code)] = (code, _numbered(code))  # the code is kept, so that its id stays its own
    return known[1][offset // 2]


def _numbered(code: CodeType) -> list[int]:
    """For each instruction the first one that was written for the same place in the source."""
    firsts: dict[tuple[int | None, ...], int] = {}
    return [
        index if position[2] is None else firsts.setdefault(position, index)
        for index, position in enumerate(code.co_positions())
    ]
