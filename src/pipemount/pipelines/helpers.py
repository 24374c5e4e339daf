"""Functions that a body calls and that are no steps: ``is`` in them would be answered for the reference itself."""

from __future__ import annotations

import dis
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

from ..errors import CompileError
from .places import is_library, underlying
from .references import Reference
from .tracing import Trace

__all__ = ["askers", "watching"]


def askers(function: Callable[..., Any]) -> frozenset[CodeType]:
    """The code of functions that a body names, or they name in turn, and that ask ``is``."""
    function = underlying(function)
    found: set[CodeType] = set()
    seen: set[CodeType] = set()
    waiting: list[Any] = list(_named(function)) if isinstance(function, FunctionType) else []
    while waiting:
        helper = waiting.pop()
        body = getattr(helper, "__pipemount_body__", None)
        plain = underlying(body) if body is not None else helper
        code = getattr(plain, "__code__", None)
        if not isinstance(plain, FunctionType) or code in seen or is_library(plain.__code__.co_filename):
            continue
        seen.add(plain.__code__)
        if body is None and _asks_is(plain.__code__):
            found.add(plain.__code__)
        waiting += _named(plain)
    return frozenset(found)


def _named(function: FunctionType) -> Iterator[Any]:
    names = {**function.__globals__, **inspect.getclosurevars(function).nonlocals}
    used = function.__code__.co_names + function.__code__.co_freevars
    for name in used:
        if isinstance(value := names.get(name), ModuleType):
            yield from (getattr(value, inner, None) for inner in function.__code__.co_names)
        else:
            yield value


def _asks_is(code: CodeType) -> bool:
    if any(i.opname == "IS_OP" or i.opname.endswith("_NONE") for i in dis.get_instructions(code)):
        return True
    return any(_asks_is(constant) for constant in code.co_consts if isinstance(constant, CodeType))


@contextmanager
def watching(trace: Trace, codes: frozenset[CodeType]) -> Iterator[None]:
    """Notes a fault where one of ``codes`` is called with a reference in this thread."""
    if not codes:
        yield
        return
    before = sys.getprofile()

    def watch(frame: FrameType, event: Any, argument: object) -> None:
        if event == "call" and frame.f_code in codes and any(map(_is_reference, frame.f_locals.values())):
            trace.note(_fault(frame))
        if before is not None:
            before(frame, event, argument)

    sys.setprofile(watch)
    try:
        yield
    finally:
        sys.setprofile(before)


def _is_reference(value: object) -> bool:
    return issubclass(type(value), Reference)


def _fault(frame: FrameType) -> CompileError:
    helper, caller = frame.f_code.co_name, frame.f_back
    return CompileError(
        code="identity-in-helper",
        operation=f"`{helper}()`, which asks `is`, is called with a value of the run",
        reason="no value can notice `is`; it is heard through the source of a pipeline's body, and nowhere else",
        way_out=f"Decorate `{helper}` with @pipeline, which makes it a part of the body, or compare with `==` in it",
        file=caller.f_code.co_filename if caller else None,
        line=caller.f_lineno if caller else None,
    )
