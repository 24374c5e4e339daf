"""The pass ``trace``: what a body does on every path, found by running it with references.

A question about a value of the run is answered yes the first time; the body is then run again for every other answer,
until all paths are known or there are too many. Paths come in the order of a depth-first search, yes before no.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import CompileError
from .deciding import Decision, Decisions, as_text, same_questions
from .faults import explain_raised
from .helpers import Asker, watching
from .places import Place
from .recording import Argument, StepCall
from .snapshot import Parameter, Shape
from .sources import Outline, outline
from .specs import Hook, ParameterField
from .taking import tracing
from .tracing import Trace, refuse, too_many_branches

__all__ = ["Body", "Variant", "trace"]


@dataclass(frozen=True, slots=True)
class Body:
    """What is traced.

    Attributes:
        name: The pipeline's.
        function: The author's function.
        parameters: Of the pipeline.
        call: Runs the body with references by parameter name.
        place: Where the function is.
        on_init: The hook that makes the run's state.
        max_paths: How many paths are explored.
        askers: Functions that may not be called with a reference.
    """

    name: str
    function: Callable[..., Any]
    parameters: tuple[ParameterField, ...]
    call: Callable[[Mapping[str, Any]], Any]
    place: Place
    on_init: Hook | None = None
    max_paths: int = 64
    askers: frozenset[Asker] = frozenset()


@dataclass(frozen=True, slots=True)
class Variant:
    """What a body did on one path.

    Attributes:
        record: Step calls and decisions, in the order of the body.
        decisions: The decisions among them.
        shape: The form of what it returned.
        returned: The values in it; named by the keys of a dict, else ``None``.
    """

    record: tuple[StepCall | Decision, ...]
    decisions: tuple[Decision, ...]
    shape: Shape
    returned: tuple[tuple[str | None, Argument], ...]


def trace(body: Body) -> tuple[Variant, ...]:
    """What the body does on each path. Raises ``CompileError``."""
    variants = [_run(body, ())]
    if _outline(variants[0]) != _outline(_run(body, ())):
        _refuse_chance(body)
    while (script := _next_script(variants[-1])) is not None:
        if len(variants) == body.max_paths:
            decisions = Decisions()
            decisions.taken = list({d.key: d for variant in variants for d in variant.decisions}.values())
            raise too_many_branches(body.name, decisions, body.place)
        variant = _run(body, script)
        if len(variant.decisions) < len(script) or not same_questions(
            variants[-1].decisions[: len(script)], variant.decisions
        ):
            _refuse_chance(body)
        variants.append(variant)
    if not any(isinstance(item, StepCall) for variant in variants for item in variant.record):
        refuse(
            "no-steps",
            f"the pipeline {body.name!r} calls no step",
            "there is nothing to run",
            "Decorate a function with @step and call it in the body",
            body.place,
        )
    return tuple(variants)


def _next_script(variant: Variant) -> Sequence[bool] | None:
    """The answers that lead to the next path: the last yes becomes a no."""
    answers = [decision.answer for decision in variant.decisions]
    while answers and not answers[-1]:
        answers.pop()
    return [*answers[:-1], False] if answers else None


def _refuse_chance(body: Body) -> None:
    refuse(
        "nondeterministic-pipeline",
        f"the pipeline {body.name!r} did something else when its body ran again",
        "the graph is fixed at compile and must be the same in every process",
        "Take what changes (time, random numbers, counters, files, sets) into a step",
        body.place,
    )


def _outline(variant: Variant) -> Outline:
    """What two runs of a body must have in common."""
    return (
        tuple(_item(item) for item in variant.record),
        variant.shape,
        tuple((name, outline(argument.source)) for name, argument in variant.returned),
    )


def _item(item: StepCall | Decision) -> Outline:
    if isinstance(item, Decision):
        return item.key
    arguments = tuple((parameter.name, outline(argument.source)) for parameter, argument in item.arguments)
    return (item.id, item.step.name, item.step.version, arguments, item.after, item.fan)


# --------------------------------------------------------------------------------------------- running


def _run(body: Body, script: Sequence[bool]) -> Variant:
    found = Trace(Decisions(script, body.max_paths), body.on_init, sys._getframe())
    with tracing(found), found.body(body.name, body.function), watching(found, body.askers):
        given = {p.name: found.reference(Parameter(p.name), p.annotation, p.name) for p in body.parameters}
        try:
            result = body.call(given)
            found.ended = body.place
            shape, returned = _returned(found, result, f"the return of {body.name!r}")
        except CompileError as error:
            raise found.fault or error from None
        except Exception as error:  # the body is the author's: anything can come out of it
            raise found.fault or explain_raised(error, body.name, _path(found), found.file) from error
        if found.fault:
            raise found.fault
    return Variant(tuple(found.record), tuple(found.decisions.taken), shape, returned)


def _path(found: Trace) -> str:
    answers = [f"`{as_text(d.condition)}` is {'true' if d.answer else 'false'}" for d in found.decisions.taken]
    return f" where {' and '.join(answers)}" if answers else ""


def _returned(found: Trace, result: object, where: str) -> tuple[Shape, tuple[tuple[str | None, Argument], ...]]:
    if result is None:
        return "none", ()
    if isinstance(result, tuple):
        return "tuple", tuple((None, found.argument(item, where)) for item in result)
    if isinstance(result, dict):
        return "dict", tuple((_key(found, key), found.argument(item, where)) for key, item in result.items())
    return "value", ((None, found.argument(result, where)),)


def _key(found: Trace, key: object) -> str:
    if isinstance(key, str) and key:
        return key
    raise found.error(
        "output-name",
        f"the pipeline returns a dict with the key {key!r}",
        "outputs are named by text",
        "Use a str that is not empty",
    )
