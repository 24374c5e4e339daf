"""What a value that a body hands over is in the graph: a reference's source, a constant, or a collection of them."""

from __future__ import annotations

from typing import Any, Protocol

from ..errors import CompileError
from .constants import UnfitConstantError, constant, type_of
from .recording import Argument, union
from .references import Question, Reference, Symbol, Tracer, symbol_of
from .snapshot import Collected, Constant
from .unmapped import Unmapped

__all__ = ["argument_of", "own_symbol"]


class Recorder(Tracer, Protocol):
    """What is needed of the trace."""

    fault: CompileError | None

    def error(self, code: str, operation: str, reason: str, way_out: str) -> CompileError:
        """The error, at the author's line."""


def argument_of(trace: Recorder, value: Any, where: str) -> Argument:
    """What ``value`` is in the graph. Raises ``CompileError``."""
    if issubclass(type(value), Question):
        raise trace.error(
            "comparison-as-value",
            f"the comparison `{value._label}` is used as a value in {where}",
            "a comparison can decide what the body does, and is no value of its own",
            "Branch on it (`if`), or compare inside a step and return the answer",
        )
    if (symbol := own_symbol(trace, value)) is not None:
        return Argument(symbol.source, trace.narrowed(symbol.source, symbol.annotation))
    if isinstance(value, Unmapped):
        raise trace.error(
            "unmapped-outside-map",
            f"unmapped(…) is given to {where}",
            "it marks an argument of .map(…) and .product(…) that is no list of items; here nothing is mapped",
            "Give the value as it is",
        )
    if isinstance(value, list | tuple | dict) and _holds_reference(value):
        return _collected(trace, value, where)
    return _constant(trace, value, where)


def own_symbol(trace: Recorder, value: object) -> Symbol | None:
    """The symbol of a reference of this trace; ``None`` for other values. Raises ``CompileError`` for another's."""
    symbol = symbol_of(value)
    if symbol is not None and symbol.trace is not trace:
        raise trace.error(
            "foreign-reference",
            f"`{symbol.label}` belongs to another compilation",
            "references live as long as the body that made them",
            "Do not keep step results in globals; pass them as arguments",
        )
    return symbol


def _collected(trace: Recorder, value: list[Any] | tuple[Any, ...] | dict[Any, Any], where: str) -> Argument:
    if isinstance(value, dict):
        keys = tuple(_constant(trace, key, where).source for key in value)
        items = [argument_of(trace, item, where) for item in value.values()]
        plain_keys = tuple(key.value for key in keys if isinstance(key, Constant))
        source = Collected("dict", tuple(item.source for item in items), plain_keys)
        return Argument(source, dict[union(type_of(k) for k in plain_keys), union(i.annotation for i in items)])  # type: ignore[misc]  # made at run time
    items = [argument_of(trace, item, where) for item in value]
    sources = tuple(item.source for item in items)
    if isinstance(value, list):
        return Argument(Collected("list", sources), list[union(i.annotation for i in items)])  # type: ignore[misc]  # made at run time
    return Argument(Collected("tuple", sources), tuple[tuple(item.annotation for item in items)])  # type: ignore[misc]  # made at run time


def _constant(trace: Recorder, value: object, where: str) -> Argument:
    fault = trace.fault
    try:
        found = constant(value)
    except UnfitConstantError as unfit:
        trace.fault = fault
        raise _unfit(trace, value, where, unfit) from unfit
    return Argument(found, type_of(found.value))


def _unfit(trace: Recorder, value: object, where: str, unfit: UnfitConstantError) -> CompileError:
    if isinstance(unfit.__cause__, CompileError):
        return trace.error(
            "reference-in-object",
            f"the {type(value).__name__} given to {where} holds a reference",
            "only lists, tuples and dicts can hold one",
            "Pass a dict, which is validated as the type that the step takes, or build the object inside a step",
        )
    if unfit.from_reference:
        return trace.error(
            "text-of-reference",
            f"the text given to {where} shows a reference instead of its value",
            "the value is known in a run only, and the body runs once, at compile",
            "Build the text inside a step, which gets the value",
        )
    return trace.error(
        "unserialisable-constant",
        f"the {type(value).__name__} given to {where} cannot be a constant",
        f"it cannot be copied and serialised ({unfit})",
        "Call it and pass on what it returns, or use it inside the step"
        if callable(value)
        else "Create it in on_init and read it from context.pipeline_state, or inside the step",
    )


def _holds_reference(value: object) -> bool:
    if isinstance(value, dict):
        return any(_holds_reference(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(_holds_reference(item) for item in value)
    return isinstance(value, Reference)
