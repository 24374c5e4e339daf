"""What a step gave, written down: as JSON by its types, or as the bytes that it is. Nothing is pickled."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict, TypeAdapter

from ..pipelines.codecs import coded
from ..pipelines.constants import NO_SCHEMA, adapter_for
from ..pipelines.specs import OutputField

__all__ = ["Form"]

RAW = b"\0"
"""What bytes begin with that are kept as they are: no JSON does."""

AS_JSON = ConfigDict(
    arbitrary_types_allowed=True, ser_json_inf_nan="constants", ser_json_bytes="base64", val_json_bytes="base64"
)

ATOMS = frozenset({type(None), bool, int, str})


class Form:
    """How the value of a step is written, and read again.

    Args:
        outputs: Those of the step. What has no type is kept only as far as JSON says it as it is.
    """

    def __init__(self, outputs: tuple[OutputField, ...]) -> None:
        annotations = tuple(output.annotation for output in outputs)
        self._adapter = _adapter(tuple[annotations] if len(outputs) > 1 else annotations[0] if annotations else Any)  # type: ignore[valid-type]  # at run time

    def write(self, value: Any) -> bytes | None:
        """``value`` as bytes; ``None`` where what is read again would be another, or nothing can be written."""
        if type(value) is bytes:
            return RAW + value
        try:
            text = self._adapter.dump_json(value, by_alias=True, round_trip=True, warnings="error")
            return text if _is_same(value, self._adapter.validate_json(text)) else None
        except Exception:  # validators, serialisers and comparisons may be the author's code: anything can come out
            return None

    def read(self, kept: bytes) -> Any:
        """What ``write`` was given. Raises ``ValueError`` where that is no value of the step any more."""
        if kept.startswith(RAW):
            return kept[len(RAW) :]
        return self._adapter.validate_json(kept)


def _adapter(annotation: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(coded(annotation), config=AS_JSON)
    except NO_SCHEMA:  # models and dataclasses have a configuration of their own
        return adapter_for(annotation)


# ------------------------------------------------------------------------------------------ being the same


def _is_same(one: Any, other: Any) -> bool:
    """Whether ``other`` can stand for ``one``: of the same types all the way down, and equal."""
    kind = type(one)
    if type(other) is not kind:
        return False
    if kind in ATOMS or one is other:  # of an enumeration there is one of each
        return bool(one == other)
    if kind is float:
        return bool(one == other or (one != one and other != other))
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_is_same, one, other))
    if isinstance(one, Mapping):
        return _are_same_items(list(one.items()), list(other.items()))
    return _is_same_object(one, other)


def _are_same_items(items: list[tuple[Any, Any]], others: list[tuple[Any, Any]]) -> bool:
    return len(items) == len(others) and all(map(_is_same, items, others))


def _is_same_object(one: Any, other: Any) -> bool:
    """Whether two of a kind are equal, for kinds that may have words of their own for that."""
    if hasattr(one, "tobytes") and hasattr(one, "dtype"):  # an array
        return bool((one.dtype, one.shape) == (other.dtype, other.shape) and one.tobytes() == other.tobytes())
    if hasattr(one, "equals"):  # a table
        return bool(one.equals(other))
    if dataclasses.is_dataclass(one) or hasattr(one, "__pydantic_fields__") or _has_no_equality(one):
        return _are_same_items(list(vars_of(one).items()), list(vars_of(other).items()))
    return bool(one == other)


def _has_no_equality(value: Any) -> bool:
    return "__eq__" not in {name for kind in type(value).__mro__[:-1] for name in vars(kind)}


def vars_of(value: Any) -> dict[str, Any]:
    """The parts of an object; of a dataclass its fields, which may be slots."""
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return {**vars(value), **(getattr(value, "__pydantic_extra__", None) or {})}
