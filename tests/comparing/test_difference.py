"""What changed between two pipelines."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from typing import Any, Literal

from tests.drawing.views import thumbnails, weather

from pipemount import Retry, compile, pipeline, step
from pipemount.comparing.difference import Difference, InnerChange, compare
from pipemount.drawing.graph import GraphNode, GraphView
from pipemount.http.describe import description
from pipemount.pipelines.authoring import PipelineDefinition
from pipemount.types import JsonObject


def described(thing: Any) -> JsonObject:
    told: JsonObject = json.loads(json.dumps(description(compile(thing))))
    return told


def inside(old: Any, new: Any) -> set[tuple[str, str, str, str]]:
    found = compare(described(old), described(new)).inside
    return {(each.kind, each.name, each.what, each.text) for each in found if "fingerprint" not in each.text}


@step
def fetch(city: str) -> float:
    return float(len(city))


@step
def clean(value: float) -> float:
    return value


@step
def warn(value: float) -> str:
    return f"{value}"


def named(function: Any, **options: Any) -> PipelineDefinition:
    return PipelineDefinition(function, name="weather", **options)


def plain(city: str) -> Any:
    return {"degrees": fetch(city)}


def test_nothing_changed() -> None:
    found = compare(described(weather), described(weather))
    assert found == Difference((), (), ())
    assert found.verdict == "none"


def test_inputs_and_outputs_are_compared_for_those_who_send_and_read_them() -> None:
    def newer(city: str, units: Literal["C", "F"] = "C") -> Any:
        degrees = fetch(city)
        return {"degrees": degrees, "units": warn(degrees)}

    forth = compare(described(named(plain)), described(named(newer)))
    assert forth.verdict == "compatible"
    assert [change.text for change in (*forth.inputs, *forth.outputs)] == ["added, optional", "added"]
    back = compare(described(named(newer)), described(named(plain)))
    assert back.verdict == "breaking"
    assert [change.path for change in (*back.inputs, *back.outputs)] == ["units", "units"]


def test_an_output_that_some_paths_lack_now_is_breaking() -> None:
    def branched(city: str) -> Any:
        degrees = fetch(city)
        return {"degrees": degrees} if degrees > 35 else {}

    [change] = compare(described(named(plain)), described(named(branched))).outputs
    assert (change.path, change.effect, change.text) == ("degrees", "breaking", "may be left out")


def test_steps_come_and_go_with_their_edges() -> None:
    def cleaned(city: str) -> Any:
        return {"degrees": clean(fetch(city))}

    assert inside(named(plain), named(cleaned)) == {
        ("step", "clean", "added", ""),
        ("edge", "fetch → outputs (degrees)", "removed", ""),
    }
    assert compare(described(named(plain)), described(named(cleaned))).verdict == "compatible"


def test_a_step_whose_code_changed() -> None:
    def other() -> Any:
        @step
        def fetch(city: str) -> float:
            return float(len(city)) + 1

        return named(lambda city: {"degrees": fetch(city)})

    changes = inside(named(lambda city: {"degrees": fetch(city)}), other())
    assert changes == {("step", "fetch", "changed", "does something else: its code changed")}


def test_how_a_step_is_run() -> None:
    careful = fetch.with_options(retry=Retry(attempts=5), timeout=3)
    again = fetch.with_options(retry=Retry(attempts=6), timeout=3, on_end="json:dumps")

    [change] = inside(named(lambda city: careful(city)), named(lambda city: again(city)))
    assert change == ("step", "fetch", "changed", "retry.attempts 5 → 6; hooks.on_end none → json:dumps")
    [change] = inside(named(lambda city: fetch(city)), named(lambda city: careful(city)))
    assert "retry.attempts none → 5" in change[3]
    assert 'retry.on none → ["Exception"]' in change[3]
    assert "timeout none → 3" in change[3]


def test_arguments_and_constants() -> None:
    changes = inside(named(lambda city: fetch("Oslo")), named(lambda city: fetch(city)))
    [(_, _, _, text)] = [change for change in changes if change[0] == "step"]
    assert text.startswith("arguments.city constant ")
    assert text.endswith(" → city")
    assert ("edge", "inputs → fetch (city)", "added", "") in changes


def test_branches_are_known_by_what_they_ask() -> None:
    def one(city: str, loud: bool) -> Any:
        degrees = fetch(city)
        return {"degrees": degrees} | ({"warning": warn(degrees)} if degrees > 35 else {})

    def two(city: str, loud: bool) -> Any:
        if loud:
            clean(1, id="noise")
        degrees = fetch(city)
        return {"degrees": degrees} | ({"warning": warn(degrees)} if degrees > 35 else {})

    changes = {change[:3] for change in inside(named(one), named(two))}
    assert ("branch", "if loud", "added") in changes
    assert not any("35" in name for kind, name, _ in changes if kind == "branch")


def test_branches_that_ask_the_same_are_counted() -> None:
    asked = tuple(GraphNode(f"branch_{n}", "ok", "branch") for n in range(2))
    old = described(weather)
    new = old | {"graph": GraphView(asked, ()).as_json()}
    old = old | {"graph": GraphView((), ()).as_json()}
    assert [change.name for change in compare(old, new).inside] == ["if ok", "if ok (2)"]


def test_what_is_told_of_the_whole_pipeline() -> None:
    old, new = described(named(plain)), described(PipelineDefinition(plain, name="climate", on_init="json:dumps"))
    new["framework"]["version"] = "9"
    told = [change.text for change in compare(old, new).inside]
    assert "name weather → climate" in told
    assert "hooks.on_init none → json:dumps" in told
    assert any(text.startswith("framework pipemount ") for text in told)
    assert any(text.startswith("fingerprint ") for text in told)


def test_maps_are_compared_with_what_they_repeat() -> None:
    snapshot = thumbnails()

    @pipeline
    def other(url: str) -> Any:
        return clean(fetch(url))

    nodes = tuple(replace(node, body=other.compile()) if node.body else node for node in snapshot.nodes)
    changes = {change[:3] for change in inside_views(snapshot, replace(snapshot, nodes=nodes))}
    assert ("step", "thumbnails[]/load", "removed") in changes
    assert ("step", "thumbnails[]/clean", "added") in changes
    assert not any(name == "thumbnails" for _, name, _ in changes)


def inside_views(old: Any, new: Any) -> set[tuple[str, str, str, str]]:
    from pipemount.adapters.native import NativePipeline

    found = compare(*(description(NativePipeline(snapshot)) for snapshot in (old, new))).inside
    return {(each.kind, each.name, each.what, each.text) for each in found}


def test_kinds_and_groups() -> None:
    old = described(weather)
    new = deepcopy(old)
    new["graph"]["nodes"][0] |= {"kind": "async", "group": "sub", "label": "get"}
    [change] = compare(old, new).inside
    assert change.text == "calls fetch → get; runs as thread → async; is in none → sub"


def test_descriptions_of_which_little_is_known() -> None:
    bare: JsonObject = {"input_schema": {}, "output_schema": {}}
    assert compare(bare, bare).verdict == "none"
    node = {"id": "a", "label": "a", "kind": "step"}
    grown = bare | {"graph": {"nodes": [node], "edges": [{"source": "", "target": "a"}]}}
    assert [change.name for change in compare(bare, grown).inside] == ["a"]


def test_a_difference_as_json() -> None:
    def newer(city: str, n: int = 1) -> Any:
        return {"degrees": fetch(city)}

    found = compare(described(named(plain)), described(named(newer)))
    told = json.loads(json.dumps(found.as_json()))
    assert set(told) == {"verdict", "inputs", "outputs", "inside"}
    assert told["inputs"][0] == {"path": "n", "effect": "compatible", "text": "added, optional"}
    assert InnerChange("step", "a", "added").as_json() == {"kind": "step", "name": "a", "what": "added", "text": ""}
    assert set(told["inside"][0]) == {"kind", "name", "what", "text"}
