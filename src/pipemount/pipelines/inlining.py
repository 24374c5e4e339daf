"""A pipeline called in another's body: its steps become steps of the outer one, under ``name/``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from .annotations import Signature, describe, plain
from .constants import adapter_for
from .edges import fit
from .marks import is_static
from .recording import Argument
from .references import Reference, Symbol, symbol_of
from .schema import describe_errors
from .snapshot import Constant
from .specs import Hook, OutputField, ParameterField, StepSpec
from .tracing import VALIDATION, Trace
from .unmapped import Unmapped

__all__ = ["check_on_init", "inline"]


def inline(
    trace: Trace,
    function: Callable[..., Any],
    body: Callable[..., Any],
    signature: Signature,
    values: Mapping[str, Any],
    *,
    name: str,
    id: str | None,
    after: tuple[str, ...],
) -> Any:
    """Runs a called pipeline's body in the caller's trace; what is left out takes the called pipeline's defaults.

    ``body`` is the author's ``function`` as it is traced.
    """
    with trace.body(name, function, id=id, after=after):
        given = {p.name: _entering(trace, p, values.get(p.name, p.default), name) for p in signature.parameters}
        return body(**given)


def check_on_init(trace: Trace, name: str, on_init: Hook | None) -> None:
    """Refuses a called pipeline that would need a state other than the outer one's. Raises ``CompileError``."""
    if on_init is not None and on_init != trace.on_init:
        raise trace.error(
            "inlined-on-init",
            f"the pipeline {name!r} has an on_init of its own",
            "its steps run in the outer pipeline, whose on_init alone makes the pipeline_state",
            "Give the outer pipeline the same on_init, or call .with_options(on_init=None)",
        )


def _entering(trace: Trace, parameter: ParameterField, value: object, pipeline: str) -> Any:
    """The value as the called pipeline declares it, validated where the types alone do not prove it."""
    where = f"{pipeline}({parameter.name}=…)"
    argument = trace.argument(value, where)
    if is_static(parameter.annotation):
        return _validated(trace, parameter, _known(trace, argument, where), where)
    if isinstance(argument.source, Constant):
        return _validated(trace, parameter, argument.source, where)
    verdict = fit(argument.annotation, parameter.annotation)
    if verdict == "never":
        raise trace.error(
            "type-mismatch",
            f"{where} gets a {describe(argument.annotation)}",
            f"no such value can become the {describe(parameter.annotation)} that it takes",
            "Pass another value, or convert it in a step between them",
        )
    if verdict == "coerce":
        return trace.call(_validation(parameter), {"value": value}, id=None, after=())
    symbol = symbol_of(value)
    if symbol is None or plain(parameter.annotation) is Any:
        return value
    return Reference(Symbol(trace, symbol.source, parameter.annotation, symbol.label))


def static_items(trace: Trace, signature: Signature, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a mapped pipeline's static parameters, one for all items. Raises ``CompileError``."""
    found = {}
    for parameter in signature.parameters:
        if not is_static(parameter.annotation):
            continue
        where, value = f"{name}({parameter.name}=…)", values.get(parameter.name, Unmapped(parameter.default))
        if not isinstance(value, Unmapped):
            raise trace.error(
                "static-by-reference",
                f"{where} is mapped, and is Static",
                "the body is compiled once for all items, with one value of it",
                "Wrap a value written in the body in unmapped(…), or map once per value",
            )
        argument = trace.argument(value.value, where)
        found[parameter.name] = _validated(trace, parameter, _known(trace, argument, where), where)
    return found


def _known(trace: Trace, argument: Argument, where: str) -> Constant:
    if isinstance(argument.source, Constant):
        return argument.source
    raise trace.error(
        "static-by-reference",
        f"{where} is Static, and gets a value of the run",
        "its body is compiled for a value that is known before the run",
        "Write the value in the body, or make it a Static parameter of this pipeline too",
    )


def _validated(trace: Trace, parameter: ParameterField, given: Constant, where: str) -> Any:
    try:
        return adapter_for(parameter.annotation).validate_python(given.value)
    except ValidationError as error:
        raise trace.error(
            "bad-constant",
            f"{where} gets {given.value!r}, which does not fit {describe(parameter.annotation)}",
            describe_errors(error)[0]["msg"],
            "Correct the value or the type",
        ) from None


def _validation(parameter: ParameterField) -> StepSpec:
    """A step of our own for a value on its way into a called pipeline; the edge to it validates."""
    return StepSpec(
        function=_pass_on,
        name=parameter.name,
        kind="loop",
        generator=False,
        parameters=(ParameterField("value", "value", parameter.annotation, True),),
        outputs=(OutputField(parameter.name, parameter.annotation),),
        version=f"{VALIDATION} {describe(parameter.annotation)}",
    )


def _pass_on(value: Any) -> Any:
    return value
