"""What can be drawn of a snapshot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.drawing.views import thumbnails, weather

from pipemount import Retry
from pipemount.drawing.graph import GraphEdge, GraphNode, GraphPort, GraphView
from pipemount.pipelines.authoring import PipelineDefinition, step
from pipemount.pipelines.snapshot import Branch, Fan, Snapshot
from pipemount.pipelines.viewing import view_of


def compiled(function: Any, **options: Any) -> Snapshot:
    return PipelineDefinition(function, **options).compile()


def node(view: GraphView, id: str) -> GraphNode:
    [found] = [each for each in view.nodes if each.id == id]
    return found


def begin() -> None: ...


@step
def use(value: Any) -> str:
    return str(value)


@step
def ask(value: str) -> bool:
    return bool(value)


def test_steps_branches_inputs_and_outputs_of_a_pipeline_with_branches() -> None:
    view = view_of(weather.compile())
    assert [(each.id, each.label, each.kind) for each in view.nodes] == [
        ("fetch", "fetch", "thread"),
        ("wind", "wind", "async"),
        ("to_fahrenheit", "to_fahrenheit", "thread"),
        ("write", "write", "thread"),
        ("alert", "alert", "thread"),
        ("branch", "units == 'F'", "branch"),
        ("branch_2", "(to_fahrenheit or fetch).temperature > 35", "branch"),
    ]
    assert view.inputs == (GraphPort("city"), GraphPort("units", True), GraphPort("note", True))
    assert view.outputs == (GraphPort("report"), GraphPort("temperature"), GraphPort("alert", True))


def test_a_branch_has_edges_from_what_it_asks_about_and_to_what_it_decides() -> None:
    edges = view_of(weather.compile()).edges
    assert [edge for edge in edges if "branch" in (edge.source, edge.target)] == [
        GraphEdge("", "branch"),
        GraphEdge("branch", "to_fahrenheit", "yes", conditional=True),
    ]
    assert {(edge.source, edge.label) for edge in edges if edge.target == "branch_2"} == {
        ("to_fahrenheit", ""),
        ("fetch", ""),
    }


def test_both_answers_are_labelled() -> None:
    def body(flag: bool) -> Any:
        return use(1, id="one") if flag else use(2, id="two")

    labels = {edge.target: edge.label for edge in view_of(compiled(body)).edges if edge.source == "branch"}
    assert labels == {"one": "yes", "two": "no"}


def test_a_map_of_a_pipeline_holds_what_is_run_for_each_item() -> None:
    mapped = node(view_of(thumbnails()), "thumbnails")
    assert mapped.kind == "map"
    assert mapped.settings["fan"] == {"kind": "map", "over": ["url"], "max_concurrency": 4}
    assert mapped.body is not None
    assert [each.id for each in mapped.body.nodes] == ["load", "scale"]
    assert mapped.as_json()["body"] == mapped.body.as_json()


def test_a_map_of_a_step_holds_nothing() -> None:
    snapshot = compiled(lambda words: use(words))
    [call] = snapshot.nodes
    mapped = view_of(replace(snapshot, nodes=(replace(call, fan=Fan("product", ("value",))),))).nodes[0]
    assert (mapped.kind, mapped.body) == ("map", None)


def test_settings_tell_how_a_step_is_run() -> None:
    @step(retry=Retry(attempts=2, on=(OSError,)), timeout=5, on_start=begin, on_end="json:dumps")
    def fetch(city: str, units: str) -> str:
        return city + units

    settings = view_of(compiled(lambda city: fetch(city, "C"))).nodes[0].settings
    assert settings["retry"]["attempts"] == 2
    assert settings["retry"]["on"] == ["OSError"]
    assert settings["timeout"] == 5
    assert settings["hooks"]["on_end"] == "json:dumps"
    name, digits = settings["hooks"]["on_start"].split(" ")
    assert name.endswith("test_viewing:begin")
    assert len(digits) == 12
    assert settings["arguments"]["city"] == "city"


def test_constants_are_told_by_digits_and_nothing_else() -> None:
    def told(secret: str) -> str:
        @step
        def use(key: dict[str, Any]) -> str:
            return str(key)

        view = view_of(compiled(lambda city: use({"city": city, "key": secret})))
        arguments: dict[str, str] = view.nodes[0].settings["arguments"]
        return arguments["key"]

    assert "hunter2" not in told("hunter2")
    assert told("hunter2") == told("hunter2")
    assert told("hunter2") != told("hunter3")
    assert "'city': city" in told("hunter2")


def test_a_choice_is_told_without_its_constants() -> None:
    def body(flag: bool, text: str) -> Any:
        return use(text if flag else "hunter2")

    [argument] = [view_of(compiled(body)).nodes[0].settings["arguments"]["value"]]
    assert argument.startswith("(text or constant ")


def test_hooks_of_the_pipeline_are_told() -> None:
    view = view_of(compiled(lambda text: use(text), name="p", on_init="shop:load"))
    assert view.settings == {"hooks": {"on_init": "shop:load"}}
    assert view_of(weather.compile()).settings == {}


# ------------------------------------------------------------------------------------------- groups


def inner(text: str) -> Any:
    if ask(text):
        return use(text, id="long")
    return use(1, id="short")


def test_inlined_steps_and_their_branches_are_in_a_group() -> None:
    sub = PipelineDefinition(inner, name="sub")

    def outer(text: str) -> Any:
        return use(sub(text), id="last")

    view = view_of(compiled(outer))
    assert {each.id: each.group for each in view.nodes if each.kind != "branch"} == {
        "sub/ask": "sub",
        "sub/long": "sub",
        "sub/short": "sub",
        "last": "",
    }
    assert [each.group for each in view.nodes if each.kind == "branch"] == ["sub"]


def test_a_branch_that_decides_whether_there_is_a_group_is_outside() -> None:
    sub = PipelineDefinition(lambda text: use(text), name="sub")

    def outer(text: str, flag: bool) -> Any:
        return sub(text) if flag else use(1, id="other")

    def only(text: str, flag: bool) -> Any:
        return {"found": sub(text)} if flag else {}

    for body in (outer, only):
        assert node(view_of(compiled(body)), "branch").group == ""


def test_a_branch_is_where_all_that_it_decides_is_branches_below_it_included() -> None:
    snapshot = compiled(inner)
    [branch] = snapshot.branches
    nodes = tuple(replace(each, id=f"a/b/{each.id}") for each in snapshot.nodes)
    nested = (
        replace(branch, when_true=("branch_2",), when_false=("a/b/short",), needs=("a/b/ask",)),
        Branch("branch_2", branch.condition, "again", when_true=("a/b/long",), decided_by=("branch",)),
    )
    view = view_of(replace(snapshot, nodes=nodes, branches=nested, edges=()))
    assert node(view, "branch").group == "a/b"
    assert node(view, "branch_2").group == "a/b"


# --------------------------------------------------------------------------------------------- JSON


def test_as_json_leaves_out_what_is_empty() -> None:
    view = GraphView((GraphNode("a", "a"),), (GraphEdge("", "a", "x"),))
    assert view.as_json() == {
        "fidelity": "exact",
        "inputs": [],
        "outputs": [],
        "nodes": [{"id": "a", "label": "a", "kind": "step"}],
        "edges": [{"source": "", "target": "a", "label": "x", "conditional": False}],
        "settings": {},
    }


def test_as_json_tells_all_of_a_node() -> None:
    told = view_of(thumbnails()).as_json()["nodes"][1]
    assert set(told) == {"id", "label", "kind", "version", "settings", "body"}
