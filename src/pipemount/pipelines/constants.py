"""Constants: values written in a body, made safe to hand to every run."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterable
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, PydanticUserError, TypeAdapter
from pydantic_core import SchemaError, to_json

from .annotations import NONE, describe
from .codecs import codec_for, coded
from .references import MARK
from .snapshot import Constant

__all__ = ["NO_SCHEMA", "UnfitConstantError", "adapter_for", "canonical", "constant", "listed", "type_of"]

NO_SCHEMA = (PydanticUserError, SchemaError, NameError, TypeError)
"""What pydantic raises for a type that it has no schema for."""

_IMMUTABLE = (str, bytes, int, float, complex, bool, NONE)


class UnfitConstantError(Exception):
    """A value that cannot be a constant; the message says why."""

    def __init__(self, reason: str, *, from_reference: bool = False) -> None:
        super().__init__(reason)
        self.from_reference = from_reference


def constant(value: object) -> Constant:
    """``value`` as a constant, copied from the author's. Raises ``UnfitConstantError``."""
    if isinstance(value, _IMMUTABLE) and not isinstance(value, str):
        return Constant(value)
    try:
        copied = value if isinstance(value, str) else copy.deepcopy(value)
        text = to_json(copied, inf_nan_mode="constants", bytes_mode="base64")
    except Exception as error:  # copying and serialising call code of the value's own class
        raise UnfitConstantError(f"{type(error).__name__}: {error}") from error
    if MARK.encode() in text:
        raise UnfitConstantError("it was made of a reference's repr()", from_reference=True)
    return Constant(copied)


def type_of(value: object) -> Any:
    """The type that a constant is documented and checked with."""
    return NONE if value is None else type(value)


def canonical(value: object) -> Any:
    """``value`` as JSON-compatible values that are the same in every process: sets in order, bytes as text."""
    if isinstance(value, set | frozenset):
        return sorted((canonical(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    if isinstance(value, dict):
        return [[canonical(key), canonical(item)] for key, item in value.items()]
    if isinstance(value, BaseModel):
        return [type(value).__qualname__, canonical(dict(value))]
    return json.loads(to_json(value, inf_nan_mode="constants", bytes_mode="base64", fallback=_opaque))


def listed(items: Iterable[Any]) -> list[Any]:
    """Items in an order that is the same in every process: those of a set, which has none, are sorted."""
    if isinstance(items, set | frozenset):
        return sorted(items, key=lambda item: json.dumps(canonical(item), sort_keys=True))
    return list(items)


def _opaque(value: object) -> Any:
    kind = type(value)
    if (codec := codec_for(kind)) is not None:
        return codec.encode(value)
    return hashlib.sha256(f"{kind.__module__}.{kind.__qualname__}".encode()).hexdigest()


def adapter_for(annotation: Any) -> TypeAdapter[Any]:
    """Validates values of ``annotation``; types that pydantic does not know are checked with ``isinstance``."""
    annotation = coded(annotation)
    try:
        return _complete(TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True)))
    except NO_SCHEMA:
        return _lenient_adapter(annotation)


def _lenient_adapter(annotation: Any) -> TypeAdapter[Any]:
    try:
        return _complete(
            TypeAdapter(annotation)
        )  # models, dataclasses and TypedDicts take no configuration from outside
    except NO_SCHEMA:
        return TypeAdapter(Annotated[Any, AfterValidator(_instance_check(annotation))])


def _complete(adapter: TypeAdapter[Any]) -> TypeAdapter[Any]:
    if not adapter.pydantic_complete:  # it would fail at its first use, in a run
        raise NameError("a name in the type cannot be resolved")
    return adapter


def _instance_check(annotation: Any) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        try:
            fits = isinstance(value, annotation)
        except TypeError:  # not a type that can be asked, e.g. a protocol: nothing can be said
            return value
        if fits:
            return value
        raise ValueError(f"Input should be an instance of {describe(annotation)}")

    return check
