"""Fan-out: ``step.map(…)``, ``step.product(…)`` and the same of pipelines; in a body recorded, elsewhere carried out.

The arguments of a map are lists of items, unless they are wrapped in ``unmapped(…)``. What a mapped call gives are
lists in the order of the items.
"""

from __future__ import annotations

import collections.abc as abc
import itertools
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Literal, TypeAlias, Union, get_args, get_origin

from pydantic import ValidationError

from ..errors import CompileError, ConfigurationError
from .annotations import NONE, describe, members
from .constants import adapter_for, listed
from .edges import Fit, fit
from .merging import Call
from .projection import elements, is_typed_dict
from .recording import Argument
from .references import Reference, symbol_of
from .schema import describe_errors
from .snapshot import Constant, Fan, Shape, Snapshot, Source
from .specs import OutputField, ParameterField, StepSpec
from .taking import CallOptions
from .tracing import Trace, refuse
from .unmapped import Unmapped

__all__ = [
    "FanKind",
    "call_each",
    "checked_limit",
    "combined",
    "fit_items",
    "formed",
    "item_types",
    "map_body",
    "map_step",
    "opened",
    "regrouped",
]

FanKind: TypeAlias = Literal["map", "product"]

_LISTS = (list, tuple, set, frozenset)
_LIST_TYPES = (*_LISTS, range, abc.Sequence, abc.MutableSequence, abc.Set, abc.Collection, abc.Iterable)
_WRAP = "Give a list, or wrap it in unmapped(…) if every item is to get it as it is"


# -------------------------------------------------------------------------------------- in a body


def map_step(trace: Trace, step: StepSpec, kind: FanKind, values: Mapping[str, Any], options: CallOptions) -> Any:
    """Records a mapped call of a step and returns references to its lists. Raises ``CompileError``."""
    fan, given = _fan(trace, step.name, kind, values, options.limit)
    return trace.call(step, given, id=options.id, after=options.after, fan=fan)


def map_body(trace: Trace, body: Snapshot, kind: FanKind, values: Mapping[str, Any], options: CallOptions) -> Any:
    """Records a map of a pipeline; the answer has the form of the pipeline's own. Raises ``CompileError``."""
    fan, given = _fan(trace, body.name, kind, values, options.limit)
    found = trace.call(_as_step(body), given, id=options.id, after=options.after, fan=fan, body=body)
    lists = found if isinstance(found, tuple) else (found,)
    return formed(body.shape, [result.name for result in body.results], lists)


def formed(shape: Shape, names: Sequence[str], values: Sequence[Any]) -> Any:
    """Values in the form of a return statement."""
    if shape == "dict":
        return dict(zip(names, values, strict=True))
    return tuple(values) if shape == "tuple" else values[0] if shape == "value" else None


def _as_step(body: Snapshot) -> StepSpec:
    """What stands for a mapped pipeline in the graph: its name, its parameters, and what each item gives."""
    outputs = tuple(
        OutputField(result.name, _or_none(result.annotation) if result.optional else result.annotation)
        for result in body.results
    )
    return StepSpec(
        function=_never_called,
        name=body.name,
        kind="async",
        generator=False,
        parameters=body.parameters,
        outputs=outputs,
        version=body.fingerprint,
        doc=body.doc,
    )


def _or_none(annotation: Any) -> Any:
    return Union[annotation, None]  # noqa: UP007 (made at run time)


async def _never_called(**values: Any) -> None:  # pragma: no cover  a mapped pipeline's nodes are called instead
    raise AssertionError("the nodes of a mapped pipeline are performed, not the pipeline")


_open: ContextVar[tuple[Callable[..., Any], ...]] = ContextVar("pipemount_mapped_bodies", default=())


@contextmanager
def opened(trace: Trace, function: Callable[..., Any], name: str) -> Iterator[None]:
    """While a mapped pipeline is compiled inside ``trace``: refuses one that is mapped in itself."""
    outer = (*_open.get(), *(body.function for body in trace.bodies))
    if function in outer:
        raise trace.error(
            "recursive-pipeline",
            f"the pipeline {name!r} is mapped in itself",
            "a graph without end cannot be compiled",
            "Write the repetition inside a step",
        )
    token = _open.set(outer)
    try:
        yield
    finally:
        _open.reset(token)


# ---------------------------------------------------------------------------------- its arguments


