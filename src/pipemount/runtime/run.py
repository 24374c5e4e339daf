"""The mutable record of one run in flight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import InvalidOutputsError
from .call import Call
from .plan import Plan
from .recorder import Recorder

__all__ = ["Run"]


class Run:
    """What a run has so far: the values of its steps, and the paths that it may still take.

    The items of a map are runs, too, inside the one that maps.

    Attributes:
        call: What was asked for; an inner run shares its outer run's.
        plan: What is walked.
        recorder: Told the events, if anybody listens.
        inputs: By ``ParameterField.attribute``.
        overrides: ``{node id: {"parameters": {name: value}}}``, or ``None``.
        values: Of the steps; indexed like the snapshot's nodes.
        alive: The paths that are still possible, as bits.
        prefix: What the names of its steps begin with, e.g. ``"outer[2]/"``.
        outer: The run that it belongs to, if any.
        stopped: Whether it was given up, though perhaps not the run that it belongs to.
    """

    __slots__ = (
        "alive",
        "call",
        "inputs",
        "outer",
        "overrides",
        "pipeline_name",
        "plan",
        "prefix",
        "recorder",
        "stopped",
        "values",
    )

    def __init__(self, call: Call, plan: Plan, recorder: Recorder | None = None) -> None:
        self.call, self.plan, self.recorder = call, plan, recorder
        self.pipeline_name = plan.snapshot.name
        self.inputs: Mapping[str, Any] = vars(call.inputs)
        self.overrides = call.overrides
        self.values: list[Any] = [None] * plan.size
        self.alive = plan.every
        self.prefix = ""
        self.outer: Run | None = None
        self.stopped = False

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for it any more; set on the home loop, read from threads, too."""
        return self.stopped or self.call.cancelled or (self.outer is not None and self.outer.cancelled)

    def outputs(self) -> dict[str, Any]:
        """The outputs by name, once the steps have ended. Raises ``InvalidOutputsError``."""
        try:
            outputs = {}
            for name, get, paths in self.plan.results:  # a comprehension is a call
                if paths & self.alive:
                    outputs[name] = get(self)
            return outputs
        except (AttributeError, KeyError, IndexError, TypeError) as error:
            raise InvalidOutputsError(f"an output is not where the pipeline looks for it: {error}") from error
        except Exception as error:  # a field may be a property, which runs code of the author's
            raise InvalidOutputsError(f"reading an output raised {type(error).__name__}") from error

    def part(self) -> Run:
        """A part of this run that can be given up by itself; it reads the same values."""
        inner = self._inside(self.plan)
        inner.inputs, inner.values, inner.alive = self.inputs, self.values, self.alive
        inner.overrides, inner.prefix = self.overrides, self.prefix
        return inner

    def inner(self, plan: Plan, inputs: Mapping[str, Any], prefix: str) -> Run:
        """A run of another plan inside this one. Its steps are not what the call's overrides speak of."""
        inner = self._inside(plan)
        inner.inputs, inner.values, inner.alive = inputs, [None] * plan.size, plan.every
        inner.overrides, inner.prefix = None, prefix
        return inner

    def _inside(self, plan: Plan) -> Run:
        inner = Run.__new__(Run)
        inner.call, inner.plan, inner.recorder = self.call, plan, self.recorder
        inner.pipeline_name = self.pipeline_name
        inner.outer, inner.stopped = self, False
        return inner
