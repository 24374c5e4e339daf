"""A codec as a value, which pydantic understands as metadata of a type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, get_origin

from pydantic import GetCoreSchemaHandler, WithJsonSchema
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from ..annotations import plain

__all__ = ["Codec"]

_UNREADABLE = (ValueError, TypeError, LookupError, ArithmeticError)


@dataclass(frozen=True, slots=True, eq=False)
class Codec:
    """How values of a type go over the wire: in ``Annotated[T, codec]``, or for all of ``T`` by ``register_codec``.

    Attributes:
        schema: What stands in JSON: a type that pydantic knows, which is validated before ``decode``, or a JSON Schema.
        decode: Makes a value of the type of what stood in JSON. Whatever ``ValueError``, ``TypeError``, ``LookupError``
            or ``ArithmeticError`` it raises is the caller's fault, its message the reason.
        encode: Makes what stands in JSON of a value.
        check: Given a value that is of the type already, where a value is validated: returns it, returns another, or
            raises as ``decode`` does. Without it such values are passed on as they are.

    Example:
        >>> from fractions import Fraction
        >>> from typing import Annotated
        >>> from pydantic import TypeAdapter
        >>> Ratio = Annotated[Fraction, Codec(tuple[int, int], lambda pair: Fraction(*pair), Fraction.as_integer_ratio)]
        >>> TypeAdapter(Ratio).validate_python([1, 2])
        Fraction(1, 2)
        >>> TypeAdapter(Ratio).dump_json(Fraction(3, 4))
        b'[3,4]'
    """

    schema: Any
    decode: Callable[[Any], Any]
    encode: Callable[[Any], Any]
    check: Callable[[Any], Any] | None = None

    @property
    def wire(self) -> Any:
        """The type of what stands in JSON."""
        return Annotated[Any, WithJsonSchema(dict(self.schema))] if isinstance(self.schema, Mapping) else self.schema

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        wire = handler.generate_schema(self.wire)
        written = core_schema.plain_serializer_function_ser_schema(self.encode, return_schema=wire, when_used="json")
        return core_schema.no_info_wrap_validator_function(self._reader(source), wire, serialization=written)

    def _reader(self, source: Any) -> Callable[[Any, Callable[[Any], Any]], Any]:
        kind = get_origin(plain(source)) or plain(source)

        def read(value: Any, validate: Callable[[Any], Any]) -> Any:
            if isinstance(value, kind):
                return value if self.check is None else _told(kind, self.check, value)
            return _told(kind, self.decode, validate(value))

        return read


def _told(kind: type, make: Callable[[Any], Any], value: Any) -> Any:
    try:
        return make(value)
    except _UNREADABLE as error:
        told = {"type": kind.__name__, "reason": str(error) or type(error).__name__}
        raise PydanticCustomError("not_decodable", "Input cannot be read as {type}: {reason}", told) from error
