"""The compiler: named passes from value to value, the last one freezes.

``model → trace → branch → check → order → freeze``. Each takes what the ones before returned and is pure: no I/O, no
event loop, no clock, the same result in every process. ``trace`` and ``branch`` are in ``exploring``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import ValidationError

from .annotations import Signature, describe
from .constants import adapter_for
from .edges import fit
from .exploring import Body, Traced, branch, trace
from .fingerprint import fingerprint
from .models import input_schema, output_schema, overrides_schema
from .places import Place, function_place
from .results import named_results
from .schema import Schema, describe_errors
from .snapshot import (
    Binding,
    Collected,
    Constant,
    Edge,
    Hooks,
    Node,
    Output,
    Parameter,
    ParameterField,
    ResultField,
    Snapshot,
    Source,
)
from .tracing import Argument, StepCall, refuse

__all__ = ["Definition", "compile_definition"]


@dataclass(frozen=True, slots=True)
class Definition:
    """What an author wrote, before any pass.

    Attributes:
        name: The pipeline's name.
        doc: Its docstring, dedented.
        function: The author's function; its file and line stand in errors.
        signature: Its parameters are the inputs.
        call: Runs the body with references by parameter name.
        hooks: Of the pipeline.
    """

    name: str
    doc: str
    function: Callable[..., Any]
    signature: Signature
    call: Callable[[Mapping[str, Any]], Any]
    hooks: Hooks

    @property
    def place(self) -> Place:
        """Where the function is."""
        return function_place(self.function)


@dataclass(frozen=True, slots=True)
class Modelled:
    """After ``model``: the inputs have a schema."""

    input: Schema
    parameters: tuple[ParameterField, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """After ``check``: every edge has a verdict, every output a name and a type."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    results: tuple[ResultField, ...]


def compile_definition(definition: Definition) -> Snapshot:
    """A definition as a snapshot. Raises ``CompileError``."""
    modelled = model(definition)
    body = Body(
        definition.name,
        definition.function,
        modelled.parameters,
        definition.call,
        definition.place,
        definition.hooks.on_init,
    )
    traced = branch(body, trace(body))
    checked = order(check(definition, traced))
    return freeze(definition, modelled, traced, checked)


# -------------------------------------------------------------------------------------------- model


def model(definition: Definition) -> Modelled:
    """Builds the input model from the signature."""
    schema, parameters = input_schema(
        definition.name, definition.signature.parameters, function=definition.function, place=definition.place
    )
    return Modelled(schema, parameters)


# -------------------------------------------------------------------------------------------- check


def check(definition: Definition, traced: Traced) -> Checked:
    """Type-checks every edge and names the outputs."""
    nodes, edges = [], []
    for call in traced.calls:
        bindings = []
        for parameter, argument in call.arguments:
            binding, verdict = _bind(call, parameter, argument)
            bindings.append(binding)
            edges += [Edge(source, call.id, parameter.name, verdict) for source in _origins(binding.source)]
        edges += [Edge(node, call.id, "", "after") for node in call.after]
        nodes.append(
            Node(call.id, call.step, tuple(bindings), call.after, (), call.place.file or "", call.place.line or 0)
        )
    returns = definition.signature.returns
    results = named_results(traced, returns, pipeline=definition.name, place=definition.place)
    edges += [Edge(source, "", result.name) for result in results for source in _origins(result.source)]
    return Checked(tuple(nodes), tuple(dict.fromkeys(edges)), results)


def _bind(call: StepCall, parameter: ParameterField, argument: Argument) -> tuple[Binding, Literal["ok", "coerce"]]:
    if isinstance(argument.source, Constant):
        return Binding(parameter.name, _fitted(call, parameter, argument.source)), "ok"
    verdict = fit(argument.annotation, parameter.annotation)
    if verdict == "never":
        refuse(
            "type-mismatch",
            f"{call.id}({parameter.name}=…) gets a {describe(argument.annotation)}",
            f"no such value can become the {describe(parameter.annotation)} that it takes",
            "Pass another value, or convert it in a step between them",
            call.place,
        )
    if verdict == "ok":
        return Binding(parameter.name, argument.source), "ok"
    return Binding(parameter.name, argument.source, adapter_for(parameter.annotation)), "coerce"


def _fitted(call: StepCall, parameter: ParameterField, given: Constant) -> Constant:
    """The constant as the parameter's type, so that no run has to validate it."""
    try:
        value = adapter_for(parameter.annotation).validate_python(given.value)
    except ValidationError as error:
        return refuse(
            "bad-constant",
            f"{call.id}({parameter.name}={given.value!r}) does not fit {describe(parameter.annotation)}",
            describe_errors(error)[0]["msg"],
            "Correct the value or the type",
            call.place,
        )
    return replace(given, value=value)


def _origins(source: Source) -> Iterator[str]:
    """Ids of the nodes that a value is from; ``""`` for the pipeline's parameters."""
    if isinstance(source, Collected):
        for item in source.items:
            yield from _origins(item)
    elif isinstance(source, Output):
        yield source.node
    elif isinstance(source, Parameter):
        yield ""


# -------------------------------------------------------------------------------------------- order


def order(checked: Checked) -> Checked:
    """Sorts nodes by rank, the longest way from the parameters; equal ranks stay in the order of the body."""
    ranks: dict[str, int] = {}
    nodes = []
    for node in checked.nodes:  # data flows from earlier calls to later ones only
        origins = [origin for binding in node.bindings for origin in _origins(binding.source) if origin]
        needs = tuple(dict.fromkeys((*origins, *node.after)))
        ranks[node.id] = 1 + max((ranks[need] for need in needs), default=0)
        nodes.append(replace(node, needs=needs))
    return replace(checked, nodes=tuple(sorted(nodes, key=lambda node: ranks[node.id])))


# ------------------------------------------------------------------------------------------- freeze


def freeze(definition: Definition, modelled: Modelled, traced: Traced, checked: Checked) -> Snapshot:
    """Builds what callers see and puts the fingerprint on it."""
    module = definition.function.__module__
    output = output_schema(definition.name, checked.results, module=module, place=definition.place)
    overrides = overrides_schema(definition.name, checked.nodes, module=module)
    return Snapshot(
        name=definition.name,
        doc=definition.doc,
        parameters=modelled.parameters,
        nodes=checked.nodes,
        edges=checked.edges,
        branches=traced.branches,
        results=checked.results,
        shape=traced.shape,
        input=modelled.input,
        output=output,
        overrides=overrides,
        hooks=definition.hooks,
        fingerprint=fingerprint(
            name=definition.name,
            nodes=checked.nodes,
            results=checked.results,
            shape=traced.shape,
            schemas=(modelled.input, output, overrides),
            hooks=definition.hooks,
        ),
    )
