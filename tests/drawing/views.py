"""Pipelines and graphs that are drawn in tests."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BaseModel

from pipemount import pipeline, step
from pipemount.drawing.graph import GraphEdge, GraphNode, GraphPort, GraphView
from pipemount.pipelines.authoring import PipelineDefinition
from pipemount.pipelines.snapshot import Fan, Snapshot


class Report(BaseModel):
    text: str
    temperature: float


@step
def fetch(city: str) -> Report:
    return Report(text=city, temperature=3.0)


@step
async def wind(city: str) -> Annotated[float, "wind"]:
    return float(len(city))


@step
def to_fahrenheit(report: Report) -> Report:
    return report


@step
def write(weather: Report, wind: float) -> Report:
    return weather


@step
def alert(report: Report) -> str:
    return report.text


@pipeline
def weather(city: str, units: Literal["C", "F"] = "C", note: str | None = None) -> Any:
    """What the weather is like."""
    report, speed = fetch(city), wind(city)
    if units == "F":
        report = to_fahrenheit(report)
    outputs = {"report": write(report, speed), "temperature": report.temperature}
    if report.temperature > 35:
        outputs["alert"] = alert(report)
    return outputs


@step
def listed(folder: str) -> list[str]:
    return [folder]


@step
def load(url: str) -> bytes:
    return url.encode()


@step
def scale(image: bytes) -> bytes:
    return image


@step
def store(images: list[bytes]) -> int:
    return len(images)


@pipeline
def thumbnail(url: str) -> Any:
    return scale(load(url))


@step
def placeholder(urls: list[str]) -> list[bytes]:
    return []


def thumbnails() -> Snapshot:
    """A folder's images, each through a pipeline of its own, stored together; frozen by hand."""

    def body(folder: str) -> Any:
        return store(placeholder(listed(folder), id="thumbnails"))

    snapshot = PipelineDefinition(body, name="thumbnails").compile()
    fan = Fan("map", ("url",), max_concurrency=4)
    nodes = tuple(
        replace(node, fan=fan, body=thumbnail.compile()) if node.id == "thumbnails" else node for node in snapshot.nodes
    )
    return replace(snapshot, nodes=nodes)


AGENT = GraphView(
    nodes=(
        GraphNode("agent", "agent", "node"),
        GraphNode("tools", "tools", "node"),
        GraphNode("research/plan", "plan", "node", group="research"),
        GraphNode("research/read", "read", "node", group="research"),
        GraphNode("answer", "answer", "node"),
    ),
    edges=(
        GraphEdge("", "agent"),
        GraphEdge("agent", "tools", "call", conditional=True),
        GraphEdge("tools", "agent"),
        GraphEdge("agent", "agent", "again", conditional=True),
        GraphEdge("agent", "research/plan", "study", conditional=True),
        GraphEdge("research/plan", "research/read"),
        GraphEdge("research/read", "research/plan", "more", conditional=True),
        GraphEdge("research/read", "agent"),
        GraphEdge("agent", "answer", "done", conditional=True),
        GraphEdge("answer", ""),
    ),
    fidelity="superset",
)
"""As another library's agent is: cycles, an edge to itself, a subgraph."""


def chain(length: int) -> GraphView:
    """Steps one after the other, each of which takes a parameter as well."""
    names = [f"step_{n}" for n in range(length)]
    edges = [GraphEdge("", names[0], "given"), GraphEdge(names[-1], "", "output")]
    for before, after in pairwise(names):
        edges += [GraphEdge(before, after, "value"), GraphEdge("", after, "given")]
    return GraphView(tuple(GraphNode(name, name) for name in names), tuple(edges), inputs=(GraphPort("given"),))
