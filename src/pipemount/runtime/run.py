"""The mutable record of one run in flight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .call import Call
from .recorder import Recorder

__all__ = ["Run"]


class Run:
    """What a run has so far: the values of its steps.

    ``values`` is indexed like the plan's nodes.
    """

    __slots__ = ("call", "inputs", "overrides", "pipeline_name", "recorder", "values")

    def __init__(self, call: Call, pipeline_name: str, size: int, recorder: Recorder | None) -> None:
        self.call = call
        self.pipeline_name = pipeline_name
        self.inputs: Mapping[str, Any] = vars(call.inputs)
        self.overrides = call.overrides
        self.values: list[Any] = [None] * size
        self.recorder = recorder
