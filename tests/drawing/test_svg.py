"""Pictures of graphs."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipemount.drawing.graph import GraphEdge, GraphNode, GraphPort, GraphView
from pipemount.drawing.svg import to_svg

from .test_mermaid import DRAWINGS, EXAMPLES

SVG = "{http://www.w3.org/2000/svg}"


def texts(root: ElementTree.Element, tag: str) -> list[str]:
    return [each.text or "" for each in root.iter(SVG + tag)]


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_are_drawn_as_they_are_kept(name: str) -> None:
    kept = Path(DRAWINGS / f"{name}.svg").read_text(encoding="utf-8")
    assert to_svg(EXAMPLES[name], title=name) + "\n" == kept


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_picture_needs_nothing_from_elsewhere(name: str) -> None:
    picture = to_svg(EXAMPLES[name], title=name).replace("http://www.w3.org/2000/svg", "")
    assert "//" not in picture
    assert "<script" not in picture


def test_who_does_not_see_it_is_told_what_it_shows() -> None:
    root = ElementTree.fromstring(to_svg(EXAMPLES["weather"], title="weather <1>", description="Rain & wind"))
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == "title description"
    assert root.find(f"{SVG}title") is not None
    assert texts(root, "title")[0] == "weather <1>"
    assert texts(root, "desc") == ["Rain & wind"]
    assert "inputs → fetch" in texts(root, "title")


def test_a_picture_without_a_description() -> None:
    root = ElementTree.fromstring(to_svg(GraphView((), ()), title="nothing"))
    assert root.get("aria-labelledby") == "title"
    assert texts(root, "desc") == []


def test_only_what_is_not_taken_by_every_run_is_dashed_but_for_answers() -> None:
    nodes = (GraphNode("ask", "ok", "branch"), GraphNode("a", "a"), GraphNode("b", "b"))
    edges = (GraphEdge("ask", "a", "yes", True), GraphEdge("a", "b", "x", True), GraphEdge("ask", "b"))
    root = ElementTree.fromstring(to_svg(GraphView(nodes, edges), title="t"))
    kinds = [path.get("class") for path in root.iter(f"{SVG}path") if "route" in (path.get("class") or "")]
    assert sorted(map(str, kinds)) == ["route", "route", "route dashed"]


@given(st.text(max_size=40), st.text(max_size=40))
@settings(max_examples=100, deadline=None)
def test_any_text_is_escaped(name: str, label: str) -> None:
    view = GraphView(
        (GraphNode("a", label, "branch"), GraphNode(f"m{name}", label, "map", group="g<")),
        (GraphEdge("a", f"m{name}", label), GraphEdge("", "a", name)),
        inputs=(GraphPort(name),),
    )
    assert ElementTree.fromstring(to_svg(view, title=name, description=label)).tag == f"{SVG}svg"
