"""Functions that a body calls and that are no steps: ``is`` in them would be answered for the reference itself."""

from __future__ import annotations

import dis
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import CodeType, FrameType, FunctionType
from typing import Any, TypeAlias

from ..errors import CompileError
from .places import is_library, underlying
from .references import Reference
from .tracing import Trace

__all__ = ["Asker", "askers", "watching"]

Asker: TypeAlias = tuple[str, int, str]
"""A function by file, line and name, which a copy of it that is traced shares."""


def askers(function: Callable[..., Any]) -> frozenset[Asker]:
    """The functions that a body names or defines, or they in turn, and that ask ``is`` or for a type.

    Of pipelines what is traced is a copy that does not ask, unless another decorator hides the body.
    """
    found: set[Asker] = set()
    seen: set[CodeType] = set()
    waiting: list[Any] = [function]
    while waiting:
        helper = waiting.pop()
        if not callable(helper):
            continue
        body = function if helper is function else getattr(helper, "__pipemount_body__", None)
        plain = underlying(helper if body is None else body)
        code = getattr(plain, "__code__", None)
        if not isinstance(plain, FunctionType) or code in seen or is_library(plain.__code__.co_filename):
            continue
        seen.add(plain.__code__)
        if plain is not body:
            found |= {_asker(plain.__code__)} if _question(plain.__code__) else set()
        else:
            found |= {_asker(inner) for inner in _within(plain.__code__) if _question(inner) not in ("", "is")}
        waiting += _named(plain)
    return frozenset(found)


def _named(function: FunctionType) -> Iterator[Any]:
    """What a function names: functions, and those in the objects, classes, modules and tables that it names."""
    values = {**function.__globals__, **dict(_enclosed(function))}
    names = set(_names(function.__code__))
    for name in names:
        value = values.get(name, sys.modules.get(name))  # a module may be imported in the body
        if isinstance(value, FunctionType) or hasattr(value, "__pipemount_body__"):
            yield value
        elif isinstance(value, dict):
            yield from value.values()
        elif isinstance(value, list | tuple | set | frozenset):
            yield from value
        elif value is not None:
            yield from (_function_in(value, inner) for inner in names)


def _enclosed(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """The variables of the functions around it that have a value; others are defined below it."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # the cell is empty
            yield name, cell.cell_contents


def _asker(code: CodeType) -> Asker:
    return (code.co_filename, code.co_firstlineno, code.co_name)


def _within(code: CodeType) -> Iterator[CodeType]:
    """The functions that a function defines, and those in them."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _within(constant)


def _names(code: CodeType) -> Iterator[str]:
    for inner in (code, *_within(code)):
        yield from (*inner.co_names, *inner.co_freevars)


def _function_in(value: object, name: str) -> Any:
    found = inspect.getattr_static(value, name, None)
    if isinstance(found, property):
        return found.fget
    return found.__func__ if isinstance(found, staticmethod | classmethod) else found


def _question(code: CodeType) -> str:
    """What a function, or one in it, asks that no reference can notice; empty for nothing."""
    for instruction in dis.get_instructions(code):
        if instruction.opname == "IS_OP" or instruction.opname.endswith("_NONE"):
            return "is"
        if instruction.opname in ("MATCH_SEQUENCE", "MATCH_MAPPING"):
            return "match"
        if instruction.opname == "LOAD_GLOBAL" and instruction.argval == "type":
            return "type()"
    return next(filter(None, map(_question, _within(code))), "")


@contextmanager
def watching(trace: Trace, watched: frozenset[Asker]) -> Iterator[None]:
    """Notes a fault where one of ``watched`` is called with a reference in this thread."""
    if not watched:
        yield
        return
    before = sys.getprofile()

    def watch(frame: FrameType, event: Any, argument: object) -> None:
        if event == "call" and _asker(frame.f_code) in watched and _question(frame.f_code) and _is_given(frame):
            trace.note(_fault(frame))
        if before is not None:
            before(frame, event, argument)

    sys.setprofile(watch)
    try:
        yield
    finally:
        sys.setprofile(before)


def _is_given(frame: FrameType) -> bool:
    return any(map(_holds_reference, frame.f_locals.values()))


def _holds_reference(value: object) -> bool:
    """Whether ``value`` is a reference, or an object that has one: the arguments of ``*args``, a ``self``."""
    if _is_reference(value):
        return True
    if isinstance(value, dict):
        return any(map(_is_reference, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_is_reference, value))
    inner = getattr(type(value), "__dictoffset__", 0) and getattr(value, "__dict__", None)
    return isinstance(inner, dict) and any(map(_is_reference, inner.values()))


def _is_reference(value: object) -> bool:
    return issubclass(type(value), Reference)


def _fault(frame: FrameType) -> CompileError:
    helper, caller, question = frame.f_code.co_name, frame.f_back, _question(frame.f_code)
    asks_is = question == "is"
    return CompileError(
        code="identity-in-helper" if asks_is else "type-of-reference",
        operation=f"`{helper}()`, which asks `{question}`, is called with a value of the run",
        reason="no value can notice `is`; it is heard through the source of a pipeline's body, and nowhere else"
        if asks_is
        else "of a value of the run nothing is known but its annotation: the body runs once, at compile",
        way_out=f"Decorate `{helper}` with @pipeline, which makes it a part of the body, or compare with `==` in it"
        if asks_is
        else "Compare values (`==`, `in`, `is None`), or decide inside a step",
        file=caller.f_code.co_filename if caller else None,
        line=caller.f_lineno if caller else None,
    )
