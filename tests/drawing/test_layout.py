"""Where graphs are drawn."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipemount.drawing.graph import GraphEdge, GraphNode, GraphPort, GraphView
from pipemount.drawing.lanes import Stretch, assign_lanes
from pipemount.drawing.layering import Arrow, Box, arrange
from pipemount.drawing.layout import Layout, Route, Shape, drawn, lay_out
from pipemount.drawing.ordering import crossings, order
from pipemount.pipelines.viewing import view_of

from .views import AGENT, chain, thumbnails, weather

EXAMPLES = [view_of(weather.compile()), view_of(thumbnails()), AGENT, chain(40), GraphView((), (), "opaque")]


def shape(layout: Layout, id: str, kind: str = "step") -> Shape:
    [found] = [each for each in layout.shapes if each.id == id and each.kind == kind]
    return found


def overlap(one: Shape, other: Shape) -> bool:
    apart = one.x + one.width <= other.x or other.x + other.width <= one.x
    return not (apart or one.y + one.height <= other.y or other.y + other.height <= one.y)


def inside(inner: Shape, outer: Shape) -> bool:
    return (
        outer.x <= inner.x
        and outer.y <= inner.y
        and inner.x + inner.width <= outer.x + outer.width
        and inner.y + inner.height <= outer.y + outer.height
    )


def ends(layout: Layout, route: Route) -> Iterator[tuple[Shape, tuple[float, float]]]:
    shapes = {each.id: each for each in layout.shapes if each.id and each.kind != "group"}
    ports = {each.kind: each for each in layout.shapes if not each.id}
    yield shapes[route.source] if route.source else ports["inputs"], route.points[0]
    yield shapes[route.target] if route.target else ports["outputs"], route.points[-1]


def check(view: GraphView) -> None:
    """What is true of every drawing."""
    layout = lay_out(view)
    for each in layout.shapes:
        assert each.x >= 0 and each.x + each.width <= layout.width + 1e-6
        assert each.y >= 0 and each.y + each.height <= layout.height + 1e-6
    for one, other in combinations(layout.shapes, 2):
        assert not overlap(one, other) or (one.holds and inside(other, one)), (one, other)
    for route in layout.routes:
        assert all(math.isfinite(value) for point in route.points for value in point)
        for end, (x, y) in ends(layout, route):
            assert end.x - 1e-6 <= x <= end.x + end.width + 1e-6, (route, end)
            assert end.y - 1e-6 <= y <= end.y + end.height + 1e-6, (route, end)
    drawn_edges = {(route.source, route.target) for route in layout.routes}
    assert {(edge.source, edge.target) for edge in view.edges} <= drawn_edges


@pytest.mark.parametrize("view", EXAMPLES)
def test_examples_are_drawn_without_overlaps(view: GraphView) -> None:
    check(view)


@st.composite
def views(draw: Any, depth: int = 1) -> GraphView:
    """Graphs with groups, branches, maps, cycles, and edges to themselves."""
    count = draw(st.integers(0, 9))
    nodes = []
    for n in range(count):
        kind = draw(st.sampled_from(["step", "branch", "map"]))
        body = draw(st.none() | views(depth=0)) if kind == "map" and depth else None
        group = draw(st.sampled_from(["", "", "a", "a/b", "c"]))
        nodes.append(GraphNode(f"n{n}", "x" * draw(st.integers(0, 60)), kind, group, body=body))
    ids = [node.id for node in nodes]
    ends = st.sampled_from(ids) if ids else st.nothing()
    edges = st.builds(
        GraphEdge, st.just("") | ends, ends, st.sampled_from(["", "value", "a longer label"]), st.booleans()
    )
    outgoing = st.builds(GraphEdge, ends, st.just(""))
    found = draw(st.lists(edges | outgoing, max_size=16)) if ids else []
    ports = st.lists(st.builds(GraphPort, st.text(max_size=12), st.booleans()), max_size=5).map(tuple)
    return GraphView(tuple(nodes), tuple(found), inputs=draw(ports), outputs=draw(ports))


@given(views())
@settings(max_examples=150, deadline=None)
@pytest.mark.no_cover
def test_whatever_is_drawn_lies_apart_and_arrows_meet_what_they_lead_to(view: GraphView) -> None:
    check(view)
    assert lay_out(view) == lay_out(view)


def test_arrows_go_down() -> None:
    layout = lay_out(EXAMPLES[0])
    assert all(route.points[0][1] < route.points[-1][1] for route in layout.routes)


def test_labels_of_edges_between_the_same_two_stand_together() -> None:
    edges = (GraphEdge("", "a", "city"), GraphEdge("", "a", "units"), GraphEdge("", "a", "note", conditional=True))
    labels = [route.label for route in lay_out(GraphView((GraphNode("a", "a"),), edges)).routes]
    assert labels == ["city, units", "note"]


def test_labels_of_a_branch_stand_beside_it_and_others_beside_what_they_lead_to() -> None:
    nodes = (GraphNode("ask", "ok?", "branch"), *(GraphNode(f"s{n}", f"s{n}") for n in range(3)))
    edges = (GraphEdge("ask", "s2", "yes", conditional=True), GraphEdge("s0", "s1"), GraphEdge("s1", "s2", "data"))
    layout = lay_out(GraphView(nodes, edges))
    heights = {route.label: route.label_at[1] for route in layout.routes if route.label_at}
    assert heights["yes"] - shape(layout, "ask", "branch").y < 120
    assert shape(layout, "s2").y - heights["data"] < 40


def test_a_group_is_a_frame_around_its_steps_and_groups_in_it() -> None:
    nodes = (GraphNode("x/a", "a", group="x"), GraphNode("x/y/b", "b", group="x/y"), GraphNode("c", "c"))
    layout = lay_out(GraphView(nodes, (GraphEdge("c", "x/y/b"), GraphEdge("x/y/b", "x/a"))))
    outer, inner = shape(layout, "x", "group"), shape(layout, "x/y", "group")
    assert inside(inner, outer)
    assert inside(shape(layout, "x/a"), outer)
    assert inside(shape(layout, "x/y/b"), inner)
    assert not overlap(shape(layout, "c"), outer)
    assert (outer.lines, inner.lines) == (("x",), ("y",))


def test_the_body_of_a_map_is_drawn_inside_it_under_its_name() -> None:
    layout = lay_out(view_of(thumbnails()))
    outer = shape(layout, "thumbnails", "map")
    assert outer.lines == ("thumbnails", "× each url")
    assert inside(shape(layout, "thumbnails[]/load"), outer)
    assert ("thumbnails[]/load", "thumbnails[]/scale") in {(r.source, r.target) for r in layout.routes}


def test_a_map_with_an_empty_body_is_drawn_as_one_without() -> None:
    layout = lay_out(GraphView((GraphNode("m", "m", "map", body=GraphView((), ())),), ()))
    assert not shape(layout, "m", "map").holds


def test_notes_tell_what_is_called_where_the_name_does_not() -> None:
    layout = lay_out(GraphView((GraphNode("fetch_2", "fetch"), GraphNode("fetch", "fetch")), ()))
    assert shape(layout, "fetch_2").lines == ("fetch_2", "fetch")
    assert shape(layout, "fetch_2").title == "fetch_2: fetch"
    assert shape(layout, "fetch").lines == ("fetch",)


def test_what_is_long_is_shortened_and_told_in_full_as_the_title() -> None:
    condition = "a.very.long.condition == " + "x" * 200
    layout = lay_out(GraphView((GraphNode("branch", condition, "branch"), GraphNode("n" * 99, "")), ()))
    branch = shape(layout, "branch", "branch")
    assert len(branch.lines) == 2
    assert branch.lines[-1].endswith("…")
    assert branch.title == condition
    assert len(shape(layout, "n" * 99).lines[0]) == 32


def test_wide_characters_take_two_columns_and_combining_ones_none() -> None:
    names = ("温" * 20, "x" * 20, "e\u0301" * 20)
    layout = lay_out(GraphView(tuple(GraphNode(name, name) for name in names), ()))
    wide, plain, combined = (shape(layout, name).width for name in names)
    assert wide > plain == combined


def test_an_arrow_to_the_same_node_leaves_its_side_and_comes_back() -> None:
    [route] = lay_out(GraphView((GraphNode("a", "a"),), (GraphEdge("a", "a", "again"),))).routes
    assert route.points[0][0] == route.points[-1][0] < route.points[1][0]
    assert route.label_at is not None


def test_an_arrow_that_closes_a_cycle_goes_up() -> None:
    layout = lay_out(AGENT)
    points = {(route.source, route.target): route.points for route in layout.routes}
    back = points["research/read", "agent"]
    assert back[0][1] > back[-1][1]


def test_what_nothing_leads_to_stands_just_above_what_it_leads_to() -> None:
    nodes = tuple(GraphNode(name, name) for name in "abcd")
    edges = (GraphEdge("a", "b"), GraphEdge("b", "c"), GraphEdge("d", "c"))
    layout = lay_out(GraphView(nodes, edges))
    assert shape(layout, "d").y == shape(layout, "b").y


# --------------------------------------------------------------------------------------- large ones


def test_a_chain_of_thousands_of_steps_is_drawn_narrow_its_long_arrows_in_one_lane() -> None:
    layout = lay_out(chain(5_000))
    assert layout.width < 1_000
    assert sum(len(route.points) for route in layout.routes) < 30 * len(layout.routes)
    assert all(a.y < b.y for a, b in zip(layout.shapes, layout.shapes[1:], strict=False) if a.id and b.id)


def test_a_rank_of_thousands_is_drawn_wide() -> None:
    count = 3_000
    nodes = tuple(GraphNode(f"s{n}", f"s{n}") for n in range(count))
    edges = tuple(GraphEdge("", node.id, "x") for node in nodes) + tuple(GraphEdge(node.id, "") for node in nodes)
    layout = lay_out(GraphView(nodes, edges))
    assert len({each.y for each in layout.shapes}) == 3


def test_lanes_are_shared_by_one_origin_or_end_and_reused_below() -> None:
    fans = [Stretch(0, n, 1, 10 * n) for n in (3, 4)]
    gathers = [Stretch(n, 99, n, 50) for n in (7, 8)]
    later = [Stretch(5, 6, 60, 90)]
    assert assign_lanes([*fans, *gathers, *later]) == [0, 0, 1, 1, 0]
    assert assign_lanes([]) == []


# -------------------------------------------------------------------------------------------- parts


def test_order_undoes_crossings() -> None:
    links = [(0, 5), (1, 4), (2, 3)]
    below = {upper: [lower] for upper, lower in links}
    assert crossings([[0, 1, 2], [3, 4, 5]], below) == 3
    assert crossings(order([[0, 1, 2], [3, 4, 5]], links), below) == 0


def test_order_keeps_the_best_that_it_finds_where_crossings_cannot_be_undone() -> None:
    links = [(upper, lower) for upper in (0, 1, 2) for lower in (3, 4, 5)]
    assert order([[0, 1, 2], [3, 4, 5]], links) == [[0, 1, 2], [3, 4, 5]]


def test_a_port_says_where_an_arrow_meets_a_box() -> None:
    boxes = [Box(100, 20), Box(100, 20)]
    [route] = arrange(boxes, [Arrow(0, 1, upper_port=-40, lower_port=40)]).routes
    middles = arrange(boxes, [Arrow(0, 1, upper_port=-40, lower_port=40)]).boxes
    assert route[0][0] == middles[0][0] - 40
    assert route[-1][0] == middles[1][0] + 40


def test_pins_are_at_the_edges() -> None:
    boxes = [Box(10, 10, "bottom"), Box(10, 10), Box(10, 10, "top")]
    heights = [y for _, y in arrange(boxes, []).boxes]
    assert heights[2] < heights[1] < heights[0]


# --------------------------------------------------------------------------------------------- JSON


def test_the_layout_as_json_tells_places_in_tenths_of_pixels() -> None:
    told = drawn(EXAMPLES[0])
    assert json.loads(json.dumps(told)) == told
    layout = told["layout"]
    first = layout["nodes"][0]
    assert set(first) == {"id", "kind", "lines", "title", "x", "y", "width", "height"}
    assert all(value == round(value, 1) for edge in layout["edges"] for point in edge["points"] for value in point)
    labelled = [edge for edge in layout["edges"] if "label" in edge]
    assert {"yes", "city"} <= {edge["label"]["text"] for edge in labelled}
    assert len(labelled) < len(layout["edges"])


def test_the_layout_says_which_shapes_hold_others() -> None:
    held = [node["id"] for node in lay_out(EXAMPLES[1]).as_json()["nodes"] if node.get("holds")]
    assert held == ["thumbnails"]