def _fan(trace: Trace, name: str, kind: FanKind, values: Mapping[str, Any], limit: Any) -> tuple[Fan, dict[str, Any]]:
    call = f"{name}.{kind}"
    over = tuple(parameter for parameter, value in values.items() if not isinstance(value, Unmapped))
    if not over:
        raise trace.error(
            "map-without-list",
            f"{call}(…) is given no list",
            "it runs once per item, and there is nothing to take items from",
            f"Give one parameter a list, or call {name}(…)",
        )
    given = {p: v.value if isinstance(v, Unmapped) else _items(trace, v, f"{call}({p}=…)") for p, v in values.items()}
    if kind == "map":
        _same_length(trace, call, {parameter: given[parameter] for parameter in over})
    return Fan(kind, over, _limit(trace, call, limit)), given


def _items(trace: Trace, value: Any, where: str) -> Any:
    """A list of items as the trace can record it. Raises ``CompileError`` for everything else."""
    symbol = symbol_of(value)
    if symbol is None:
        if isinstance(value, list | tuple | range | set | frozenset):
            return listed(value)
        raise _not_a_list(trace, where, type(value), f"`{value!r}`")
    annotation = trace.narrowed(symbol.source, symbol.annotation)
    if not all(item_types(member) for member in members(annotation)):
        raise _not_a_list(trace, where, annotation, f"`{symbol.label}`")
    return value


def _not_a_list(trace: Trace, where: str, annotation: Any, shown: str) -> CompileError:
    kinds = members(annotation)
    if any(_is_dict(kind) for kind in kinds):
        way_out = "Make a list of its keys, values or items in a step, or wrap it in unmapped(…)"
    elif NONE in kinds and len(kinds) > 1:
        way_out = "Branch on it (`if … is not None:`), make it an empty list in a step, or wrap it in unmapped(…)"
    elif any(kind is Any for kind in kinds):
        way_out = "Annotate it as list[…], or wrap it in unmapped(…) if every item is to get it as it is"
    else:
        way_out = _WRAP
    return trace.error(
        "map-not-a-list",
        f"{where} gets {shown}, of type {describe(annotation)}",
        "a map runs once per item, and only a list, tuple or set of known type is known to have items in an order",
        way_out,
    )


def _is_dict(kind: Any) -> bool:
    origin = get_origin(kind) or kind
    return isinstance(origin, type) and (issubclass(origin, abc.Mapping) or is_typed_dict(origin))


def _same_length(trace: Trace, call: str, lists: Mapping[str, Any]) -> None:
    lengths = {parameter: length for parameter, given in lists.items() if (length := _length(given)) is not None}
    if len(set(lengths.values())) > 1:
        raise trace.error(
            "map-lengths",
            f"{call}(…) gets lists of different lengths ({_counted(lengths)})",
            "it takes them side by side, an item of each",
            f"Give lists of one length, or combine every item with every other: .product(…) in the place of {call}(…)",
        )


def _length(given: Any) -> int | None:
    """How many items a list has, where that is known before the run."""
    if (symbol := symbol_of(given)) is None:
        return len(given)
    parts = elements(symbol.annotation)
    return None if parts is None else len(parts)


def _counted(lengths: Mapping[str, int]) -> str:
    return ", ".join(f"{parameter}: {length}" for parameter, length in lengths.items())


def _limit(trace: Trace, call: str, limit: Any) -> int | None:
    fault = None if limit is None else _limit_fault(limit)
    if fault is None:
        return limit  # type: ignore[no-any-return]  # a reference has no such class
    raise trace.error(
        "bad-max-concurrency", f"{call}(max_concurrency={limit!r})", fault, "Write a whole number of at least 1"
    )


def _limit_fault(limit: Any) -> str | None:
    if isinstance(limit, Reference):
        return "how many items may run at the same time is fixed at compile"
    return None if type(limit) is int and limit >= 1 else "it is the number of items that may run at the same time"


# ------------------------------------------------------------------------------- the check of items


def item_types(annotation: Any) -> tuple[Any, ...]:
    """The types of a list's items: one, or one per place of a tuple of fixed length; empty if it is no list."""
    if (parts := elements(annotation)) is not None:
        return parts
    kind = get_origin(annotation) or annotation
    if not isinstance(kind, type) or (kind not in _LIST_TYPES and not issubclass(kind, _LISTS)):
        return ()
    return (get_args(annotation) or (Any,))[:1]


