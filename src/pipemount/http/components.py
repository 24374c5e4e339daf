"""``components/schemas`` of the OpenAPI document: the pipelines' real models under names of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python

from ..adapters.protocol import CompiledPipeline
from ..pipelines.schema import Schema
from ..settings import Settings
from ..types import JsonObject
from .examples import example_of
from .models import (
    MIN_TIMEOUT,
    Health,
    Index,
    Info,
    InvocationProblem,
    ItemProblem,
    Metrics,
    PipelineList,
    Problem,
    Schemas,
    Status,
    TokenResponse,
    ValidationProblem,
    batch_model,
    request_model,
    response_model,
)
from .records import Accepted, JobList, JobRecord
from .tokens import token_request
from .wire import WireJsonSchema

__all__ = ["PREFIX", "SHARED", "component_schemas", "redirected", "ref", "references"]

PREFIX = "#/components/schemas/"
SHARED = "pipemount"
SHARED_MODELS = (
    *(Problem, ValidationProblem, InvocationProblem, ItemProblem, Index, Health, PipelineList, Info, Schemas, Status),
    *(Metrics, TokenResponse, Accepted, JobRecord, JobList),
)


def ref(owner: str, model: str) -> JsonObject:
    """A reference to a pipeline's model, or with ``SHARED`` as its owner to one that all have."""
    return {"$ref": f"{PREFIX}{owner}_{model}"}


def component_schemas(pipelines: Mapping[str, CompiledPipeline], settings: Settings) -> dict[str, JsonObject]:
    """All schemas that the document refers to, by name, in the order of their names.

    A pipeline's models are named ``<pipeline>_<Model>``, so that ``Item`` of the pipeline ``weather`` is
    ``weather_Item`` and stands beside a host's own ``Item``. A model that looks different going out (fields with
    defaults are always there) is ``weather_Item_Output`` as well. Should two such names be the same
    (``a_b`` with ``Item``, ``a`` with ``b_Item``) the later one ends in ``_2``.
    """
    components: dict[str, JsonObject] = {}
    taken = {f"{name}_{body}" for name in pipelines for body in ("Request", "Response", "Batch", "Results")}
    for name, compiled in pipelines.items():
        request = request_model(name, compiled, max_timeout=settings.request_timeout)
        models = {"Request": request, "Response": response_model(name, compiled)}
        models["Batch"] = batch_model(name, compiled, settings.max_batch)
        renamed = _owned(name, models, taken)
        _add_example(renamed, renamed[f"{name}_Request"], request)
        if found := renamed[f"{name}_Request"].get("examples"):
            renamed[f"{name}_Batch"]["examples"] = [[found[0]["parameters"]]]
        components |= renamed
        result = {"anyOf": [ref(name, "Response"), ref(SHARED, "ItemProblem")]}
        components[f"{name}_Results"] = {"type": "array", "items": result}
    shared = {model.__name__: Schema(model, TypeAdapter(model), "serialization") for model in SHARED_MODELS}
    shared["TokenRequest"] = token_request(settings)
    components |= _owned(SHARED, shared, taken)
    components[f"{SHARED}_Timeout"] = {"type": "number", "minimum": MIN_TIMEOUT, "maximum": settings.request_timeout}
    return dict(sorted(components.items()))


def _owned(owner: str, models: Mapping[str, Schema], taken: set[str]) -> dict[str, JsonObject]:
    """The definitions of ``models`` and of all that they refer to, named after their owner.

    The models themselves get just ``<owner>_<key>``, whatever pydantic calls them beside others of that name.
    """
    inputs = [(key, schema.mode, schema.adapter) for key, schema in models.items()]
    tops, schemas = TypeAdapter.json_schemas(inputs, ref_template=PREFIX + "{model}", schema_generator=WireJsonSchema)
    names = {top["$ref"].removeprefix(PREFIX): f"{owner}_{key}" for (key, _), top in tops.items()}
    definitions: dict[str, JsonObject] = schemas["$defs"]
    twins = _twins(definitions)
    definitions = {old: _renamed(schema, twins) for old, schema in definitions.items() if old not in twins}
    for old in sorted(definitions.keys() - names.keys()):
        plain = old.removesuffix("-Input").replace("-Output", "_Output")
        names[old] = _free_name(plain if plain.startswith(f"{owner}_") else f"{owner}_{plain}", taken)
        taken.add(names[old])
    return {names[old]: _renamed(schema, names) for old, schema in definitions.items()}


def _twins(definitions: Mapping[str, JsonObject]) -> dict[str, str]:
    """``X-Output`` to ``X-Input`` where both are the same but for what they call themselves and each other.

    Pydantic merges such pairs itself unless the models refer to themselves.
    """
    pairs = {old: f"{old.removesuffix('-Output')}-Input" for old in definitions if old.endswith("-Output")}
    while True:
        unlike = [one for one, other in pairs.items() if _renamed(definitions[one], pairs) != definitions.get(other)]
        if not unlike:
            return pairs
        for one in unlike:
            del pairs[one]


def _free_name(name: str, taken: set[str]) -> str:
    number, free = 2, name
    while free in taken:
        number, free = number + 1, f"{name}_{number}"
    return free


def _add_example(definitions: Mapping[str, JsonObject], schema: JsonObject, request: Schema) -> None:
    """Give the request an example, if one can be made that is accepted."""
    example = to_jsonable_python(
        {"parameters": example_of(schema["properties"]["parameters"], definitions)}, fallback=str
    )
    try:
        request.adapter.validate_python(example)
    except ValidationError:
        return
    schema["examples"] = [example]


def references(value: Any) -> set[str]:
    """All component references in a schema, those of discriminators included."""
    if isinstance(value, dict):
        return set().union(*map(references, value.values()))
    if isinstance(value, list):
        return set().union(*map(references, value))
    return {value} if isinstance(value, str) and value.startswith(PREFIX) else set()


def redirected(value: Any, targets: Mapping[str, str]) -> Any:
    """A schema with its references replaced as ``targets`` tells; others stay."""
    if isinstance(value, dict):
        return {key: redirected(item, targets) for key, item in value.items()}
    if isinstance(value, list):
        return [redirected(item, targets) for item in value]
    return targets.get(value, value) if isinstance(value, str) else value


def _renamed(schema: JsonObject, names: Mapping[str, str]) -> Any:
    return redirected(schema, {PREFIX + old: PREFIX + new for old, new in names.items()})
