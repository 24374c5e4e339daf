"""Mermaid text of graphs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipemount.drawing.graph import GraphEdge, GraphNode, GraphPort, GraphView
from pipemount.drawing.mermaid import to_mermaid
from pipemount.pipelines.authoring import PipelineDefinition, step
from pipemount.pipelines.viewing import view_of

from .views import AGENT, thumbnails, weather

DRAWINGS = Path(__file__).parent / "drawings"
EXAMPLES = {"weather": view_of(weather.compile()), "thumbnails": view_of(thumbnails()), "agent": AGENT}


@step
def use(value: Any) -> str:
    return str(value)


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_are_drawn_as_they_are_kept(name: str) -> None:
    assert to_mermaid(EXAMPLES[name]) + "\n" == (DRAWINGS / f"{name}.mmd").read_text(encoding="utf-8")


def test_a_drawing() -> None:
    def inner(text: str) -> Any:
        return use(text)

    sub = PipelineDefinition(inner, name='sub "quoted" <b>')

    def outer(text: str, other: int = 1) -> Any:
        first = sub(text)
        last = use(other, id="last", after=first)
        return {"end": last}

    assert to_mermaid(view_of(PipelineDefinition(outer).compile())).splitlines() == [
        "flowchart TD",
        '    inputs(["text, other?"])',
        '    subgraph group_1["sub #34;quoted#34; #60;b#62;"]',
        "        direction TD",
        '        step_0["use"]',
        "    end",
        '    step_1["last: use"]',
        '    outputs(["end"])',
        '    inputs -->|"value"| step_0',
        '    inputs -->|"value"| step_1',
        "    step_0 --> step_1",
        '    step_1 -->|"end"| outputs',
    ]


def test_a_drawing_without_inputs_and_outputs() -> None:
    def body() -> Any:
        use(1)

    assert to_mermaid(view_of(PipelineDefinition(body).compile())) == 'flowchart TD\n    step_0["use"]'


def test_an_empty_graph_is_a_flowchart_of_nothing() -> None:
    assert to_mermaid(GraphView((), (), "opaque")) == "flowchart TD"


def test_inputs_and_outputs_that_have_no_names() -> None:
    view = GraphView((GraphNode("a", "a"),), (GraphEdge("", "a"), GraphEdge("a", "")))
    assert 'inputs(["inputs"])' in to_mermaid(view)
    assert 'outputs(["outputs"])' in to_mermaid(view)


def test_optional_ones_are_marked() -> None:
    view = GraphView((), (), inputs=(GraphPort("city"), GraphPort("note", True)), outputs=(GraphPort("alert", True),))
    assert 'inputs(["city, note?"])' in to_mermaid(view)
    assert 'outputs(["alert?"])' in to_mermaid(view)


def test_a_branch_is_a_diamond_with_whole_arrows_and_data_of_some_paths_is_dashed() -> None:
    lines = to_mermaid(EXAMPLES["weather"])
    assert "branch_5{\"units == 'F'\"}" in lines
    assert 'branch_5 -->|"yes"| step_2' in lines
    assert 'step_2 -.->|"weather"| step_3' in lines


@pytest.mark.parametrize(("kind", "words"), [("map", "× each city, size"), ("product", "× every pair of city, size")])
def test_a_map_says_what_it_is_repeated_for(kind: str, words: str) -> None:
    settings = {"fan": {"kind": kind, "over": ["city", "size"]}}
    assert f'step_0[["look {words}"]]' in to_mermaid(
        GraphView((GraphNode("look", "look", "map", "", "", settings),), ())
    )


def test_a_map_of_which_nothing_more_is_known() -> None:
    assert 'step_0[["look × each"]]' in to_mermaid(GraphView((GraphNode("look", "look", "map"),), ()))


def test_groups_are_drawn_in_groups_also_within_maps() -> None:
    body = GraphView((GraphNode("in/a", "a", group="in"), GraphNode("b", "b", "map", body=GraphView((), ()))), ())
    view = GraphView(
        (GraphNode("x/y/a", "a", group="x/y"), GraphNode("x/b", "b", group="x"), GraphNode("m", "m", "map", body=body)),
        (),
    )
    assert to_mermaid(view).splitlines() == [
        "flowchart TD",
        '    subgraph group_1["x"]',
        "        direction TD",
        '        subgraph group_2["y"]',
        "            direction TD",
        '            step_0["a"]',
        "        end",
        '        step_1["b"]',
        "    end",
        '    subgraph step_2["m × each"]',
        "        direction TD",
        '        subgraph group_2_1["in"]',
        "            direction TD",
        '            step_2_0["a"]',
        "        end",
        '        step_2_1[["b × each"]]',
        "    end",
    ]


def test_edges_from_and_to_nowhere_are_left_out() -> None:
    view = GraphView((GraphNode("a", "a"),), (GraphEdge("gone", "a"), GraphEdge("a", "gone")))
    assert to_mermaid(view).splitlines() == ["flowchart TD", '    step_0["a"]']
