"""Tracing: a pipeline's body runs once with references for values, and every step call becomes a record.

The trace that is under way lives in a context variable: other threads and tasks of the process do not see it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NoReturn

from ..errors import CompileError
from .annotations import Signature
from .constants import UnfitConstantError, constant, type_of
from .places import Place, caller_place, function_place
from .references import Condition, Reference, Symbol, symbol_of
from .snapshot import Collected, Constant, Hook, Output, Parameter, ParameterField, Source, StepSpec

__all__ = ["VALIDATION", "Argument", "StepCall", "Trace", "bind", "current", "is_tracing", "refuse", "tracing"]

_current: ContextVar[Trace | None] = ContextVar("pipemount_trace", default=None)

VALIDATION = "validation of"
"""Opens the version of steps of our own, which validate what enters a pipeline called in a body."""


@dataclass(frozen=True, slots=True)
class Argument:
    """A value in the body: where it comes from, and its type."""

    source: Source
    annotation: Any


@dataclass(frozen=True, slots=True)
class StepCall:
    """One recorded call of a step."""

    id: str
    step: StepSpec
    arguments: tuple[tuple[ParameterField, Argument], ...]
    after: tuple[str, ...]
    place: Place


@dataclass(slots=True)
class _Body:
    """A pipeline whose body is running: the outermost, or one called in it."""

    name: str
    function: Callable[..., Any]
    prefix: str
    after: tuple[str, ...]


@dataclass(slots=True)
class Trace:
    """The record of one run of a body; closed when the body has returned.

    ``ended`` is where faults are that show only after the body has run: in what it returned.
    """

    calls: list[StepCall] = field(default_factory=list)
    fault: CompileError | None = None
    bodies: list[_Body] = field(default_factory=list)
    pinned: Mapping[Parameter | Output, Any] = field(default_factory=dict)
    on_init: Hook | None = None
    entries: frozenset[str] = frozenset()
    ended: Place | None = None
    _taken: set[str] = field(default_factory=set)
    _counts: dict[str, int] = field(default_factory=dict)

    # ------------------------------------------------------------------------------- for references

    @property
    def file(self) -> str | None:
        """Source file of the innermost body; errors point there."""
        return function_place(self.bodies[-1].function).file if self.bodies else None

    def note(self, fault: CompileError) -> None:
        """Keeps the first fault, in case the body catches it."""
        self.fault = self.fault or fault

    def reference(self, source: Parameter | Output, annotation: Any, label: str) -> Any:
        """A reference; or a plain value, where this trace explores what the body does with it."""
        if source in self.pinned:
            return self.pinned[source]
        return Reference(Symbol(self, source, annotation, label))

    # ----------------------------------------------------------------------------------- for bodies

    @contextmanager
    def body(
        self, name: str, function: Callable[..., Any], *, id: str | None = None, after: tuple[str, ...] = ()
    ) -> Iterator[None]:
        """Steps called inside are recorded under ``name/``, unless this is the outermost body."""
        if any(body.function is function for body in self.bodies):
            chain = " → ".join([*(body.name for body in self.bodies), name])
            raise self.error(
                "recursive-pipeline",
                f"the pipeline {name!r} calls itself ({chain})",
                "a graph without end cannot be compiled",
                "Write the repetition inside a step",
            )
        outer = self.bodies[-1] if self.bodies else None
        prefix = f"{self._claim(outer.prefix, id) if id else self._unique(outer.prefix + name)}/" if outer else ""
        self.bodies.append(_Body(name, function, prefix, (*(outer.after if outer else ()), *after)))
        try:
            yield
        finally:
            self.bodies.pop()

    def error(self, code: str, operation: str, reason: str, way_out: str) -> CompileError:
        """The error, at the author's line."""
        place = self.ended or caller_place(self.file)
        return CompileError(
            code=code, operation=operation, reason=reason, way_out=way_out, file=place.file, line=place.line
        )

    # ------------------------------------------------------------------------------------ for steps

    def call(
        self, step: StepSpec, values: Mapping[str, object], *, id: str | None, after: object
    ) -> Reference | tuple[Reference, ...]:
        """Records a call and returns references to its outputs."""
        body = self.bodies[-1]
        arguments = tuple(
            (parameter, self.argument(values[parameter.name], f"{step.name}({parameter.name}=…)"))
            for parameter in step.parameters
            if parameter.name in values
        )
        order = tuple(dict.fromkeys((*body.after, *self.order(after))))
        node = self._claim(body.prefix, id) if id else self._unique(body.prefix + step.name)
        self.calls.append(StepCall(node, step, arguments, order, caller_place(self.file)))
        if len(step.outputs) == 1:
            return self.reference(Output(node), step.outputs[0].annotation, node)  # type: ignore[no-any-return]  # see reference()
        return tuple(
            self.reference(Output(node, index), output.annotation, f"{node}.{output.name}")
            for index, output in enumerate(step.outputs)
        )

    def _unique(self, wanted: str) -> str:
        name, count = wanted, self._counts.get(wanted, 1)
        while name in self._taken:
            count += 1
            name = f"{wanted}_{count}"
        self._counts[wanted] = count
        self._taken.add(name)
        return name

    def _claim(self, prefix: str, id: str) -> str:
        if "/" in (text := str(id)) or text != id or not id.isprintable():
            raise self.error(
                "bad-id", f"id={id!r} cannot be used", "ids are names in events and URLs", "Write text without a slash"
            )
        wanted = prefix + id
        if wanted in self._taken:
            raise self.error(
                "duplicate-id", f"id={wanted!r} is given to two steps", "ids are unique", "Choose another id"
            )
        self._taken.add(wanted)
        return wanted

    def order(self, after: object) -> tuple[str, ...]:
        """The nodes that ``after=`` names: references, calls' results, and lists or dicts of them."""
        if after is None or (self.pinned and not isinstance(after, Reference | list | tuple | dict)):
            return ()
        if isinstance(after, dict):
            after = list(after.values())
        if isinstance(after, list | tuple | set | frozenset):
            return tuple(dict.fromkeys(node for item in after for node in self.order(item)))
        symbol = self._own(after)
        if symbol is None or not isinstance(symbol.source, Output):
            raise self.error(
                "after-without-step",
                f"after={after!r} names no step",
                "only steps have an order",
                "Give what a step call returned",
            )
        return (symbol.source.node,)

    # ----------------------------------------------------------------------------------- for values

    def argument(self, value: object, where: str) -> Argument:
        """What ``value`` is in the graph. Raises ``CompileError``."""
        if isinstance(value, Condition):
            raise self.error(
                "comparison-as-value",
                f"the comparison `{value._symbol.label}` is used as a value in {where}",
                "it could be computed in a run only",
                "Compare inside a step and return the answer",
            )
        if (symbol := self._own(value)) is not None:
            return Argument(symbol.source, symbol.annotation)
        if isinstance(value, list | tuple | dict) and _holds_reference(value):
            return self._collected(value, where)
        return self._constant(value, where)

    def _own(self, value: object) -> Symbol | None:
        symbol = symbol_of(value)
        if symbol is not None and symbol.trace is not self:
            raise self.error(
                "foreign-reference",
                f"`{symbol.label}` belongs to another compilation",
                "references live as long as the body that made them",
                "Do not keep step results in globals; pass them as arguments",
            )
        return symbol

    def _collected(self, value: list[Any] | tuple[Any, ...] | dict[Any, Any], where: str) -> Argument:
        if isinstance(value, dict):
            keys = tuple(self._constant(key, where).source for key in value)
            items = [self.argument(item, where) for item in value.values()]
            plain_keys = tuple(key.value for key in keys if isinstance(key, Constant))
            source = Collected("dict", tuple(item.source for item in items), plain_keys)
            return Argument(source, dict[_union(type_of(k) for k in plain_keys), _union(i.annotation for i in items)])  # type: ignore[misc]  # made at run time
        items = [self.argument(item, where) for item in value]
        sources = tuple(item.source for item in items)
        if isinstance(value, list):
            return Argument(Collected("list", sources), list[_union(i.annotation for i in items)])  # type: ignore[misc]  # made at run time
        return Argument(Collected("tuple", sources), tuple[tuple(item.annotation for item in items)])  # type: ignore[misc]  # made at run time

    def _constant(self, value: object, where: str) -> Argument:
        fault = self.fault
        try:
            found = constant(value)
        except UnfitConstantError as unfit:
            self.fault = fault
            raise self._unfit(value, where, unfit) from unfit
        return Argument(found, type_of(found.value))

    def _unfit(self, value: object, where: str, unfit: UnfitConstantError) -> CompileError:
        if isinstance(unfit.__cause__, CompileError):
            return self.error(
                "reference-in-object",
                f"the {type(value).__name__} given to {where} holds a reference",
                "only lists, tuples and dicts can hold one",
                "Pass a dict, which is validated as the type that the step takes, or build the object inside a step",
            )
        if unfit.from_reference:
            return self.error(
                "text-of-reference",
                f"the text given to {where} shows a reference instead of its value",
                "the value is known in a run only",
                "Build the text inside a step, which gets the value",
            )
        return self.error(
            "unserialisable-constant",
            f"the {type(value).__name__} given to {where} cannot be a constant",
            f"it cannot be copied and serialised ({unfit})",
            "Create it in on_init and read it from context.pipeline_state, or inside the step",
        )


