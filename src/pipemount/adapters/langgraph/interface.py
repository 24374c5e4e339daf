"""What goes into a graph and what comes out, by the three ways there are to write one."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_args, get_origin, get_type_hints

from langgraph.channels.base import BaseChannel
from langgraph.channels.binop import BinaryOperatorAggregate
from langgraph.channels.ephemeral_value import EphemeralValue
from langgraph.constants import START
from langgraph.func import entrypoint
from typing_extensions import is_typeddict

from ...errors import CompileError, ConfigurationError
from ...pipelines.codecs import load_installed
from ...pipelines.places import function_place, underlying
from ...pipelines.schema import Schema
from .schemas import Member, Members, Shape, input_shape, members_of, object_shape, output_schema, schema_of

__all__ = ["Interface", "entry_function", "read_interface"]

VALUE = "output"
"""The name of an output that is no object with members of its own."""


@dataclasses.dataclass(frozen=True, slots=True)
class Interface:
    """The schemas of a graph, and the ways from validated inputs to the graph's and from its value to outputs."""

    input: Schema
    output: Schema
    values: Callable[[Any], dict[str, Any]]
    enter: Callable[[dict[str, Any]], Any]
    leave: Callable[[Any], Mapping[str, Any]]


def read_interface(graph: Any, name: str, extra: Members) -> Interface:
    """The interface of ``graph``; callers may send the ``extra`` members beside its own.

    Raises:
        CompileError: A type has no JSON Schema.
        ConfigurationError: A member of the graph has the name of an extra one.
    """
    if (function := entry_function(graph)) is not None:
        return _of_function(name, function, extra)
    if hasattr(graph, "builder"):
        return _of_state(graph, name, extra)
    return _of_channels(graph, name, extra)


def entry_function(graph: Any) -> Callable[..., Any] | None:
    """The author's function behind a workflow of the functional API; ``None`` for a graph."""
    if hasattr(graph, "builder") or graph.input_channels != START or len(graph.nodes) != 1:
        return None
    (node,) = graph.nodes.values()
    function = getattr(node.bound, "func", None) or getattr(node.bound, "afunc", None)
    return underlying(function) if callable(function) else None


def _make(name: str, kind: Any, taken: Members, given: Members, extra: Members, **ways: Any) -> Interface:
    if clash := [member for member in extra if member in taken]:
        raise ConfigurationError(
            f"the graph {name!r} takes {clash[0]!r} itself, so callers cannot send {clash[0]!r} for the run as well; "
            "rename it in the graph's input, or decide it with a function"
        )
    try:
        return _described(name, kind, taken, given, extra, **ways)
    except CompileError:
        found = [load_installed(member.annotation) for member in (*taken.values(), *given.values())]
        if not any(found):
            raise
    return _described(name, kind, taken, given, extra, **ways)


def _described(name: str, kind: Any, taken: Members, given: Members, extra: Members, **ways: Any) -> Interface:
    shape = input_shape(f"{name}_Inputs", kind, taken, extra)
    read = schema_of(shape.annotation, "validation", f"the inputs of {name!r}")
    return Interface(read, output_schema(f"{name}_Outputs", given), shape.build, **ways)


# ------------------------------------------------------------------------------------------ StateGraph


def _of_state(graph: Any, name: str, extra: Members) -> Interface:
    builder = graph.builder
    taken = _state_members(builder, builder.input_schema)
    given = _state_members(builder, builder.output_schema)
    if taken is None or given is None:
        return _of_channels(graph, name, extra)
    if _says_nothing_of_inputs(builder, taken):
        taken = {key: dataclasses.replace(member, required=False) for key, member in taken.items()}
    if builder.output_schema is builder.state_schema:
        sent = {key for key, member in taken.items() if member.required}
        given = {
            key: dataclasses.replace(member, required=_is_always_there(graph.channels[key], sent=key in sent))
            for key, member in given.items()
        }
    return _make(name, builder.input_schema, taken, given, extra, enter=_same, leave=lambda value: value or {})


