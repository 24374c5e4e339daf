"""Dynamic pipelines: the executor of a body that is an async function, run anew for each request."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from pydantic import TypeAdapter

from ..pipelines.annotations import plain
from ..pipelines.authoring import PipelineDefinition
from ..pipelines.constants import adapter_for
from ..pipelines.snapshot import Snapshot
from ..pipelines.steps import Step
from .body import DynamicBody
from .executor import Executor
from .plan import Plan, build_plan
from .run import Run
from .sketch import Sketch
from .threads import ThreadPool

__all__ = ["DynamicExecutor"]


class DynamicExecutor(Executor):
    """Runs a dynamic pipeline, any number of times side by side.

    Args:
        definition: The pipeline.
        snapshot: Of its body as one node, whose value is the one output.
        threads: The app's.
    """

    def __init__(self, definition: PipelineDefinition, snapshot: Snapshot, threads: ThreadPool) -> None:
        super().__init__(snapshot, threads)
        self.definition, self.threads = definition, threads
        self._plans: WeakKeyDictionary[PipelineDefinition, Plan] = WeakKeyDictionary()
        self._adapters: WeakKeyDictionary[Step, dict[str, TypeAdapter[Any]]] = WeakKeyDictionary()

    async def _walk(self, run: Run) -> None:
        """Run the body in the place of a plan, and keep what it did."""
        sketch, outputs = Sketch(), {}
        body = DynamicBody(self, run, self.definition, sketch)
        try:
            value = run.values[0] = await body.perform(self.named(self.definition, run.inputs))
            outputs = dict(value) if isinstance(value, Mapping) else {"": value}
        finally:
            run.call.graph = sketch.view(outputs)

    async def walk(self, run: Run) -> None:
        """Perform a pipeline that the body calls, to its end."""
        await super()._walk(run)

    @staticmethod
    def named(definition: PipelineDefinition, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Validated inputs, which are by attribute, by parameter name."""
        return {p.name: inputs[p.attribute] for p in definition.compile().parameters}

    # ------------------------------------------------------------------------- what is made once per step

    def adapters(self, step: Step) -> Mapping[str, TypeAdapter[Any]]:
        """What validates the arguments of ``step``, by parameter."""
        found = self._adapters.get(step)
        if found is None:
            typed = (p for p in step.spec.parameters if plain(p.annotation) is not Any)
            found = self._adapters[step] = {p.name: adapter_for(p.annotation) for p in typed}
        return found

    async def snapshot_of(self, called: PipelineDefinition, values: Mapping[str, Any]) -> Snapshot:
        """What a call of a pipeline comes to, compiled in a thread. Raises ``CompileError``."""
        drawn = await self.threads.run(called.compile)
        if (statics := called.statics) is None:
            return drawn
        inputs = vars(drawn.input.validate(values))
        if (known := statics.eager.get(statics.key(inputs))) is not None:
            return known
        return await self.threads.run(functools.partial(statics.compile, inputs))

    def plan_of(self, called: PipelineDefinition, snapshot: Snapshot) -> Plan:
        """The plan of a pipeline that the body calls."""
        plan = self._plans.get(called)
        if plan is None or plan.snapshot is not snapshot:
            plan = self._plans[called] = build_plan(snapshot)
        return plan
