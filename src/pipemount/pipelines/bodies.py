"""What can be said of a pipeline's body before it runs."""

from __future__ import annotations

import builtins
import dis
import inspect
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

from .places import Place, function_place, underlying
from .tracing import refuse

__all__ = ["check_body"]

_COMPREHENSIONS = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>")


def check_body(function: Callable[..., Any], name: str) -> None:
    """Refuses bodies that could not be run once, to their end, by a plain call. Raises ``CompileError``."""
    place = function_place(function)
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        refuse(
            "async-pipeline",
            f"the pipeline {name!r} is an async function",
            "its body runs once, at compile; the run awaits async steps itself",
            "Leave out `async` and every `await`; keep them in the steps. A body that has to run for each request is "
            "a @pipeline(dynamic=True)",
            place,
        )
    if inspect.isgeneratorfunction(function):
        refuse(
            "generator-pipeline",
            f"the pipeline {name!r} yields",
            "its body runs once, at compile; deltas come from steps",
            "Yield inside a step and return the step's output",
            place,
        )
    target = underlying(function)
    if code := getattr(target, "__code__", None):
        _check_questions(code, name, getattr(target, "__globals__", {}))


def _check_questions(code: CodeType, name: str, names: dict[str, Any]) -> None:
    """Refuses what a reference cannot notice: it would answer for itself, and the graph would be wrong."""
    for instruction in _instructions(code):
        if instruction.opname in ("MATCH_SEQUENCE", "MATCH_MAPPING"):
            question = "matches a value against a pattern of items (`match`)"
        elif instruction.opname == "LOAD_GLOBAL" and instruction.argval == "type":
            if names.get("type", builtins.type) is not builtins.type:
                continue
            question = "asks for a type (`type()`)"
        else:
            continue
        line = instruction.positions.lineno if instruction.positions else None
        refuse(
            "type-of-reference",
            f"the body of {name!r} {question}",
            "of a value of the run nothing is known but its annotation: the body runs once, at compile",
            "Compare values (`==`, `in`, `is None`), or decide inside a step",
            Place(code.co_filename, line or code.co_firstlineno),
        )


def _instructions(code: CodeType) -> Iterator[dis.Instruction]:
    """Of a body and of the comprehensions in it; functions that it defines are no part of it."""
    yield from dis.get_instructions(code)
    for constant in code.co_consts:
        if isinstance(constant, CodeType) and constant.co_name in _COMPREHENSIONS:
            yield from _instructions(constant)
