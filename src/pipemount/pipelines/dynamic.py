"""``@pipeline(dynamic=True)``: bodies that run for each request, of which only what comes in and out is compiled."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, get_origin

from .annotations import NONE, Signature, output_fields, plain
from .compiler import Definition, compile_definition
from .fingerprint import source_version
from .models import output_schema
from .places import Place, function_place, is_async, underlying
from .projection import is_typed_dict
from .references import Reference
from .snapshot import Snapshot
from .specs import StepSpec
from .taking import current_trace
from .tracing import refuse

__all__ = ["dynamic_snapshot"]


def dynamic_snapshot(definition: Definition) -> Snapshot:
    """The body as one node between inputs and outputs. Raises ``CompileError``."""
    _check(definition)
    spec = _spec(definition.function, definition.name, definition.signature)
    names = [parameter.name for parameter in spec.parameters]
    call = _recorder(spec, plain(definition.signature.returns), names)
    return _with_optional(definition, compile_definition(replace(definition, call=call)))


def _check(definition: Definition) -> None:
    function, name, place = definition.function, definition.name, definition.place
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        refuse(
            "generator-pipeline",
            f"the pipeline {name!r} yields",
            "a body has outputs, which it returns; deltas come from steps",
            "Yield inside a step and return the step's output",
            place,
        )
    if not is_async(function):
        refuse(
            "sync-dynamic",
            f"the dynamic pipeline {name!r} is a plain function",
            "its body runs for each request and waits for steps meanwhile, which only an async function can",
            "Write `async def` and await the steps, or leave out dynamic=True",
            place,
        )
    if "return" not in getattr(underlying(function), "__annotations__", {}):
        _refuse_unannotated(name, place)


def _refuse_unannotated(name: str, place: Place) -> None:
    refuse(
        "dynamic-without-return",
        f"the dynamic pipeline {name!r} has no return annotation",
        "its body runs in requests only, and callers are told before what they will get",
        'Annotate it with a type, Annotated[T, "name"], a tuple of these, a TypedDict, or None',
        place,
    )


def _spec(function: Callable[..., Any], name: str, signature: Signature) -> StepSpec:
    return StepSpec(
        function=function,
        name=name,
        kind="async",
        generator=False,
        parameters=signature.parameters,
        outputs=output_fields(signature.returns),
        context_parameter=signature.context_parameter,
        version=source_version(function),
        doc=inspect.getdoc(function) or "",
    )


def _recorder(spec: StepSpec, returns: Any, names: list[str]) -> Callable[[Mapping[str, Any]], Any]:
    """What is traced in the place of the body: one call, and what its annotation says that it returns."""

    def record(values: Mapping[str, Any]) -> Any:
        found = current_trace().call(spec, {name: values[name] for name in names}, id=None, after=())
        if returns is NONE:
            return None
        if isinstance(found, Reference) and is_typed_dict(returns):
            return {key: found[key] for key in returns.__annotations__}
        return found

    return record


def _with_optional(definition: Definition, snapshot: Snapshot) -> Snapshot:
    """``snapshot`` with the items that a ``TypedDict`` does not require as optional outputs."""
    optional = _optional_keys(plain(definition.signature.returns))
    if not optional:
        return snapshot
    results = tuple(replace(result, optional=result.name in optional) for result in snapshot.results)
    module, place = definition.function.__module__, function_place(definition.function)
    output = output_schema(definition.name, results, module=module, place=place)
    return replace(snapshot, results=results, output=output)


def _optional_keys(returns: Any) -> frozenset[str]:
    """What may be missing in a ``TypedDict``. The class itself does not know where its annotations are postponed."""
    if not is_typed_dict(returns):
        return frozenset()
    found = set(returns.__optional_keys__)
    for key, hint in typing.get_type_hints(returns, include_extras=True).items():
        marks = {getattr(get_origin(hint), "_name", None)}
        found = found | {key} if "NotRequired" in marks else found - {key} if "Required" in marks else found
    return frozenset(found)
