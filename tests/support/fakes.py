"""Pipelines that are described but never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, create_model

from pipemount.adapters.protocol import GraphEdge, GraphNode, GraphView, PipelineInfo, Result
from pipemount.pipelines.schema import Schema
from pipemount.runtime.call import Call
from pipemount.runtime.events import Event


def schema_of(annotation: Any, *, output: bool = False) -> Schema:
    return Schema(annotation, TypeAdapter(annotation), "serialization" if output else "validation")


@dataclass
class FakePipeline:
    """A ``CompiledPipeline`` with the given schemas."""

    input: Schema
    output: Schema
    overrides: Schema | None = None
    name: str = "weather"
    doc: str = "Tells the weather."
    capabilities: frozenset[str] = frozenset({"deltas", "cancel:task"})
    graph: GraphView = field(
        default_factory=lambda: GraphView((GraphNode("look", "look"),), (GraphEdge("", "look", "city"),))
    )

    @property
    def info(self) -> PipelineInfo:
        return PipelineInfo(self.name, "pipemount", "0.1.0", "f" * 64, self.doc)

    async def start(self, resources: Mapping[str, Any]) -> Any:
        raise NotImplementedError

    async def stop(self, state: Any) -> None:
        raise NotImplementedError

    def stream(self, call: Call) -> AsyncIterator[Event | Result]:
        raise NotImplementedError


def fake(inputs: dict[str, Any], outputs: dict[str, Any], **attributes: Any) -> FakePipeline:
    """A pipeline with the inputs and outputs as ``create_model`` takes fields."""
    taken: type[BaseModel] = create_model("Inputs", __config__=ConfigDict(extra="forbid"), **inputs)
    given: type[BaseModel] = create_model("Outputs", **outputs)
    return FakePipeline(schema_of(taken), schema_of(given, output=True), **attributes)