def fit_items(call: Call, parameter: ParameterField, argument: Argument) -> tuple[Source, Literal["ok", "coerce"]]:
    """What a map goes over, for the parameter that takes one item at a time. Raises ``CompileError``."""
    if isinstance(argument.source, Constant):
        return _validated(call, parameter, argument.source), "ok"
    verdict = _fit_items(argument.annotation, parameter.annotation)
    if verdict == "never":
        refuse(
            "type-mismatch",
            f"{call.id}({parameter.name}=…) is mapped over a {describe(argument.annotation)}",
            f"none of its items can become the {describe(parameter.annotation)} that one call takes",
            "Map over another list, or convert the items in a step between them",
            call.call.place,
        )
    return argument.source, verdict


def _fit_items(annotation: Any, target: Any) -> Fit:
    arms = {_fit_each(item_types(member), target) for member in members(annotation)}
    return arms.pop() if len(arms) == 1 else "coerce"


def _fit_each(items: tuple[Any, ...], target: Any) -> Fit:
    """Every place of a tuple is an item: one misfit fails the map."""
    verdicts = {fit(item, target) for item in items}
    return "never" if "never" in verdicts else "coerce" if "coerce" in verdicts else "ok"


def _validated(call: Call, parameter: ParameterField, given: Constant) -> Constant:
    adapter = adapter_for(parameter.annotation)
    fitted = []
    for index, item in enumerate(given.value):
        try:
            fitted.append(adapter.validate_python(item))
        except ValidationError as error:
            refuse(
                "bad-constant",
                f"item {index} of {call.id}({parameter.name}=…), {item!r}, does not fit "
                f"{describe(parameter.annotation)}",
                describe_errors(error)[0]["msg"],
                "Correct the item or the type",
                call.call.place,
            )
    return replace(given, value=fitted)


# --------------------------------------------------------------------------------- outside a body


def checked_limit(limit: Any) -> None:
    """Raises ``ConfigurationError`` for what is no ``max_concurrency``."""
    if limit is not None and (fault := _limit_fault(limit)):
        raise ConfigurationError(f"max_concurrency={limit!r}: {fault}; write a whole number of at least 1")


def call_each(
    call: Callable[..., Any],
    combined: list[dict[str, Any]],
    *,
    awaited: bool,
    shape: Shape,
    names: Sequence[str],
) -> Any:
    """Calls a function for each item, one after the other; the lists, or for async functions what gives them."""
    if awaited:
        return _await_each(call, combined, shape, names)
    return regrouped([call(**item) for item in combined], shape, names)


async def _await_each(
    call: Callable[..., Awaitable[Any]], combined: list[dict[str, Any]], shape: Shape, names: Sequence[str]
) -> Any:
    return regrouped([await call(**item) for item in combined], shape, names)


def combined(name: str, kind: FanKind, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The arguments for each item. Raises ``ConfigurationError`` for what cannot be mapped."""
    shared = {parameter: value.value for parameter, value in values.items() if isinstance(value, Unmapped)}
    lists = {parameter: value for parameter, value in values.items() if parameter not in shared}
    for parameter, value in lists.items():
        if not isinstance(value, abc.Iterable) or isinstance(value, str | bytes | abc.Mapping):
            raise ConfigurationError(f"{name}.{kind}({parameter}={value!r}) is no list of items. {_WRAP}")
    if not lists:
        raise ConfigurationError(f"{name}.{kind}(…) is given no list; call {name}(…)")
    columns = [listed(value) for value in lists.values()]
    if kind == "map" and len({len(column) for column in columns}) > 1:
        counted = _counted({parameter: len(column) for parameter, column in zip(lists, columns, strict=True)})
        raise ConfigurationError(f"{name}.map(…) is given lists of different lengths ({counted})")
    rows = itertools.product(*columns) if kind == "product" else zip(*columns, strict=True)
    return [shared | dict(zip(lists, row, strict=True)) for row in rows]


def regrouped(results: list[Any], shape: Shape, names: Sequence[str]) -> Any:
    """A list of tuples or dicts as a tuple or dict of lists, whose names or number ``names`` tells."""
    if shape == "value":
        return results
    if shape == "dict":
        return {name: [result.get(name) for result in results] for name in names}
    return formed(shape, names, [[result[index] for result in results] for index in range(len(names))])
