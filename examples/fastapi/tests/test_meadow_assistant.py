"""Meadow's assistant: a compiled LangGraph graph, over HTTP with a key and from the team's own code."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.server

RUN = "/ai/assistant/invoke"
ASKED = {"question": "How deep must I plant it?", "species": "setosa"}


def test_the_assistant_answers_from_the_handbook(program: httpx.Client) -> None:
    answer = program.post(RUN, json={"parameters": ASKED})
    assert answer.status_code == 200, answer.text
    assert answer.json()["outputs"] == {
        "answer": "Plant the rhizome of Iris setosa 3 cm deep, and divide it every four years.",
        "topic": "planting",
    }


def test_what_is_not_in_the_handbook_is_declined(program: httpx.Client) -> None:
    answer = program.post(RUN, json={"parameters": ASKED | {"question": "Who are you?"}})
    assert answer.json()["outputs"] == {
        "answer": "I know about water, light, planting only; please ask a gardener.",
    }


@pytest.mark.parametrize(
    ("change", "where"),
    [({"species": "tulip"}, "species"), ({"question": "?"}, "question"), ({"note": "injected"}, "note")],
)
def test_what_the_graph_cannot_take_is_refused(program: httpx.Client, change: dict[str, str], where: str) -> None:
    answer = program.post(RUN, json={"parameters": ASKED | change})
    assert answer.status_code == 422
    assert [fault["loc"] for fault in answer.json()["errors"]] == [["parameters", where]]


def test_the_assistant_needs_a_key(visitor: httpx.Client) -> None:
    assert visitor.post(RUN, json={"parameters": ASKED}).status_code == 401


def test_the_schemas_of_the_graph_are_in_the_document(program: httpx.Client) -> None:
    components = program.get("/ai/openapi.json").json()["components"]["schemas"]
    asked, advice = components["assistant_Inputs"], components["assistant_Outputs"]
    assert asked["required"] == ["question", "species"]
    assert asked["properties"]["species"]["enum"] == ["setosa", "versicolor", "virginica"]
    assert asked["properties"]["question"]["description"] == "In your own words"
    assert advice["required"] == ["answer"]
    graph = program.get("/ai/pipelines/assistant/info").json()["graph"]
    assert graph["fidelity"] == "superset"
    assert {edge["target"] for edge in graph["edges"] if edge["conditional"]} == {"look_up", "decline"}


async def test_the_model_is_heard_word_by_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEADOW_KEYS", "here:a key for the import")
    from meadow.assistant import assistant

    from pipemount.inprocess import run_compiled

    events: list[Any] = []
    result = await run_compiled(assistant, ASKED, listener=events.append)
    steps = [event.step for event in events if event.kind == "step_completed"]
    assert steps == ["sort", "look_up", "answer"]
    deltas = [event.data["value"] for event in events if event.kind == "delta"]
    assert len(deltas) == 15
    assert "".join(deltas) == result.outputs["answer"]
