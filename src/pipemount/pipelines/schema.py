"""JSON Schema, validation and serialisation of one type, on pydantic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from ..errors import InvalidInputsError, InvalidOutputsError
from ..types import JsonObject

__all__ = ["Schema", "describe_errors"]


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

    def json_schema(self, ref_template: str = "#/$defs/{model}") -> JsonObject:
        """The JSON Schema (draft 2020-12), models that it refers to under ``$defs``."""
        return self.adapter.json_schema(mode=self.mode, ref_template=ref_template)

    def validate(self, value: object) -> Any:
        """``value`` as this type. Raises ``InvalidInputsError``."""
        try:
            return self.adapter.validate_python(value)
        except ValidationError as error:
            raise InvalidInputsError(errors=describe_errors(error)) from None

    def dump(self, value: object) -> Any:
        """``value`` as JSON-compatible Python. Raises ``InvalidOutputsError``."""
        try:
            return self.adapter.dump_python(self.adapter.validate_python(value), mode="json", warnings="error")
        except (ValidationError, PydanticSerializationError) as error:
            raise InvalidOutputsError(_why(error)) from error

    def dump_json(self, value: object) -> bytes:
        """``value`` as UTF-8 JSON; NaN and infinities become null. Raises ``InvalidOutputsError``."""
        try:
            return self.adapter.dump_json(self.adapter.validate_python(value), warnings="error")
        except (ValidationError, PydanticSerializationError) as error:
            raise InvalidOutputsError(_why(error)) from error


def _why(error: ValidationError | PydanticSerializationError) -> str:
    if isinstance(error, ValidationError):
        faults = describe_errors(error)
        return "outputs do not fit their declared types: " + "; ".join(
            f"{'.'.join(map(str, f['loc'])) or 'output'}: {f['msg']}" for f in faults[:3]
        )
    return "outputs cannot be serialised to JSON as declared"
