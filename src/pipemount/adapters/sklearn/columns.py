"""Which inputs a fitted estimator takes: read from what its transformers have learnt.

A column is followed from the inputs through the steps. What meets it first tells its kind, an encoder the values that
it knows, an imputer that a value may be missing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from sklearn.utils import get_tags

from ...errors import ConfigurationError

__all__ = ["Column", "Kind", "classes_of", "columns_of", "inner_of"]

Kind = Literal["number", "string", "boolean", "scalar"]


@dataclass
class Column:
    """One input.

    Attributes:
        name: As the estimator knows it, or ``x0``, ``x1`` … where it learnt no names.
        kind: Of its values; ``scalar`` where nothing tells.
        choices: The only values that are known, if an encoder refuses all others.
        missing: Whether a value may be missing.
        null: What stands for a missing value.
        used: Whether any step looks at it.
        passed: Whether it comes out as it went in, looked at by none.
    """

    name: str
    kind: Kind | None = None
    choices: tuple[Any, ...] | None = None
    missing: bool | None = None
    null: Any = math.nan
    used: bool = False
    passed: bool = False

    def narrow(self, values: Sequence[Any], *, only: bool) -> None:
        """An encoder has learnt these values; whether it takes no others."""
        self.used = True
        self.kind = self.kind or _kind(values)
        if only:
            self.choices = tuple(v for v in values if self.choices is None or v in self.choices)


class Lane(NamedTuple):
    """A column on its way; ``open`` as long as a missing value would still be missing here."""

    column: Column
    open: bool = True


class Lanes(NamedTuple):
    """What goes into a step; ``aligned`` as long as the lanes are the columns of the step's input, in order."""

    lanes: tuple[Lane, ...]
    aligned: bool = True


def columns_of(estimator: Any, names: Sequence[str] = ()) -> tuple[Column, ...] | None:
    """The columns of a fitted estimator, in order; ``None`` where it takes texts.

    Args:
        estimator: Fitted.
        names: Those of the columns, where the estimator tells nothing of them.

    Raises:
        ConfigurationError: Nothing tells which columns there are.
    """
    if _takes_texts(estimator):
        return None
    if hasattr(estimator, "feature_names_in_"):
        names = [str(name) for name in estimator.feature_names_in_]
    elif hasattr(estimator, "n_features_in_"):
        names = [f"x{index}" for index in range(estimator.n_features_in_)]
    elif not names:
        raise ConfigurationError(
            f"{type(estimator).__name__} does not tell which columns it takes; name them with their types: "
            "compile(model, columns={'age': float, …})"
        )
    columns = tuple(Column(name) for name in names)
    out = _read(estimator, Lanes(tuple(Lane(column) for column in columns)))
    for column, _ in out.lanes:
        column.passed = not column.used
    return columns


def _takes_texts(estimator: Any) -> bool:
    while "Pipeline" in classes_of(estimator):
        estimator = estimator.steps[0][1]
    inner = inner_of(estimator)
    if inner is not None:
        return _takes_texts(inner)
    if "FeatureUnion" in classes_of(estimator):
        return _takes_texts(estimator.transformer_list[0][1])
    return not isinstance(estimator, str) and _is_for_texts(estimator)


def _is_for_texts(estimator: Any) -> bool:
    tags = get_tags(estimator).input_tags
    return bool(tags.string and not tags.two_d_array)


def classes_of(estimator: Any) -> set[str]:
    """The names of an estimator's classes, its bases included."""
    return {kind.__name__ for kind in type(estimator).__mro__}


def inner_of(estimator: Any) -> Any:
    """The estimator that another one hands its inputs to, as they are; ``None`` where there is none."""
    for attribute in ("best_estimator_", "estimator_", "regressor_"):
        if hasattr(estimator, attribute):
            return getattr(estimator, attribute)
    if hasattr(estimator, "calibrated_classifiers_"):
        return estimator.calibrated_classifiers_[0].estimator
    if classes_of(estimator) & {"_BaseVoting", "_BaseStacking"}:
        return estimator.estimators_[0]
    return None


# ---------------------------------------------------------------------------------------------- steps


def _read(step: Any, into: Lanes) -> Lanes:
    """Learn what ``step`` tells of the columns that come into it; what comes out of it."""
    classes = classes_of(step)
    if isinstance(step, str):
        return into if step == "passthrough" else Lanes((), aligned=False)
    if "Pipeline" in classes:
        for _, inner in step.steps:
            into = _read(inner, into)
        return into
    if "ColumnTransformer" in classes and into.aligned:
        return _read_parts(step, into)
    if "FeatureUnion" in classes:
        return _joined(_read(part, into) for _, part in step.transformer_list)
    if (inner := inner_of(step)) is not None:
        return _read(inner, into)
    if into.aligned and len(getattr(step, "categories_", ())) == len(into.lanes) > 0:
        return _read_encoder(step, into)
    if classes & {"SimpleImputer", "KNNImputer", "IterativeImputer"}:
        return _read_imputer(step, into)
    return _read_other(step, into)


