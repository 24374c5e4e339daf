"""``Static[T]``: parameters whose values the body sees, at the price of one snapshot per value.

Where the values can be counted (``bool``, ``Literal``, an enum) all snapshots are made at compile. Of other types one
is made for the default, and the others when a run first asks for them; ``adapters.static`` keeps these.
"""

from __future__ import annotations

import enum
import hashlib
import itertools
import json
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, TypeAlias, TypeVar, Union

from pydantic import ValidationError

from ..errors import CompileError
from .annotations import NONE, describe
from .compiler import Definition, compile_definition, model
from .constants import adapter_for, canonical
from .edges import fit
from .facts import values_of
from .fingerprint import source_version
from .marks import STATIC, is_static
from .models import output_schema, overrides_schema
from .snapshot import Node, ResultField, Snapshot
from .specs import ParameterField
from .tracing import refuse

__all__ = ["MAX_EAGER", "Key", "Static", "StaticSnapshots", "compile_with", "static_key", "static_snapshots"]

T = TypeVar("T")

Static: TypeAlias = Annotated[T, STATIC]
"""A pipeline parameter that the body is handed as a plain value: ``copies: Static[int] = 1``."""

Key: TypeAlias = tuple[Hashable, ...]
"""The values of a pipeline's static parameters, made comparable."""

MAX_EAGER = 64
"""How many snapshots are made at compile; where there are more combinations, they are made on demand."""

_COUNTABLE = (str, int, bool, NONE)


@dataclass(frozen=True, slots=True)
class StaticSnapshots:
    """The snapshots of a pipeline with static parameters.

    Attributes:
        parameters: The static ones.
        eager: Made at compile, by the values that they are for.
        drawn: That of the defaults, with the schemas and the fingerprint of all.
        results: The outputs that callers are told of.
        complete: Whether there are no others.
    """

    definition: Definition
    parameters: tuple[ParameterField, ...]
    eager: Mapping[Key, Snapshot]
    drawn: Snapshot
    results: tuple[ResultField, ...]
    complete: bool

    def key(self, inputs: Mapping[str, Any]) -> Key:
        """Which snapshot validated inputs, by attribute, ask for."""
        return static_key(inputs[parameter.attribute] for parameter in self.parameters)

    def unusual(self, inputs: Mapping[str, Any]) -> list[str]:
        """The static parameters whose values are not the defaults."""
        key = self.key(inputs)
        return [p.name for p, own in zip(self.parameters, key, strict=True) if (own,) != static_key([p.default])]

    def compile(self, inputs: Mapping[str, Any]) -> Snapshot:
        """The snapshot for validated inputs, made anew. Raises ``CompileError``."""
        values = {parameter.name: inputs[parameter.attribute] for parameter in self.parameters}
        made = compile_with(self.definition, values)
        _check_outputs(self.definition, self.results, made.results)
        return made


def static_key(values: Iterable[Any]) -> Key:
    """Values as a key: the same for equal values of the same type."""
    return tuple(_comparable(value) for value in values)


def _comparable(value: Any) -> Hashable:
    if type(value) in _COUNTABLE or isinstance(value, enum.Enum):
        return type(value), value
    return type(value), json.dumps(canonical(value), sort_keys=True)


def compile_with(definition: Definition, values: Mapping[str, Any]) -> Snapshot:
    """The snapshot of a definition for these values of its static parameters. Raises ``CompileError``."""
    call = definition.call
    return compile_definition(replace(definition, call=lambda given: call({**given, **values})))


def static_snapshots(definition: Definition) -> StaticSnapshots | None:
    """All that is made at compile; ``None`` for a definition without static parameters. Raises ``CompileError``."""
    if not any(is_static(parameter.annotation) for parameter in definition.signature.parameters):
        return None
    parameters = tuple(p for p in model(definition).parameters if is_static(p.annotation))
    choices, complete = _choices(definition, parameters)
    eager: dict[Key, Snapshot] = {}
    for combination in itertools.product(*choices):
        values = dict(zip((p.name for p in parameters), combination, strict=True))
        eager[static_key(combination)] = _compile_one(definition, values)
    first = static_key(_first(p, found) for p, found in zip(parameters, choices, strict=True))
    drawn = eager.get(first) or next(iter(eager.values()))
    results = _united_results(drawn, list(eager.values()))
    return StaticSnapshots(
        definition, parameters, eager, _united(definition, drawn, results, list(eager.values())), results, complete
    )


# ------------------------------------------------------------------------------------ which values