def _state_members(builder: Any, kind: Any) -> dict[str, Member] | None:
    """The members of a schema that are values of the state, which what LangGraph manages itself is not."""
    members = members_of(kind)
    if members is None:
        return None
    return {key: member for key, member in members.items() if isinstance(builder.channels.get(key), BaseChannel)}


def _says_nothing_of_inputs(builder: Any, members: Members) -> bool:
    """Whether the state is a TypedDict that marks no key as optional, so that nobody can tell inputs from results.

    LangGraph then runs with whatever it is sent. Dataclasses and models it checks itself, as they are declared.
    """
    undivided = builder.input_schema is builder.state_schema and is_typeddict(builder.state_schema)
    return undivided and all(member.required for member in members.values())


def _is_always_there(channel: BaseChannel[Any, Any, Any], *, sent: bool) -> bool:
    """Whether a run leaves a value in the channel, whichever way it takes: it began with one, or was sent one."""
    if isinstance(channel, EphemeralValue):
        return False
    return sent or (isinstance(channel, BinaryOperatorAggregate) and channel.is_available())


# ------------------------------------------------------------------------------------------ functional API


def _of_function(name: str, function: Callable[..., Any], extra: Members) -> Interface:
    parameter = next(iter(inspect.signature(function).parameters))
    hints = _hints(name, function)
    given, returned = hints.get(parameter, Any), _returned(hints.get("return", Any))
    members, outputs = members_of(given), members_of(returned)
    ways: dict[str, Any] = {"leave": _as_mapping if outputs is not None else lambda value: {VALUE: value}}
    if outputs is None:
        outputs = {VALUE: Member(returned)}
    if members is None:
        return _make(name, None, {parameter: Member(given)}, outputs, extra, enter=lambda v: v[parameter], **ways)
    shape = object_shape(f"{name}_{parameter}", given)
    return _make(name, given, members, outputs, extra, enter=_builder(shape, given), **ways)


def _hints(name: str, function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        place = function_place(function)
        raise CompileError(
            code="unresolved-annotation",
            operation=f"the annotations of the entrypoint {name!r} cannot be read",
            reason=str(error),
            way_out="Define or import its types at the top level of the module",
            file=place.file,
            line=place.line,
        ) from error


def _returned(hint: Any) -> Any:
    """What the caller gets of ``entrypoint.final[value, saved]``, which is the value."""
    if hint is entrypoint.final:
        return Any
    return get_args(hint)[0] if get_origin(hint) is entrypoint.final else hint


def _builder(shape: Shape, kind: Any) -> Callable[[dict[str, Any]], Any]:
    return dict if shape.build is dict else lambda values: kind(**values)


def _as_mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else vars(value)


# ------------------------------------------------------------------------------------------ bare channels


def _of_channels(graph: Any, name: str, extra: Members) -> Interface:
    """A graph of channels without a state: each channel is an input, or an output, that may be left out."""
    sole_in, sole_out = isinstance(graph.input_channels, str), isinstance(graph.output_channels, str)
    taken = _channels(graph, graph.input_channels, "UpdateType", "input")
    given = _channels(graph, graph.output_channels, "ValueType", VALUE)
    return _make(
        name,
        None,
        taken,
        given,
        extra,
        enter=(lambda values: values.get("input")) if sole_in else _same,
        leave=(lambda value: {} if value is None else {VALUE: value}) if sole_out else lambda value: value or {},
    )


def _channels(graph: Any, keys: Any, attribute: str, alone: str) -> dict[str, Member]:
    if isinstance(keys, str):
        key = "__root__" if "__root__" in graph.channels else keys
        return {alone: Member(getattr(graph.channels[key], attribute), alone == "input")}
    return {key: Member(getattr(graph.channels[key], attribute), required=False) for key in keys}


def _same(values: Any) -> Any:
    return values
