"""Questions that a run asks, and that are answered while it does not run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from ..errors import RunSuspendedError
from ..pipelines.constants import adapter_for
from ..pipelines.schema import describe_errors
from .checkpoints import Checkpoints

__all__ = ["Question", "Suspension"]


class Suspension(BaseException):
    """Ends a run that asks; no ``except Exception`` of an author's takes it for a failure.

    Attributes:
        error: What the run ends with.
    """

    def __init__(self, error: RunSuspendedError) -> None:
        super().__init__(str(error))
        self.error = error


class Question:
    """What a step asks.

    Args:
        step: Its name; empty for a body.
        number: The how-manieth question of this attempt at it, from 1.
        reason: A sentence for whoever answers.
        schema: The type of the answer.
        data: Something to look at before one answers.
    """

    def __init__(self, step: str, number: int, reason: str, schema: Any, data: Any) -> None:
        self.key, self._step, self._reason, self._data = f"{step}?{number}", step, reason, data
        self._adapter = adapter_for(schema)

    def answer(self, checkpoints: Checkpoints | None) -> Any:
        """The answer that was given. Raises ``Suspension``: there is none yet, or it does not fit."""
        given = None if checkpoints is None else checkpoints.found(self.key)
        if given is None:
            raise Suspension(self._asked(checkpoints))
        try:
            return self._adapter.validate_json(given)
        except ValidationError as error:
            raise Suspension(self._asked(checkpoints, describe_errors(error))) from None

    def _asked(self, checkpoints: Checkpoints | None, faults: Any = None) -> RunSuspendedError:
        told = {
            "key": self.key,
            "step": self._step or None,
            "reason": self._reason,
            "schema": _json_schema(self._adapter),
            "data": self._data,
            "faults": faults,
        }
        question: Mapping[str, Any] = from_json(
            to_json({name: value for name, value in told.items() if value is not None})
        )
        interrupts = [{"id": self.key, "value": question}]
        goes_on = None if checkpoints is None else question
        return RunSuspendedError(step=self._step or None, interrupts=interrupts, question=goes_on)


def _json_schema(adapter: TypeAdapter[Any]) -> Any:
    try:
        return adapter.json_schema() or None
    except Exception:  # a type without one, or an author's own words for one
        return None