def _holds_reference(value: object) -> bool:
    if isinstance(value, dict):
        return any(_holds_reference(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(_holds_reference(item) for item in value)
    return isinstance(value, Reference)


def _union(annotations: Iterator[Any]) -> Any:
    found: Any = None
    for index, annotation in enumerate(annotations):
        found = annotation if index == 0 else _either(found, annotation)
    return found


def _either(one: Any, other: Any) -> Any:
    if one is other or one == other:
        return one
    return Any if Any in (one, other) else one | other


# ---------------------------------------------------------------------------------------- the current


def current() -> Trace | None:
    """The trace that is under way in this context."""
    return _current.get()


def is_tracing() -> bool:
    """Whether a pipeline's body is being traced in this context, so that calls must be recorded."""
    return _current.get() is not None


@contextmanager
def tracing(trace: Trace) -> Iterator[None]:
    """Makes ``trace`` the current one."""
    token = _current.set(trace)
    try:
        yield
    finally:
        _current.reset(token)


# ------------------------------------------------------------------------------------------- binding


def bind(
    trace: Trace, signature: Signature, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments of a call by parameter name; defaults are left out. Raises ``CompileError``."""
    try:
        return dict(signature.call.bind(*args, **kwargs).arguments)
    except TypeError as error:
        raise trace.error(
            "wrong-arguments",
            f"the call of {name!r} does not fit its signature",
            str(error),
            f"Call it as {name}{signature}",
        ) from None


def refuse(code: str, operation: str, reason: str, way_out: str, place: Place) -> NoReturn:
    """Raises the ``CompileError`` for a place that is known."""
    raise CompileError(code=code, operation=operation, reason=reason, way_out=way_out, file=place.file, line=place.line)
