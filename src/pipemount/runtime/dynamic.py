"""Dynamic pipelines: the executor of a body that is an async function, run anew for each request."""

from __future__ import annotations

from collections.abc import Mapping

from ..pipelines.authoring import PipelineDefinition
from ..pipelines.replacing import Replacements
from ..pipelines.snapshot import Snapshot
from .body import DynamicBody
from .calling import CallingExecutor
from .elsewhere import Connections
from .run import Run
from .sketch import Sketch
from .threads import ThreadPool

__all__ = ["DynamicExecutor"]


class DynamicExecutor(CallingExecutor):
    """Runs a dynamic pipeline, any number of times side by side.

    Args:
        definition: The pipeline.
        snapshot: Of its body as one node, whose value is the one output.
        threads: The app's.
        replacements: For steps that the body calls.
        connections: To engines that perform steps; the app's.
    """

    def __init__(
        self,
        definition: PipelineDefinition,
        snapshot: Snapshot,
        threads: ThreadPool,
        replacements: Replacements,
        connections: Connections | None = None,
    ) -> None:
        super().__init__(snapshot, threads, replacements, connections)
        self.definition = definition

    async def _walk(self, run: Run) -> None:
        """Run the body in the place of a plan, and keep what it did."""
        sketch, outputs = Sketch(), {}
        body = DynamicBody(self, run, self.definition, sketch)
        try:
            value = run.values[0] = await body.perform(self.named(self.definition, run.inputs))
            outputs = dict(value) if isinstance(value, Mapping) else {"": value}
        finally:
            run.call.graph = sketch.view(outputs)
