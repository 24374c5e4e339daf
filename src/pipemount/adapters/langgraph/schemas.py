"""A graph's inputs and outputs as schemas that are checked before it runs, which LangGraph leaves to its nodes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, NotRequired, Required, get_args, get_origin, get_type_hints

from pydantic import BaseModel, Field, TypeAdapter, create_model
from pydantic_core import PydanticSerializationError
from typing_extensions import TypedDict, is_typeddict

from ...errors import CompileError
from ...pipelines.annotations import describe
from ...pipelines.codecs import coded
from ...pipelines.constants import NO_SCHEMA
from ...pipelines.schema import Schema
from .messages import spoken

__all__ = ["Member", "Members", "Shape", "input_shape", "members_of", "object_shape", "output_schema"]

_CLOSED = {"extra": "forbid", "ser_json_bytes": "base64", "val_json_bytes": "base64"}


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """One named value of an object; ``default`` (``...``: none) is shown, and filled in by whoever reads the object."""

    annotation: Any
    required: bool = True
    default: Any = ...
    description: str | None = None


Members = Mapping[str, Member]


@dataclasses.dataclass(frozen=True, slots=True)
class Shape:
    """A type to validate with, and what makes of its values what the author's code is handed."""

    annotation: Any
    build: Callable[[Any], Any]


# ------------------------------------------------------------------------------------- the author's types


def members_of(kind: Any) -> dict[str, Member] | None:
    """What a TypedDict, dataclass or pydantic model is made of; ``None`` for any other type."""
    if is_model(kind):
        return {name: _of_model(info) for name, info in kind.model_fields.items()}
    if is_typeddict(kind):
        return _of_typed_dict(kind)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = get_type_hints(kind, include_extras=True)
        return {field.name: _of_field(field, hints[field.name]) for field in dataclasses.fields(kind) if field.init}
    return None


def is_model(kind: Any) -> bool:
    """Whether it is a class of pydantic's."""
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _of_model(info: Any) -> Member:
    annotation = Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
    return Member(annotation, info.is_required(), description=info.description)


def _of_typed_dict(kind: Any) -> dict[str, Member]:
    found = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        required = name in kind.__required_keys__
        while (wrapper := get_origin(hint)) in (Required, NotRequired):  # the wrapper knows better than the keys do
            required, hint = wrapper is Required, get_args(hint)[0]
        found[name] = Member(hint, required)
    return found


def _of_field(field: dataclasses.Field[Any], hint: Any) -> Member:
    bare = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    return Member(hint, bare, ... if field.default is dataclasses.MISSING else field.default)


# ------------------------------------------------------------------------------------------------ inputs


def input_shape(name: str, kind: Any, members: Members, extra: Members) -> Shape:
    """What a caller sends: the ``members`` of ``kind`` and the ``extra`` ones, and nothing beside them.

    Its values are built into a mapping with what was sent, so that the graph itself fills in what was not: in a thread
    that goes on, a default must not take the place of what is remembered.
    """
    if is_model(kind):
        return Shape(_closed_model(name, kind, members, extra), _sent)
    return Shape(_typed_dict(name, {**members, **extra}, shown=True), dict)


def object_shape(name: str, kind: Any) -> Shape:
    """``kind`` itself, closed to unknown members, and built into what the author's code expects."""
    members = members_of(kind) or {}
    if is_model(kind):
        return Shape(_closed_model(name, kind, members, {}), lambda value: value)
    shown = _typed_dict(name, members, shown=True)
    return Shape(shown, dict if is_typeddict(kind) else lambda value: kind(**value))


def _sent(model: BaseModel) -> dict[str, Any]:
    return {name: getattr(model, name) for name in type(model).model_fields if name in model.model_fields_set}


def _closed_model(name: str, kind: type[BaseModel], members: Members, extra: Members) -> type[BaseModel]:
    """The author's model, with its validators, that refuses unknown members and speaks of messages as we do."""
    changed: dict[str, Any] = {}
    for field, info in kind.model_fields.items():
        if (annotation := spoken(members[field].annotation)) is not members[field].annotation:
            changed[field] = (annotation, info)
    for field, member in extra.items():
        default = ... if member.required else None
        changed[field] = (member.annotation, Field(default, description=member.description, json_schema_extra=_bare))
    made: type[BaseModel] = create_model(
        name, __base__=kind, __doc__=kind.__doc__, __module__=kind.__module__, __cls_kwargs__=_CLOSED, **changed
    )
    return made


def _bare(schema: dict[str, Any]) -> None:
    """Left out is not the same as ``null``, which is refused."""
    schema.pop("default", None)


def _typed_dict(name: str, members: Members, *, shown: bool = False) -> Any:
    make: Any = TypedDict  # names and members are known at run time only
    kind = make(name, {key: _described(member, shown=shown) for key, member in members.items()})
    kind.__module__ = __name__
    kind.__pydantic_config__ = {**_CLOSED, "title": name}
    return kind


def _described(member: Member, *, shown: bool) -> Any:
    annotation = coded(spoken(member.annotation))
    options: dict[str, Any] = {"description": member.description} if member.description else {}
    if shown and (default := _json_default(annotation, member.default)) is not ...:
        options["json_schema_extra"] = {"default": default}
    if options:
        annotation = Annotated[annotation, Field(**options)]
    return annotation if member.required else NotRequired[annotation]


def _json_default(annotation: Any, default: Any) -> Any:
    if default is ...:
        return default
    try:
        return TypeAdapter(annotation).dump_python(default, mode="json", warnings="error")
    except (PydanticSerializationError, *NO_SCHEMA):
        return ...


# ----------------------------------------------------------------------------------------------- outputs


def output_schema(name: str, members: Members) -> Schema:
    """An object with what a run leaves behind. Raises ``CompileError``."""
    return schema_of(_typed_dict(name, members), "serialization", f"the outputs of {name.removesuffix('_Outputs')!r}")


def schema_of(annotation: Any, mode: Literal["validation", "serialization"], what: str) -> Schema:
    """``annotation`` as a schema. Raises ``CompileError`` where some type in it has none."""
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(annotation)
        adapter.json_schema(mode=mode)
    except NO_SCHEMA as error:
        raise CompileError(
            code="type-without-schema",
            operation=f"{what} cannot be described",
            reason=f"a type in {describe(annotation)} has no JSON Schema ({str(error).splitlines()[0]})",
            way_out="Give the type a codec, or the graph an input_schema and an output_schema that leave it out: "
            "StateGraph(State, input_schema=…, output_schema=…)",
        ) from error
    return Schema(annotation, adapter, mode)
