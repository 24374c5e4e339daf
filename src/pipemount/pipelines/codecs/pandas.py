"""Codecs of pandas frames and series.

A frame is an object of columns, each a list of cells; a series is a list of cells. What is missing, not a number or
infinite is ``null``. The index is not written: ``reset_index()`` makes a column of it.
"""

from __future__ import annotations

import math
import sys
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from pydantic import WithJsonSchema

from ...types import JsonObject
from .codec import Codec

__all__ = ["frame_codec", "series_codec"]

_CELLS: JsonObject = {
    "type": "array",
    "items": {"anyOf": [{"type": "number"}, {"type": "string"}, {"type": "boolean"}, {"type": "null"}]},
}
_Series = Annotated[list[Any], WithJsonSchema(_CELLS)]
_Frame = Annotated[dict[str, list[Any]], WithJsonSchema({"type": "object", "additionalProperties": _CELLS})]


def frame_codec(annotation: type) -> Codec:
    """The codec of ``DataFrame``, or of a class that inherits from it and is made like one."""
    return Codec(_Frame, lambda columns: _frame(annotation, columns), _columns)


def series_codec(annotation: type) -> Codec:
    """The codec of ``Series``, or of a class that inherits from it and is made like one."""
    return Codec(_Series, lambda cells: annotation(_checked(cells, "it")), _cells)


def _frame(kind: type, columns: dict[str, list[Any]]) -> Any:
    lengths = {name: len(_checked(cells, f"the column {name!r}")) for name, cells in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"its columns are of unequal length ({_shown(lengths)})")
    return kind(columns)


def _shown(lengths: dict[str, int]) -> str:
    """One column of each length, which is enough to find the one that is wrong."""
    first = {length: name for name, length in reversed(lengths.items())}
    return ", ".join(f"{name}: {length}" for length, name in sorted(first.items())[:3])


def _checked(cells: list[Any], what: str) -> list[Any]:
    if any(isinstance(cell, list | dict) for cell in cells):
        raise ValueError(f"{what} holds lists or objects, where a cell is a number, a text, a boolean or null")
    return cells


def _columns(frame: Any) -> dict[str, list[Any]]:
    names = list(map(str, frame.columns))
    if len(set(names)) < len(names) or frame.columns.nlevels > 1:  # 1 and "1" are one name in JSON
        raise ValueError("columns that share a name, or have several, have no form in JSON")
    return {name: _cells(column) for name, (_, column) in zip(names, frame.items(), strict=True)}


def _cells(series: Any) -> list[Any]:
    plain = series.astype(object)
    return [
        None if missing else _cell(cell) for cell, missing in zip(plain.tolist(), series.isna().tolist(), strict=True)
    ]


def _cell(cell: Any) -> Any:
    if isinstance(cell, str | bool | int):
        return cell
    if isinstance(cell, float):
        return float(cell) if math.isfinite(cell) else None
    if hasattr(cell, "isoformat"):
        return cell.isoformat()
    if isinstance(cell, Decimal | UUID):
        return str(cell)
    if isinstance(cell, sys.modules["numpy"].generic):
        return cell.item()
    raise ValueError(f"cells of type {type(cell).__name__} have no form in JSON")
