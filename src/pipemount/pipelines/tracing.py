"""Tracing: a pipeline's body runs once with references for values, and every step call becomes a record.

The trace that is under way lives in a context variable: other threads and tasks of the process do not see it.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, NoReturn

from ..errors import CompileError
from .annotations import Signature
from .arguments import argument_of, own_symbol
from .catching import catches
from .deciding import Decision, Decisions, TooManyDecisionsError, forks
from .likeness import Likeness, likeness
from .naming import Names
from .places import Place, caller_place, function_place, site
from .recording import Argument, Scope, StepCall
from .references import Reference, Symbol
from .snapshot import Condition, Fan, Operator, Output, Parameter, Snapshot
from .specs import Hook, StepSpec

__all__ = ["VALIDATION", "Trace", "bind", "refuse", "too_many_branches"]

VALIDATION = "validation of"
"""Opens the version of steps of our own, which validate what enters a pipeline called in a body."""


@dataclass(slots=True)
class _Body:
    """A pipeline whose body is running: the outermost, or one called in it."""

    name: str
    function: Callable[..., Any]
    prefix: str
    after: tuple[str, ...]
    scopes: tuple[Scope, ...]
    file: str | None


@dataclass(slots=True)
class Trace:
    """The record of one run of a body; closed when the body has returned.

    Attributes:
        decisions: Answers for what the body asks.
        on_init: The hook that makes the run's state.
        root: The frame that runs the body; places in it are told apart by the way from here.
        record: Step calls and decisions, in order.
        fault: The first fault, in case the body hides it.
        bodies: Those that are running, the outermost first.
        ended: Where faults are that show only after the body has run: in what it returned.
    """

    decisions: Decisions = field(default_factory=Decisions)
    on_init: Hook | None = None
    root: FrameType | None = None
    record: list[StepCall | Decision] = field(default_factory=list)
    fault: CompileError | None = None
    bodies: list[_Body] = field(default_factory=list)
    ended: Place | None = None
    _names: Names = field(default_factory=Names)
    _counts: Counter[tuple[Any, ...]] = field(default_factory=Counter)
    _likenesses: dict[tuple[int, int], Likeness] = field(default_factory=dict)

    # ------------------------------------------------------------------------------- for references

    @property
    def file(self) -> str | None:
        """Source file of the innermost body; errors point there."""
        return self.bodies[-1].file if self.bodies else None

    def note(self, fault: CompileError) -> None:
        """Keeps the first fault, in case the body catches it."""
        self.fault = self.fault or fault

    def reference(self, source: Parameter | Output, annotation: Any, label: str) -> Reference:
        """A reference of this trace."""
        return Reference(Symbol(self, source, annotation, label))

    def narrowed(self, source: Parameter | Output, annotation: Any) -> Any:
        """``annotation`` without what the answers so far rule out."""
        return self.decisions.facts.narrowed(source, annotation)

    def ask(self, operator: Operator, left: object, right: object) -> bool:
        """The answer to a question about a value of the run; a new one is recorded."""
        asked = self.argument(left, "a condition")
        other = None if operator == "truth" else self.argument(right, "a condition").source
        if self.ended or self.root is None:
            raise self.error(
                "foreign-reference",
                f"`{left!r}` is asked about after the body has returned",
                "the graph is complete then",
                "Decide inside the body, or inside a step",
            )
        condition, place = Condition(operator, asked.source, other), caller_place(self.file)
        try:
            answer, decision = self.decisions.answer(condition, asked.annotation, site(self.root), place)
        except TooManyDecisionsError:
            self.note(too_many_branches(self.bodies[0].name, self.decisions, place))
            raise self.fault or AssertionError from None
        if decision is not None:
            self.record.append(decision)
        return answer

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
        scopes = (*outer.scopes, Scope(self._key("body", name, id), name, id)) if outer else ()
        prefix = f"{self._named(outer.prefix, name, id)}/" if outer else ""
        order = (*(outer.after if outer else ()), *after)
        self.bodies.append(_Body(name, function, prefix, order, scopes, function_place(function).file))
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
        self,
        step: StepSpec,
        values: Mapping[str, object],
        *,
        id: str | None,
        after: object,
        fan: Fan | None = None,
        body: Snapshot | None = None,
    ) -> Reference | tuple[Reference, ...]:
        """Records a call and returns references to its outputs."""
        within = self.bodies[-1]
        self._check_caught(step)
        arguments = tuple(
            (parameter, self.argument(values[parameter.name], f"{step.name}({parameter.name}=…)"))
            for parameter in step.parameters
            if parameter.name in values
        )
        order = tuple(dict.fromkeys((*within.after, *self.order(after))))
        node = self._named(within.prefix, step.name, id)
        bound = tuple(parameter.name for parameter, _ in arguments)
        key = self._key("step", self._likeness(step, body), id, bound, fan)
        place = caller_place(self.file)
        call = StepCall(node, step, arguments, order, place, key, within.scopes, id, fan, body)
        self.record.append(call)
        if len(call.outputs) == 1:
            return self.reference(Output(node), call.outputs[0].annotation, node)
        return tuple(
            self.reference(Output(node, index), output.annotation, f"{node}.{output.name}")
            for index, output in enumerate(call.outputs)
        )

    def _check_caught(self, step: StepSpec) -> None:
        if catches(self.root, sys._getframe(1)):
            fault = self.error(
                "except-in-body",
                f"the call of {step.name!r} is within `try` … `except`",
                "the body runs once, at compile, where no step raises: what is written under `except` would never run",
                "Catch it inside the step, repeat the step (@step(retry=…)), or let the body run for each request: "
                "@pipeline(dynamic=True)",
            )
            self.note(fault)  # it is within the very `except` that it is about
            raise fault

    def _likeness(self, step: StepSpec, body: Snapshot | None) -> Likeness:
        """Told once for each step; its calls keep it alive."""
        what = (id(step), id(body))
        if what not in self._likenesses:
            self._likenesses[what] = likeness(step, body)
        return self._likenesses[what]

    def _named(self, prefix: str, name: str, id: str | None) -> str:
        if id is None:
            return self._names.unique(prefix + name)
        if not isinstance(id, str) or not id or "/" in id or not id.isprintable():
            raise self.error(
                "bad-id", f"id={id!r} cannot be used", "ids are names in events and URLs", "Write text without a slash"
            )
        if not self._names.claim(prefix + id):
            raise self.error(
                "duplicate-id", f"id={prefix + id!r} is given to two steps", "ids are unique", "Choose another id"
            )
        return prefix + id

    def _key(self, *what: Any) -> tuple[Any, ...]:
        """Where in the body the caller is, and how often it was there before; the same in every run of the body."""
        here = (*what, site(self.root) if self.root is not None else ())
        self._counts[here] += 1
        return (*here, self._counts[here])

    def order(self, after: object) -> tuple[str, ...]:
        """The nodes that ``after=`` names: references, calls' results, and lists or dicts of them."""
        if after is None:
            return ()
        if isinstance(after, dict):
            after = list(after.values())
        if isinstance(after, list | tuple | set | frozenset):
            return tuple(dict.fromkeys(node for item in after for node in self.order(item)))
        symbol = own_symbol(self, after)
        if symbol is None or not isinstance(symbol.source, Output):
            raise self.error(
                "after-without-step",
                f"after={after!r} names no step",
                "only steps have an order",
                "Give what a step call returned",
            )
        return (symbol.source.node,)

    def argument(self, value: Any, where: str) -> Argument:
        """What ``value`` is in the graph. Raises ``CompileError``."""
        return argument_of(self, value, where)