def _joined(parts: Iterable[Lanes]) -> Lanes:
    return Lanes(tuple(lane for part in parts for lane in part.lanes), aligned=False)


def _read_parts(step: Any, into: Lanes) -> Lanes:
    names = [lane.column.name for lane in into.lanes]
    return _joined(
        _read(part, Lanes(tuple(into.lanes[index] for index in _indexes(selected, names))))
        for _, part, selected in step.transformers_
        if not (isinstance(part, str) and part == "drop")
    )


def _indexes(selected: Any, names: list[str]) -> list[int]:
    """The columns that a ColumnTransformer hands to one of its parts; it takes names, places, slices and masks."""
    if isinstance(selected, slice):
        start, stop = (names.index(end) if isinstance(end, str) else end for end in (selected.start, selected.stop))
        if isinstance(selected.stop, str):
            stop += 1  # of names the last one belongs to the slice
        return list(range(len(names)))[slice(start, stop, selected.step)]
    given = [selected] if isinstance(selected, str | int) else list(selected)
    if len(given) == len(names) and all(type(one).__name__ in ("bool", "bool_") for one in given):
        return [index for index, one in enumerate(given) if one]
    return [names.index(one) if isinstance(one, str) else int(one) % len(names) for one in given]


def _read_encoder(step: Any, into: Lanes) -> Lanes:
    only = getattr(step, "handle_unknown", "error") == "error"
    for lane, known in zip(into.lanes, step.categories_, strict=True):
        values = [value for value in known.tolist() if not _is_null(value)]
        lane.column.narrow(values, only=only)
        if lane.open:
            nulls = [value for value in known.tolist() if _is_null(value)]
            _decide(lane.column, missing=bool(nulls))
            lane.column.null = nulls[0] if nulls else lane.column.null
    return Lanes((), aligned=False) if "OneHotEncoder" in classes_of(step) else _closed(into)


def _read_imputer(step: Any, into: Lanes) -> Lanes:
    fills = not isinstance(step.missing_values, int | str) and _is_null(step.missing_values)
    learnt = getattr(step, "statistics_", ())
    for index, lane in enumerate(into.lanes):
        lane.column.used = True
        if into.aligned and index < len(learnt) and isinstance(learnt[index], str):
            lane.column.kind = lane.column.kind or "string"
        elif getattr(step, "strategy", "mean") in ("mean", "median"):
            lane.column.kind = lane.column.kind or "number"
        if lane.open:
            _decide(lane.column, missing=fills)
            lane.column.null = step.missing_values if fills else lane.column.null
    kept = len(learnt) == len(into.lanes) and not getattr(step, "add_indicator", False)
    return _closed(into)._replace(aligned=into.aligned and kept)


def _closed(into: Lanes) -> Lanes:
    return into._replace(lanes=tuple(lane._replace(open=False) for lane in into.lanes))


def _read_other(step: Any, into: Lanes) -> Lanes:
    """A step that computes: with numbers, as far as it is one of scikit-learn's or has the last word."""
    kind = _kind_taken(step)
    if kind is None:
        return into
    if into.aligned and getattr(step, "_preprocessor", None) is not None:
        _read_own_encoder(step, into)
    lets_through = get_tags(step).input_tags.allow_nan or kind == "scalar"
    for lane in into.lanes:
        lane.column.used = True
        lane.column.kind = lane.column.kind or kind
        if lane.open and not lets_through:
            _decide(lane.column, missing=False)
        elif lane.open and not hasattr(step, "transform"):
            _decide(lane.column, missing=True)
    one_to_one = "OneToOneFeatureMixin" in classes_of(step)
    out = into if lets_through else _closed(into)
    return out._replace(aligned=into.aligned and one_to_one)


def _read_own_encoder(step: Any, into: Lanes) -> None:
    """Gradient boosting encodes what a table calls categories itself; it takes others, and ``None``, as missing."""
    names = [lane.column.name for lane in into.lanes]
    for name, encoder, selected in step._preprocessor.transformers_:
        indexes = _indexes(selected, names) if name == "encoder" else ()
        for index, known in zip(indexes, getattr(encoder, "categories_", ()), strict=False):
            column = into.lanes[index].column
            column.narrow([value for value in known.tolist() if not _is_null(value)], only=False)
            column.null = None


def _kind_taken(step: Any) -> Kind | None:
    if "FunctionTransformer" in classes_of(step):
        if step.func is None:
            return None
        return "number" if step.validate or type(step.func).__name__ == "ufunc" else "scalar"
    if _is_for_texts(step):
        return "string"
    own = not type(step).__module__.startswith("sklearn.") and hasattr(step, "transform")
    return "scalar" if own else "number"


def _decide(column: Column, *, missing: bool) -> None:
    """One step that cannot do without the value is enough."""
    column.missing = missing and column.missing is not False


def _is_null(value: Any) -> bool:
    return value is None or type(value).__name__ == "NAType" or (isinstance(value, float) and math.isnan(value))


def _kind(values: Sequence[Any]) -> Kind:
    found = {type(value) for value in values}
    if found <= {int, float}:
        return "number"
    return "string" if found == {str} else "boolean" if found == {bool} else "scalar"