def _choices(definition: Definition, parameters: Sequence[ParameterField]) -> tuple[list[tuple[Any, ...]], bool]:
    """Values to compile for, by parameter, and whether those are all that there can be."""
    domains = [_domain(parameter.annotation) for parameter in parameters]
    count = math.prod(len(domain) for domain in domains if domain is not None)
    choices = []
    for parameter, domain in zip(parameters, domains, strict=True):
        if domain and count <= MAX_EAGER:
            choices.append(domain)
        elif not parameter.required:
            choices.append((parameter.default,))
        else:
            _refuse_without_default(definition, parameter, count if domain else None)
    return choices, count <= MAX_EAGER and all(domains)


def _refuse_without_default(definition: Definition, parameter: ParameterField, count: int | None) -> None:
    reason = (
        f"there are {count} combinations of values, and up to {MAX_EAGER} are compiled in advance"
        if count
        else "its values cannot be counted, so the graph that is checked, drawn and described is that of the default"
    )
    refuse(
        "static-without-default",
        f"the parameter {parameter.name!r} of {definition.name!r} is Static[{describe(parameter.annotation)}] "
        "and has no default",
        reason,
        "Give it a default, or a type whose values can be counted: bool, Literal[…] or an enum",
        definition.place,
    )


def _domain(annotation: Any) -> tuple[Any, ...] | None:
    """Every value of a type, constraints applied; ``None`` where they cannot be counted."""
    if (found := values_of(annotation)) is None:
        return None
    return tuple({static_key([value]): value for value in found if _is_valid(annotation, value)}.values())


def _is_valid(annotation: Any, value: Any) -> bool:
    try:
        adapter_for(annotation).validate_python(value)
    except ValidationError:
        return False
    return True


def _first(parameter: ParameterField, choices: Sequence[Any]) -> Any:
    return choices[0] if parameter.required else parameter.default


def _compile_one(definition: Definition, values: Mapping[str, Any]) -> Snapshot:
    try:
        return compile_with(definition, values)
    except CompileError as error:
        where = ", ".join(f"{name}={value!r}" for name, value in values.items())
        raise CompileError(
            code=error.detail_code,
            operation=f"{error.operation} (where {where})",
            reason=error.reason,
            way_out=error.way_out,
            file=error.file,
            line=error.line,
        ) from error


# ------------------------------------------------------------------------------------- all as one


def _united(
    definition: Definition, drawn: Snapshot, results: Sequence[ResultField], every: Sequence[Snapshot]
) -> Snapshot:
    """``drawn`` as callers see it, whatever value they send."""
    module = definition.function.__module__
    versions = [source_version(definition.function), *(snapshot.fingerprint for snapshot in every)]
    return replace(
        drawn,
        output=output_schema(definition.name, results, module=module, place=definition.place),
        overrides=overrides_schema(definition.name, _united_nodes(every), module=module),
        fingerprint=hashlib.sha256(json.dumps(versions).encode()).hexdigest(),
    )


def _united_results(drawn: Snapshot, every: Sequence[Snapshot]) -> tuple[ResultField, ...]:
    found: dict[str, list[ResultField]] = {result.name: [] for result in drawn.results}
    for snapshot in every:
        for result in snapshot.results:
            found.setdefault(result.name, []).append(result)
    return tuple(_united_result(results, len(every)) for results in found.values())


def _united_result(results: Sequence[ResultField], count: int) -> ResultField:
    """One output of several snapshots, optional where not every one has it for certain."""
    annotation = results[0].annotation
    for result in results[1:]:
        if result.annotation != annotation:
            annotation = Union[annotation, result.annotation]  # noqa: UP007 (made at run time)
    optional = len(results) < count or any(result.optional for result in results)
    return replace(results[0], annotation=annotation, optional=optional)


def _united_nodes(every: Sequence[Snapshot]) -> list[Node]:
    """One node per id, its parameters those that any snapshot leaves to their defaults."""
    parameters: dict[str, dict[str, ParameterField]] = {}
    nodes: dict[str, Node] = {}
    for node in (node for snapshot in every for node in snapshot.nodes):
        nodes.setdefault(node.id, node)
        parameters.setdefault(node.id, {}).update({p.name: p for p in node.unbound})
    return [
        replace(node, bindings=(), step=replace(node.step, parameters=tuple(parameters[id].values())))
        for id, node in nodes.items()
    ]


def _check_outputs(definition: Definition, promised: Sequence[ResultField], made: Sequence[ResultField]) -> None:
    """Refuses outputs that callers were not told of: the schema was there before the value."""
    known, found = {r.name: r for r in promised}, {r.name: r for r in made}
    missing = [name for name, result in known.items() if not result.optional and name not in found]
    wrong = [
        name
        for name, result in found.items()
        if name not in known
        or result.optional > known[name].optional
        or fit(result.annotation, known[name].annotation) == "never"
    ]
    if missing or wrong:
        refuse(
            "static-outputs",
            f"for this value of a Static parameter the outputs of {definition.name!r} differ in {[*missing, *wrong]}",
            "the schema of the outputs is that of the default",
            "Return the same outputs whatever the value",
            definition.place,
        )
