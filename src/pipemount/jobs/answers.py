"""Whether an answer can be what a suspended job asks for, as far as the schema of its question tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from ..errors import InvalidInputsError

__all__ = ["check_answer"]

Path = tuple[str | int, ...]
Fault = dict[str, Any]

PLAIN: Mapping[str, TypeAdapter[Any]] = {
    "boolean": TypeAdapter(bool),
    "integer": TypeAdapter(int),
    "number": TypeAdapter(float),
    "string": TypeAdapter(str),
    "null": TypeAdapter(None),
}
"""As lenient as where the step takes the answer: ``"5"`` is a number."""


def check_answer(question: Mapping[str, Any], answer: bytes) -> None:
    """Raise ``InvalidInputsError`` where the step would have to ask again.

    Types, members, choices and what has to be there are looked at; what else a schema says is for the step, which
    knows the type itself.
    """
    schema = question.get("schema")
    if not isinstance(schema, Mapping):
        return
    faults = list(_faults(schema, from_json(answer), ("body",), schema.get("$defs", {})))
    if faults:
        raise InvalidInputsError(errors=faults)


def _faults(schema: Any, value: Any, path: Path, known: Mapping[str, Any]) -> Iterator[Fault]:
    if not isinstance(schema, Mapping):
        return
    if "$ref" in schema:
        yield from _faults(known.get(schema["$ref"].rpartition("/")[2]), value, path, known)
    elif choices := schema.get("anyOf") or schema.get("oneOf"):
        found = [list(_faults(choice, value, path, known)) for choice in choices]
        if all(found):
            yield from found[0]
    elif "enum" in schema or "const" in schema:
        yield from _choice(schema, value, path)
    elif schema.get("type") == "object":
        yield from _members(schema, value, path, known)
    elif schema.get("type") == "array":
        yield from _items(schema, value, path, known)
    elif "format" not in schema and (adapter := PLAIN.get(str(schema.get("type")))) is not None:
        yield from _plain(adapter, value, path)


def _choice(schema: Mapping[str, Any], value: Any, path: Path) -> Iterator[Fault]:
    choices: Sequence[Any] = schema.get("enum") or [schema.get("const")]
    if str(value) not in map(str, choices):
        said = " or ".join(map(repr, choices))
        yield {"loc": [*path], "msg": f"Input should be {said}", "type": "enum"}


def _members(schema: Mapping[str, Any], value: Any, path: Path, known: Mapping[str, Any]) -> Iterator[Fault]:
    if not isinstance(value, Mapping):
        yield {"loc": [*path], "msg": "Input should be an object", "type": "object_type"}
        return
    for name in schema.get("required", ()):
        if name not in value:
            yield {"loc": [*path, name], "msg": "Field required", "type": "missing"}
    for name, member in schema.get("properties", {}).items():
        if name in value:
            yield from _faults(member, value[name], (*path, name), known)


def _items(schema: Mapping[str, Any], value: Any, path: Path, known: Mapping[str, Any]) -> Iterator[Fault]:
    if not isinstance(value, list):
        yield {"loc": [*path], "msg": "Input should be a valid list", "type": "list_type"}
        return
    for number, item in enumerate(value):
        yield from _faults(schema.get("items"), item, (*path, number), known)


def _plain(adapter: TypeAdapter[Any], value: Any, path: Path) -> Iterator[Fault]:
    try:
        adapter.validate_python(value)
    except ValidationError as error:
        [fault] = error.errors(include_url=False, include_context=False, include_input=False)
        yield {"loc": [*path], "msg": fault["msg"], "type": fault["type"]}
