"""What an estimator answers: which method is asked, and its answers as values that JSON knows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from ...errors import ConfigurationError
from ...pipelines.schema import Schema
from .columns import classes_of
from .inputs import SHOWN, TYPES, list_of, one_of, typed_dict

__all__ = ["METHODS", "Outputs"]

METHODS = ("predict", "transform")


class Outputs:
    """What a row is answered.

    ``prediction``, and ``probabilities`` by class where the estimator tells them; of a transformer ``features``.

    Args:
        estimator: Fitted; the last step of a pipeline.
        method: Of ``METHODS``; the first that it has by default.
    """

    def __init__(self, estimator: Any, method: str | None = None) -> None:
        known = [name for name in METHODS if hasattr(estimator, name)]
        if method not in (None, *known) or not known:
            wanted, instead = method or " or ".join(METHODS), f", or ask it to {known[0]}" if known else ""
            raise ConfigurationError(
                f"{type(estimator).__name__} has no method {wanted}, so it cannot judge new rows; "
                f"give an estimator that does{instead}"
            )
        self.estimator, self.method = estimator, method or known[0]
        self.classes = _classes(estimator) if self.method == "predict" else None
        self.likely = self.classes is not None and hasattr(estimator, "predict_proba")
        self.names: list[str] | None = None
        self.annotations: dict[str, Any] = {}

    def judge(self, table: Any) -> list[dict[str, Any]]:
        """An answer per row of what the last step is given."""
        if self.method == "transform":
            return [{"features": self._named(row)} for row in _dense(self.estimator.transform(table)).tolist()]
        if not self.likely:
            return [{"prediction": value} for value in _dense(self.estimator.predict(table)).tolist()]
        likelihoods = self.estimator.predict_proba(table)
        predictions = self._predictions(table, likelihoods).tolist()
        if isinstance(likelihoods, list):  # one array per output
            by_output = [_by_class(one, classes) for one, classes in zip(likelihoods, self.classes or (), strict=True)]
            told: Sequence[Any] = list(map(list, zip(*by_output, strict=True)))
        else:
            told = _by_class(likelihoods, (self.classes or [[]])[0])
        return [{"prediction": p, "probabilities": q} for p, q in zip(predictions, told, strict=True)]

    def _predictions(self, table: Any, likelihoods: Any) -> Any:
        if isinstance(likelihoods, np.ndarray) and "ForestClassifier" in classes_of(self.estimator):
            return self.estimator.classes_[likelihoods.argmax(axis=1)]  # what it does itself, all trees asked anew
        return self.estimator.predict(table)

    def _named(self, row: list[Any]) -> Any:
        return row if self.names is None else dict(zip(self.names, row, strict=True))

    def learn(self, estimator: Any, table: Any, *, passes: bool) -> None:
        """Find the types of the answers by asking for one; ``passes`` if there may be inputs in them as they came."""
        if self.method == "transform":
            self._learn_features(estimator, self.judge(table)[0]["features"], passes=passes)
            return
        answer = self.judge(table)[0]
        self.annotations["prediction"] = self._prediction(answer["prediction"])
        if self.likely:
            kinds = [_likelihoods(classes) for classes in self.classes or ()]
            listed = isinstance(answer["probabilities"], list)
            self.annotations["probabilities"] = list_of(reduce(or_, kinds), len(kinds)) if listed else kinds[0]

    def _prediction(self, value: Any) -> Any:
        if isinstance(value, list):
            several = isinstance(getattr(self.estimator, "classes_", None), list)  # else they are labels, on or off
            known = list(dict.fromkeys(one for classes in self.classes or () for one in classes))
            return list_of(one_of(known) if several else type(value[0]), len(value))
        return type(value) if self.classes is None else one_of(self.classes[0])

    def _learn_features(self, estimator: Any, row: list[Any], *, passes: bool) -> None:
        names = list(map(str, getattr(estimator, "get_feature_names_out", list)()))
        one: Any = TYPES["scalar"] if passes else None
        kinds = [Any if isinstance(value, list) else one or type(value) for value in row]
        if len(names) == len(row) == len(set(names)) and len(names) <= SHOWN:
            self.names = names
            self.annotations["features"] = typed_dict("Features", dict(zip(names, kinds, strict=True)))
        else:
            self.annotations["features"] = list_of(reduce(or_, kinds), len(row))

    def schema(self, *, batch: bool) -> Schema:
        """The type of a response's outputs: one answer, or a list of them called ``rows``."""
        kind = typed_dict("Answer" if batch else "Outputs", self.annotations)
        if batch:
            kind = typed_dict("Outputs", {"rows": list_of(kind)})
        return Schema(kind, TypeAdapter(kind), "serialization")


def _classes(estimator: Any) -> list[list[Any]] | None:
    """The classes of each output of a classifier; ``None`` for everything else."""
    found = getattr(estimator, "classes_", None)
    if found is None:
        return None
    if isinstance(found, list):
        return [classes.tolist() for classes in found]
    return [found.tolist()]


def _by_class(likelihoods: Any, classes: list[Any]) -> list[dict[str, float]]:
    names = [_text(value) for value in classes]
    return [dict(zip(names, row, strict=True)) for row in likelihoods.tolist()]


def _likelihoods(classes: list[Any]) -> Any:
    if len(classes) > SHOWN:
        return dict[str, float]
    return typed_dict("Probabilities", {_text(value): float for value in classes})


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _dense(answer: Any) -> Any:
    return np.asarray(answer.toarray() if hasattr(answer, "toarray") else answer)
