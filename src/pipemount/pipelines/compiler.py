"""The compiler: named passes from value to value, the last one freezes.

``model → trace → branch → check → order → freeze``. Each takes what the ones before returned and is pure: no I/O, no
event loop, no clock, the same result in every process. ``trace`` is in ``exploring``, ``branch`` in ``merging``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import ValidationError

from .annotations import Signature, describe
from .constants import adapter_for
from .edges import fit
from .exploring import Body, trace
from .fingerprint import fingerprint
from .helpers import askers
from .mapping import fit_items
from .merging import Call, Merged, Option, branch
from .models import input_schema, output_schema, overrides_schema
from .places import Place, function_place
from .recording import Argument
from .results import named_results
from .schema import Schema, describe_errors
from .snapshot import EVERY_PATH, Binding, Branch, Choice, Constant, Edge, Node, ResultField, Snapshot, Source
from .sources import choice, origins
from .specs import Hooks, ParameterField
from .tracing import refuse

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
        max_paths: How many ways through the body are explored.
    """

    name: str
    doc: str
    function: Callable[..., Any]
    signature: Signature
    call: Callable[[Mapping[str, Any]], Any]
    hooks: Hooks
    max_paths: int = 64

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
    branches: tuple[Branch, ...]
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
        definition.max_paths,
        askers(definition.function),
    )
    merged = branch(trace(body), name=definition.name, place=definition.place)
    checked = order(check(definition, merged))
    return freeze(definition, modelled, merged, checked)


# -------------------------------------------------------------------------------------------- model


def model(definition: Definition) -> Modelled:
    """Builds the input model from the signature."""
    schema, parameters = input_schema(
        definition.name, definition.signature.parameters, function=definition.function, place=definition.place
    )
    return Modelled(schema, parameters)


# -------------------------------------------------------------------------------------------- check


def check(definition: Definition, merged: Merged) -> Checked:
    """Type-checks every edge and names the outputs."""
    nodes, edges = [], []
    for call in merged.calls:
        bindings = []
        for parameter, options in call.arguments:
            binding, found = _bind(call, parameter, options)
            bindings.append(binding)
            edges += found
        edges += [Edge(node, call.id, "", "after", conditional=call.paths != EVERY_PATH) for node in call.after]
        nodes.append(_node(call, tuple(bindings)))
    returns = definition.signature.returns
    results = named_results(merged, returns, pipeline=definition.name, place=definition.place)
    for result in results:
        edges += [
            Edge(source, "", result.name, conditional=result.optional or isinstance(result.source, Choice))
            for source in origins(result.source)
        ]
    return Checked(tuple(nodes), merged.branches, tuple(dict.fromkeys(edges)), results)


def _node(call: Call, bindings: tuple[Binding, ...]) -> Node:
    return Node(
        id=call.id,
        step=call.call.step,
        bindings=bindings,
        after=call.after,
        file=call.call.place.file or "",
        line=call.call.place.line or 0,
        fan=call.call.fan,
        body=call.call.body,
        paths=call.paths,
        decided_by=call.decided_by,
    )


def _bind(call: Call, parameter: ParameterField, options: Sequence[Option]) -> tuple[Binding, list[Edge]]:
    """How ``parameter`` gets its value, which may differ with the path; and the edges that this makes."""
    conditional = call.paths != EVERY_PATH or len(options) > 1
    coerce, edges = False, []
    sources: list[tuple[int, Source]] = []
    for paths, argument in options:
        fitted = fit_items if call.call.fan and parameter.name in call.call.fan.over else _fitted
        source, verdict = fitted(call, parameter, argument)
        sources.append((paths, source))
        coerce = coerce or verdict == "coerce"
        edges += [Edge(origin, call.id, parameter.name, verdict, conditional) for origin in origins(source)]
    adapter = adapter_for(parameter.annotation) if coerce else None
    return Binding(parameter.name, choice(sources), adapter), edges


def _fitted(call: Call, parameter: ParameterField, argument: Argument) -> tuple[Source, Literal["ok", "coerce"]]:
    if isinstance(argument.source, Constant):
        return _validated(call, parameter, argument.source), "ok"
    verdict = fit(argument.annotation, parameter.annotation)
    if verdict == "never":
        refuse(
            "type-mismatch",
            f"{call.id}({parameter.name}=…) gets a {describe(argument.annotation)}",
            f"no such value can become the {describe(parameter.annotation)} that it takes",
            "Pass another value, or convert it in a step between them",
            call.call.place,
        )
    return argument.source, verdict


def _validated(call: Call, parameter: ParameterField, given: Constant) -> Constant:
    """The constant as the parameter's type, so that no run has to validate it."""
    try:
        value = adapter_for(parameter.annotation).validate_python(given.value)
    except ValidationError as error:
        return refuse(
            "bad-constant",
            f"{call.id}({parameter.name}={given.value!r}) does not fit {describe(parameter.annotation)}",
            describe_errors(error)[0]["msg"],
            "Correct the value or the type",
            call.call.place,
        )
    return replace(given, value=value)


# -------------------------------------------------------------------------------------------- order


def order(checked: Checked) -> Checked:
    """Sorts by rank, the longest way from the parameters; equal ranks stay in the order of the body."""
    waiting = {branch.id: branch for branch in checked.branches}
    ranks: dict[str, int] = {}

    def ranked(needs: Iterable[str]) -> int:
        return 1 + max((ranks[need] for need in needs), default=0)

    def settle(ids: Iterable[str]) -> None:
        """Branches are asked after the nodes that they ask about, which may be later ones of the body's order."""
        for id in ids:
            if (branch := waiting.get(id)) is not None and id not in ranks:
                settle(branch.decided_by)
                ranks[id] = ranked((*branch.needs, *branch.decided_by))

    nodes = []
    for node in checked.nodes:  # data flows from earlier calls to later ones only
        origin = [o for binding in node.bindings for o in origins(binding.source) if o]
        needs = tuple(dict.fromkeys((*origin, *node.after)))
        settle(node.decided_by)
        ranks[node.id] = ranked((*needs, *node.decided_by))
        nodes.append(replace(node, needs=needs))
    settle(waiting)
    return replace(
        checked,
        nodes=tuple(sorted(nodes, key=lambda node: ranks[node.id])),
        branches=tuple(sorted(checked.branches, key=lambda branch: ranks[branch.id])),
    )


# ------------------------------------------------------------------------------------------- freeze


def freeze(definition: Definition, modelled: Modelled, merged: Merged, checked: Checked) -> Snapshot:
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
        branches=checked.branches,
        results=checked.results,
        shape=merged.shape,
        input=modelled.input,
        output=output,
        overrides=overrides,
        hooks=definition.hooks,
        fingerprint=fingerprint(
            name=definition.name,
            nodes=checked.nodes,
            branches=checked.branches,
            results=checked.results,
            shape=merged.shape,
            schemas=(modelled.input, output, overrides),
            hooks=definition.hooks,
        ),
        paths=merged.paths,
    )
