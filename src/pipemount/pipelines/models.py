"""The models of a pipeline's interface, built from signatures: inputs, outputs, and overrides of step parameters."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Collection, Sequence
from copy import deepcopy
from functools import partial
from typing import Annotated, Any, Literal, NotRequired

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model
from pydantic.fields import FieldInfo
from pydantic_core import CoreConfig, PydanticSerializationError, SchemaSerializer
from typing_extensions import TypedDict

from .annotations import describe
from .codecs import coded, load_installed
from .constants import NO_SCHEMA, adapter_for
from .patterns import slow_patterns
from .places import Place
from .schema import Schema, describe_errors
from .snapshot import Node, ResultField
from .specs import ParameterField
from .tracing import refuse

__all__ = ["input_schema", "output_schema", "overrides_schema"]

_CONFIG = ConfigDict(
    extra="forbid",
    protected_namespaces=(),
    serialize_by_alias=True,
    allow_inf_nan=False,
    use_attribute_docstrings=False,
    ser_json_bytes="base64",
    val_json_bytes="base64",
)
_RESERVED = frozenset(dir(BaseModel))


# --------------------------------------------------------------------------------------------- inputs


def input_schema(
    name: str, parameters: Sequence[ParameterField], *, function: Callable[..., Any], place: Place
) -> tuple[Schema, tuple[ParameterField, ...]]:
    """The model that validates inputs, and the parameters with their attributes and validated defaults.

    Raises ``CompileError`` for a type that has no schema and for a default that its own type refuses.
    """
    texts = argument_texts(inspect.getdoc(function) or "")
    fields: dict[str, Any] = {}
    found = []
    taken = {parameter.name for parameter in parameters}
    for parameter in parameters:
        checked = _checked(name, parameter, _attribute(parameter.name, taken), place)
        taken.add(checked.attribute)
        fields[checked.attribute] = (coded(checked.annotation), _info(checked, texts.get(checked.name)))
        found.append(checked)
    model = create_model(f"{name}_Inputs", __config__=_CONFIG, __module__=function.__module__, **fields)
    return Schema(model, TypeAdapter(model)), tuple(found)


def _attribute(name: str, taken: Collection[str]) -> str:
    if name not in _RESERVED and not name.startswith(("_", "model_")):
        return name
    attribute = f"input_{name.lstrip('_')}"
    while attribute in taken:
        attribute += "_"
    return attribute


def _checked(pipeline: str, parameter: ParameterField, attribute: str, place: Place) -> ParameterField:
    what = f"the parameter {parameter.name!r} of {pipeline!r}"
    adapter = _public_adapter(parameter.annotation, what, place)
    for pattern in slow_patterns(adapter.core_schema):
        refuse(
            "slow-pattern",
            f"{what} has the pattern {pattern!r}, which Python's re would match",
            "it tries again and again, so that a caller's text can keep it busy for ever",
            "Give the pattern as a text, and leave out regex_engine: pydantic's own engine takes linear time",
            place,
        )
    default = parameter.default
    if not parameter.required:
        default = _default(adapter, parameter, what, place)
    return ParameterField(parameter.name, attribute, parameter.annotation, parameter.required, default)


def _default(adapter: TypeAdapter[Any], parameter: ParameterField, what: str, place: Place) -> Any:
    hint = "Write `| None` if None is meant" if parameter.default is None else "Correct the default or the type"
    try:
        value = adapter.validate_python(parameter.default)
        adapter.dump_json(value, warnings="error")
    except ValidationError as error:
        reason = describe_errors(error)[0]["msg"]
    except PydanticSerializationError as error:
        reason = str(error)
    else:
        return value
    return refuse(
        "bad-default",
        f"the default {parameter.default!r} of {what[4:]} is no {describe(parameter.annotation)}",
        reason,
        hint,
        place,
    )


def _info(parameter: ParameterField, text: str | None) -> Any:
    given: dict[str, Any] = {"alias": parameter.name, "title": _title(parameter.name)}
    if text and not _is_described(parameter.annotation):
        given["description"] = text
    if parameter.required:
        return Field(**given)
    if coded(parameter.annotation) is parameter.annotation:
        return Field(parameter.default, **given)
    shown = adapter_for(parameter.annotation).dump_python(parameter.default, mode="json")  # pydantic asks no codec
    return Field(default_factory=partial(deepcopy, parameter.default), json_schema_extra={"default": shown}, **given)


def _title(name: str) -> str:
    return name.replace("_", " ").strip().title()


def _is_described(annotation: Any) -> bool:
    metadata = getattr(annotation, "__metadata__", ())
    return any(isinstance(item, FieldInfo) and item.description for item in metadata)


def argument_texts(doc: str) -> dict[str, str]:
    """What a Google style docstring says of each argument."""
    section = re.search(r"^Args:\n((?:[ \t]+.*\n?|\n)+)", doc, re.MULTILINE)
    if not section:
        return {}
    lines = section[1].splitlines()
    indent = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    found: dict[str, str] = {}
    name = ""
    for line in lines:
        entry = re.match(rf"[ \t]{{{indent}}}\*{{0,2}}(\w+)(?: ?\([^)]*\))?: ?(.*)", line)
        if entry:
            name, found[entry[1]] = entry[1], entry[2].strip()
        elif name and line.strip():
            found[name] = f"{found[name]} {line.strip()}".strip()
    return found


# -------------------------------------------------------------------------------------------- outputs


def output_schema(name: str, results: Sequence[ResultField], *, module: str, place: Place) -> Schema:
    """An object with every result. Raises ``CompileError`` for a type that has no schema."""
    members: dict[str, Any] = {}
    for result in results:
        _public_adapter(result.annotation, f"the output {result.name!r} of {name!r}", place, mode="serialization")
        declared = coded(result.annotation)
        annotation: Any = Annotated[declared, Field(title=_title(result.name))]
        members[result.name] = NotRequired[annotation] if result.optional else annotation
    kind = _typed_dict(f"{name}_Outputs", members, module)
    adapter = TypeAdapter(kind)
    # The serialiser does not hear what a TypedDict's own configuration says of bytes.
    adapter.serializer = SchemaSerializer(adapter.core_schema, CoreConfig(ser_json_bytes="base64"))
    return Schema(kind, adapter, "serialization")


def overrides_schema(name: str, nodes: Sequence[Node], *, module: str) -> Schema:
    """What a request may say of step parameters that the body left to their defaults."""
    members: dict[str, Any] = {}
    for node in nodes:
        parameters = {p.name: NotRequired[_shown(p)] for p in node.unbound if _has_schema(p.annotation)}
        if parameters:
            inner = _typed_dict(f"{name}_{node.id}_Parameters", parameters, module)
            members[node.id] = NotRequired[_typed_dict(f"{name}_{node.id}_Step", {"parameters": inner}, module)]
    kind = _typed_dict(f"{name}_Steps", members, module)
    return Schema(kind, TypeAdapter(kind))


def _shown(parameter: ParameterField) -> Any:
    try:
        default = adapter_for(parameter.annotation).dump_python(parameter.default, mode="json", warnings="error")
    except PydanticSerializationError:
        return coded(parameter.annotation)
    return Annotated[coded(parameter.annotation), Field(json_schema_extra={"default": default})]


def _typed_dict(name: str, members: dict[str, Any], module: str) -> Any:
    make: Any = TypedDict  # names and members are known at run time only
    kind = make(name, members)
    kind.__module__ = module
    kind.__pydantic_config__ = ConfigDict(extra="forbid", title=name, ser_json_bytes="base64", val_json_bytes="base64")
    return kind


# --------------------------------------------------------------------------------------------- types


def _public_adapter(
    annotation: Any, what: str, place: Place, mode: Literal["validation", "serialization"] = "validation"
) -> TypeAdapter[Any]:
    """The adapter of a type that callers see. Raises ``CompileError`` where it has no JSON Schema."""
    try:
        return _adapter(annotation, mode)
    except NO_SCHEMA as error:
        if load_installed(annotation):
            return _public_adapter(annotation, what, place, mode)
        return refuse(
            "type-without-schema",
            f"{what} has the type {describe(annotation)}",
            f"it has no JSON Schema ({str(error).splitlines()[0].partition('. ')[0]})",
            "Use scalars, lists, dicts, dataclasses, TypedDict, enums or pydantic models, and convert inside a step; "
            "or give the type a codec",
            place,
        )


def _adapter(annotation: Any, mode: Literal["validation", "serialization"] = "validation") -> TypeAdapter[Any]:
    kind = coded(annotation)
    return _scalar_adapter(kind, mode) if kind in _SCALARS else _made_adapter(kind, mode)


_SCALARS = (int, str, float, bool)


def _made_adapter(annotation: Any, mode: Literal["validation", "serialization"]) -> TypeAdapter[Any]:
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    adapter.json_schema(mode=mode)
    return adapter


_scalar_adapter = functools.cache(_made_adapter)
"""Most inputs and outputs are of a few types, and what is made of them never changes."""


def _has_schema(annotation: Any) -> bool:
    try:
        _adapter(annotation)
    except NO_SCHEMA:
        return False
    return True
