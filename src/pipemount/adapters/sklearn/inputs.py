"""From validated inputs to the table that an estimator takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, NotRequired

import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter, WithJsonSchema
from typing_extensions import TypedDict

from ...errors import ConfigurationError
from ...pipelines.schema import Schema
from .columns import Column, columns_of

__all__ = ["SHOWN", "Inputs", "list_of", "one_of", "typed_dict"]

SHOWN = 100
"""The most values, or names, that a schema enumerates."""

TYPES: dict[str, Any] = {"number": float, "string": str, "boolean": bool, "scalar": float | bool | str | None}
EXAMPLES: dict[str, Any] = {"number": 1.0, "string": "a", "boolean": False, "scalar": 1.0}


class Inputs:
    """What one row is, as a type, as an example, and on its way to the estimator.

    A row has a field per column. Where the estimator learnt no names and only numbers are asked for, it has one
    field, ``features``, with all of them in order. An estimator of texts has the field ``text``.

    Args:
        estimator: Fitted.
        types: Types in place of those that were found, by column.
    """

    def __init__(self, estimator: Any, types: Mapping[str, Any]) -> None:
        self.columns = columns_of(estimator, tuple(types))
        named = hasattr(estimator, "feature_names_in_") or not hasattr(estimator, "n_features_in_")
        used = [column for column in self.columns or () if column.used or column.passed or column.name in types]
        self.passes = any(column.passed for column in used)
        self.annotations = {column.name: types.get(column.name, _annotation(column)) for column in used}
        self.nulls = {column.name: column.null for column in used if column.missing}
        self.make: Callable[[Sequence[Mapping[str, Any]]], Any] = _texts
        if self.columns is None:
            self.annotations = {"text": types.get("text", str)}
            self.example: dict[str, Any] = {"text": "a"}
        elif named:
            self.make = self._numeric_frames(used) if _numeric(used, types) else self._frames(used)
            self.example = {column.name: _example(column, types) for column in used}
        elif _numeric(self.columns, types):
            self._take_features(len(self.columns), nullable=any(column.missing for column in used))
        else:
            self.make = self._arrays(self.columns)
            self.example = {column.name: _example(column, types) for column in used}
        if unknown := sorted(types.keys() - self.annotations.keys()):
            raise ConfigurationError(f"no column is called {unknown[0]!r}; there are {', '.join(self.annotations)}")

    def schema(self, *, batch: bool) -> Schema:
        """The type of a request's inputs: one row, or a list of them called ``rows``."""
        members = {
            column: NotRequired[annotation] if column in self.nulls else annotation
            for column, annotation in self.annotations.items()
        }
        kind = typed_dict("Row" if batch else "Inputs", members, finite=True)
        if batch:
            kind = typed_dict("Inputs", {"rows": list_of(kind)})
        return Schema(kind, TypeAdapter(kind))

    def _take_features(self, count: int, *, nullable: bool) -> None:
        number: Any = float | None if nullable else float
        self.annotations = {"features": list_of(number, count)}
        self.example = {"features": [1.0] * count}
        self.nulls = {}
        self.make = lambda rows: np.array([row["features"] for row in rows], dtype=float)

    def _numeric_frames(self, used: Sequence[Column]) -> Callable[[Sequence[Mapping[str, Any]]], Any]:
        """Columns of numbers only: one array, which a frame can take over as it is."""
        pandas = _pandas()
        names = [column.name for column in used]
        index = pandas.Index(names)
        return lambda rows: pandas.DataFrame(
            np.array([[row.get(name) for name in names] for row in rows], dtype=float), columns=index, copy=False
        )

    def _frames(self, used: Sequence[Column]) -> Callable[[Sequence[Mapping[str, Any]]], Any]:
        pandas = _pandas()
        columns = [(column.name, column.null) for column in used]
        return lambda rows: pandas.DataFrame({name: _values(rows, name, null) for name, null in columns})

    def _arrays(self, columns: Sequence[Column]) -> Callable[[Sequence[Mapping[str, Any]]], Any]:
        pairs = [(column.name, column.null) for column in columns]

        def make(rows: Sequence[Mapping[str, Any]]) -> Any:
            table = np.empty((len(rows), len(pairs)), dtype=object)
            for place, (name, null) in enumerate(pairs):
                table[:, place] = _values(rows, name, null)
            return table

        return make


def _texts(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return [row["text"] for row in rows]


def _values(rows: Sequence[Mapping[str, Any]], name: str, null: Any) -> list[Any]:
    return [null if (value := row.get(name)) is None else value for row in rows]


def _numeric(columns: Sequence[Column], types: Mapping[str, Any]) -> bool:
    return not types and all(c.kind == "number" and c.choices is None and c.null is not None for c in columns)


def _annotation(column: Column) -> Any:
    kind = TYPES[column.kind or "scalar"] if column.choices is None else one_of(column.choices)
    return kind | None if column.missing else kind


def _example(column: Column, types: Mapping[str, Any]) -> Any:
    """A value that the column takes, if one is found so easily; else one of its kind."""
    usual = column.choices[0] if column.choices else EXAMPLES[column.kind or "scalar"]
    if column.name not in types:
        return usual
    given = TypeAdapter(types[column.name])
    listed = given.json_schema().get("enum", ())
    return next((value for value in (*listed, usual, *EXAMPLES.values()) if _fits(given, value)), usual)


def _fits(kind: TypeAdapter[Any], value: Any) -> bool:
    try:
        kind.validate_python(value)
    except ValueError:
        return False
    return True


def one_of(values: Sequence[Any]) -> Any:
    """The type of these values and no others; a schema does not enumerate very many."""
    kind: Any = Literal[tuple(values)]
    if len(values) <= SHOWN:
        return kind
    described = "string" if isinstance(values[0], str) else "number"
    return Annotated[kind, WithJsonSchema({"type": described, "description": f"One of {len(values)} known values."})]


def list_of(kind: Any, length: int | None = None) -> Any:
    """The type of a list, of just this length if one is given."""
    of: Any = list
    return of[kind] if length is None else Annotated[of[kind], Field(min_length=length, max_length=length)]


def typed_dict(name: str, members: Mapping[str, Any], *, finite: bool = False) -> Any:
    """A dict with these members and no others, known to schemas as ``name``; ``finite`` refuses NaN and infinities."""
    make: Any = TypedDict  # names and members are known at run time only
    kind = make(name, dict(members))
    kind.__module__ = __name__
    kind.__pydantic_config__ = ConfigDict(extra="forbid", title=name, allow_inf_nan=not finite)
    return kind


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise ConfigurationError(
            "the estimator was fitted on a table with names; install pandas, so that it can be given one"
        ) from error
    return pandas