def too_many_branches(name: str, decisions: Decisions, place: Place) -> CompileError:
    """The error for a body with more ways through it than are explored; it names the forks."""
    return CompileError(
        code="too-many-branches",
        operation=f"the pipeline {name!r} has more ways through its body than are explored",
        reason=f"each of these doubles them: {forks(decisions.taken)}",
        way_out="Decide inside a step, loop inside a step (a `while` on a value of the run has no end here), "
        "raise the limit with @pipeline(max_paths=…), or let the body run for each request: @pipeline(dynamic=True)",
        file=place.file,
        line=place.line,
    )


# ------------------------------------------------------------------------------------------- binding


def bind(
    trace: Trace, signature: Signature, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments of a call by parameter name; defaults are left out. Raises ``CompileError``."""
    names = signature.call.parameters
    if len(args) == len(names) and not kwargs and signature.all_positional:  # as most calls are; bind() takes long
        return dict(zip(names, args, strict=True))
    try:
        return dict(signature.call.bind(*args, **kwargs).arguments)
    except TypeError as error:
        raise trace.error(
            "wrong-arguments",
            f"the call of {name!r} does not fit its signature",
            _misfit(signature, kwargs) or str(error),
            f"Call it as {name}{signature}",
        ) from None


def _misfit(signature: Signature, kwargs: Mapping[str, Any]) -> str:
    """What is wrong with the names of a call's keywords, if anything is."""
    unknown = next((keyword for keyword in kwargs if keyword not in signature.call.parameters), None)
    if unknown is None:
        return ""
    return f"{unknown!r} is given by the run" if unknown == signature.context_parameter else f"it has no {unknown!r}"


def refuse(code: str, operation: str, reason: str, way_out: str, place: Place) -> NoReturn:
    """Raises the ``CompileError`` for a place that is known."""
    raise CompileError(code=code, operation=operation, reason=reason, way_out=way_out, file=place.file, line=place.line)
