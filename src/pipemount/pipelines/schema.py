"""JSON Schema, validation and serialisation of one type, on pydantic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal

import pydantic.dataclasses  # noqa: F401 (pydantic imports it when first used: a compilation opens no file)
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from ..errors import InvalidInputsError, InvalidOutputsError
from ..types import JsonObject

__all__ = ["OUT_OF_RANGE", "Schema", "describe_errors"]

OUT_OF_RANGE = {"loc": [], "msg": "A value is out of the range of its type", "type": "out_of_range"}


def describe_errors(error: ValidationError) -> list[JsonObject]:
    """The faults of a failed validation as ``loc``, ``msg`` and ``type``; values are left out."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    return [{"loc": list(f["loc"]), "msg": f["msg"], "type": f["type"]} for f in faults]


@dataclass(frozen=True, slots=True)
class Schema:
    """One type that pydantic knows: its JSON Schema, its validator, its serialiser.

    Attributes:
        annotation: The type; another model may use it as a field.
        adapter: Pydantic's adapter for it.
        mode: Whether the JSON Schema describes what is accepted or what is produced.
    """

    annotation: Any
    adapter: TypeAdapter[Any]
    mode: Literal["validation", "serialization"] = "validation"

    @property
    def kinds(self) -> Counter[str]:
        """The kinds of pydantic core schema that it is made of, and how often, e.g. ``{"model": 1, "str": 2}``."""
        return Counter(_kinds(self.adapter.core_schema))

    def dumper(self) -> Callable[[object], bytes]:
        """``dump_json`` made ready for many calls."""
        validate, to_json = self.adapter.validator.validate_python, self.adapter.serializer.to_json
        # What was just validated into built-in types cannot surprise the serialiser, and looking is dear.
        warnings: Literal[False, "error"] = False if self.kinds.keys() <= BUILT_IN else "error"

        def dump(value: object) -> bytes:
            try:
                return to_json(validate(value), by_alias=True, warnings=warnings)
            except Exception as error:  # validators and serialisers may be the author's code: anything can come out
                raise InvalidOutputsError(_why(error)) from error

        return dump

    def json_schema(self, ref_template: str = "#/$defs/{model}") -> JsonObject:
        """The JSON Schema (draft 2020-12), models that it refers to under ``$defs``."""
        return self.adapter.json_schema(mode=self.mode, ref_template=ref_template)

    def validate(self, value: object) -> Any:
        """``value`` as this type. Raises ``InvalidInputsError``."""
        try:
            return self.adapter.validate_python(value)
        except ValidationError as error:
            raise InvalidInputsError(errors=describe_errors(error)) from None
        except OverflowError:  # pydantic lets it pass for a timedelta that is out of range
            raise InvalidInputsError(errors=[OUT_OF_RANGE]) from None

    def write(self, value: object, *, exclude_unset: bool = False) -> bytes:
        """What ``validate`` gave, as JSON that another process validates again. Raises ``InvalidInputsError``.

        Args:
            value: As validated.
            exclude_unset: Whether to leave out what was left out.
        """
        try:
            text = self.adapter.dump_json(value, by_alias=True, round_trip=True, exclude_unset=exclude_unset)
        except Exception as error:  # as in dumper()
            fault: JsonObject = {"loc": [], "msg": f"Input should be what JSON can say: {error}", "type": "json_type"}
            raise InvalidInputsError(errors=[fault]) from error
        if MASK in text and (places := list(_secrets(value, []))):
            raise InvalidInputsError(errors=[{"loc": place, "msg": MASKED, "type": "secret"} for place in places])
        return text

    def dump(self, value: object) -> Any:
        """``value`` as JSON-compatible Python. Raises ``InvalidOutputsError``."""
        try:
            return self.adapter.dump_python(self.adapter.validate_python(value), mode="json", warnings="error")
        except Exception as error:  # as in dumper()
            raise InvalidOutputsError(_why(error)) from error

    def dump_json(self, value: object) -> bytes:
        """``value`` as UTF-8 JSON; NaN and infinities become null. Raises ``InvalidOutputsError``."""
        return self.dumper()(value)


MASK = b"*" * 10
MASKED = "A secret is masked where it is written as JSON; give what it is found by, and look it up in the step"


def _secrets(value: Any, place: list[str | int]) -> Iterator[list[str | int]]:
    """Where pydantic's secrets are that hold something, below ``place``."""
    if hasattr(value, "get_secret_value"):
        if value.get_secret_value():
            yield place
    elif isinstance(value, Mapping):
        for name, part in value.items():
            yield from _secrets(part, [*place, str(name)])
    elif isinstance(value, list | tuple | set | frozenset):
        for number, part in enumerate(value):
            yield from _secrets(part, [*place, number])
    elif is_dataclass(value) or hasattr(value, "__pydantic_fields__"):
        names = getattr(value, "__pydantic_fields__", None) or [field.name for field in fields(value)]
        yield from _secrets({name: getattr(value, name) for name in names}, place)


BUILT_IN = frozenset(
    {"typed-dict", "typed-dict-field", "dict", "list", "nullable", "str", "int", "float", "bool", "none"}
)


def _kinds(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("type"), str):
            yield schema["type"]
        for key, value in schema.items():
            if key not in ("metadata", "default"):
                yield from _kinds(value)
    elif isinstance(schema, list | tuple):
        for value in schema:
            yield from _kinds(value)


def _why(error: Exception) -> str:
    if isinstance(error, ValidationError):
        faults = describe_errors(error)
        return "outputs do not fit their declared types: " + "; ".join(
            f"{'.'.join(map(str, f['loc'])) or 'output'}: {f['msg']}" for f in faults[:3]
        )
    if isinstance(error, PydanticSerializationError):
        return "outputs cannot be serialised to JSON as declared"
    return f"validating the outputs raised {type(error).__name__}"
