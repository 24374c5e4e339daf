"""Functions that a body calls and that are no steps: ``is`` in them would be answered for the reference itself."""

from __future__ import annotations

import dis
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType, FunctionType
from typing import Any

from ..errors import CompileError
from .places import is_library, underlying
from .references import Reference
from .tracing import Trace

__all__ = ["askers", "watching"]


def askers(function: Callable[..., Any]) -> frozenset[CodeType]:
    """The code of functions that a body names, or they name in turn, and that ask ``is`` or for a type.

    Of pipelines what is traced is a copy that does not ask, unless another decorator hides the body.
    """
    found: set[CodeType] = set()
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
        if plain is not body and _question(plain.__code__):
            found.add(plain.__code__)
        waiting += _named(plain)
    return frozenset(found)


def _named(function: FunctionType) -> Iterator[Any]:
    """What a function names: functions, and those in the objects, classes, modules and tables that it names."""
    values = {**function.__globals__, **inspect.getclosurevars(function).nonlocals}
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


def _names(code: CodeType) -> Iterator[str]:
    yield from (*code.co_names, *code.co_freevars)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


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
    return next(filter(None, (_question(inner) for inner in code.co_consts if isinstance(inner, CodeType))), "")


@contextmanager
def watching(trace: Trace, codes: frozenset[CodeType]) -> Iterator[None]:
    """Notes a fault where one of ``codes`` is called with a reference in this thread."""
    if not codes:
        yield
        return
    before = sys.getprofile()

    def watch(frame: FrameType, event: Any, argument: object) -> None:
        if event == "call" and frame.f_code in codes and any(map(_holds_reference, frame.f_locals.values())):
            trace.note(_fault(frame))
        if before is not None:
            before(frame, event, argument)

    sys.setprofile(watch)
    try:
        yield
    finally:
        sys.setprofile(before)


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
