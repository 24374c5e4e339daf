"""What a dynamic body calls: steps and pipelines, with what has to be made of each once."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from pydantic import TypeAdapter

from ..pipelines.annotations import plain
from ..pipelines.authoring import PipelineDefinition
from ..pipelines.constants import adapter_for
from ..pipelines.replacing import Replacements
from ..pipelines.snapshot import Snapshot
from ..pipelines.specs import Hook
from ..pipelines.steps import Step
from .elsewhere import Connections
from .executor import Executor
from .plan import Plan, build_plan
from .run import Run
from .threads import ThreadPool

__all__ = ["CallingExecutor"]


class CallingExecutor(Executor):
    """An executor that performs, beside its own plan, what a body calls.

    Args:
        snapshot: Of the pipeline whose body calls.
        threads: The app's.
        replacements: For steps that the body calls.
        connections: To engines that perform steps; the app's.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        threads: ThreadPool,
        replacements: Replacements,
        connections: Connections | None = None,
    ) -> None:
        super().__init__(snapshot, threads, connections)
        self.threads, self.replacements = threads, replacements
        self.on_init: Hook | None = snapshot.hooks.on_init
        self._plans: WeakKeyDictionary[PipelineDefinition, tuple[Snapshot, Plan]] = WeakKeyDictionary()
        self._adapters: WeakKeyDictionary[Step, dict[str, TypeAdapter[Any]]] = WeakKeyDictionary()

    async def walk(self, run: Run) -> None:
        """Perform a pipeline that the body calls, to its end."""
        await Executor._walk(self, run)  # a dynamic pipeline walks in a way of its own

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
        planned = self._plans.get(called)
        if planned is None or planned[0] is not snapshot:
            planned = self._plans[called] = snapshot, build_plan(self.replacements.snapshot(snapshot))
        return planned[1]
