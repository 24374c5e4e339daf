"""The shopkeeper's answers: word by word, again from where a reader was, for whoever asked, and without scripts."""

from __future__ import annotations

import doctest
import json
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from flask import Flask
from kettle import create_app, shopkeeper
from kettle.advice import advice
from kettle.extensions import db
from visitors import Visitor, new_key, settings

from pipemount import StepContext

QUESTION = "Can I drink it in the evening?"


@pytest.fixture
def app(database: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    monkeypatch.setattr(shopkeeper, "PACE", 0.0)
    app = create_app(settings(database, pipelines=True))
    yield app
    with app.app_context():
        db.engine.dispose()


def begin(visitor: Visitor, slug: str = "mint-garden", question: str = QUESTION, **headers: str) -> Any:
    body = {"parameters": {"slug": slug, "question": question}}
    return visitor.client.post("/ask/submit", json=body, headers={"X-CSRFToken": visitor.token, **headers})


def events(visitor: Visitor, job: Any, **headers: str) -> list[dict[str, Any]]:
    """What the stream tells, to its end."""
    answer = visitor.client.get(job["stream_url"], headers=headers)
    assert answer.mimetype == "text/event-stream"
    lines = answer.text.splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


def test_the_examples_of_the_shopkeeper() -> None:
    assert doctest.testmod(shopkeeper).failed == 0


def test_an_answer_is_told_word_by_word_and_again_from_where_somebody_was(ada: Visitor) -> None:
    job = begin(ada).get_json()
    told = events(ada, job)
    assert [event["sequence"] for event in told] == list(range(1, len(told) + 1))
    words = [event["data"]["value"] for event in told if event["kind"] == "delta"]
    assert len(words) > 30
    assert told[-1]["data"]["outputs"] == {"answer": "".join(words)}
    assert "In the evening I drink mint" in "".join(words)
    assert events(ada, job, **{"Last-Event-ID": "20"}) == told[20:]


def test_an_answer_is_there_for_whoever_asked(app: Flask, visitor: Visitor, ada: Visitor, sam: Visitor) -> None:
    assert (begin(visitor).status_code, begin(visitor).mimetype) == (401, "application/problem+json")
    job = begin(ada).get_json()
    for path in (job["poll_url"], job["stream_url"]):
        assert visitor.get(path).status_code == 401
        assert sam.get(path).status_code == 404
    assert sam.client.post(job["poll_url"] + "/cancel").status_code == 404
    unknown = sam.get(job["poll_url"][:-12] + "0" * 12)
    assert sam.get(job["poll_url"]).get_json()["detail"] == unknown.get_json()["detail"]
    program = {"Authorization": f"Bearer {new_key(ada)}"}  # which is Ada
    assert app.test_client().get(job["poll_url"], headers=program).get_json()["job_id"] == job["job_id"]
    assert events(ada, job)[-1]["kind"] == "run_completed"


def test_asked_for_again_with_its_key_it_is_the_same(ada: Visitor) -> None:
    first, again = (begin(ada, **{"Idempotency-Key": "0199-of-this-page"}) for _ in range(2))
    assert (first.status_code, first.get_json()) == (again.status_code, again.get_json())
    assert events(ada, again.get_json())[-1]["kind"] == "run_completed"
    other = begin(ada, question="Is it good?", **{"Idempotency-Key": "0199-of-this-page"})
    assert other.get_json()["code"] == "idempotency-mismatch"


def test_a_page_from_elsewhere_can_neither_ask_nor_stop_an_answer(ada: Visitor) -> None:
    elsewhere = {"Origin": "https://elsewhere.example"}
    body = {"parameters": {"slug": "mint-garden", "question": QUESTION}}
    assert ada.client.post("/ask/submit", json=body, headers=elsewhere).get_json()["code"] == "cross-origin"
    job = begin(ada).get_json()
    refused = ada.client.post(job["poll_url"] + "/cancel", headers=elsewhere)
    assert refused.get_json()["code"] == "cross-origin"
    assert ada.client.post("/products/mint-garden/question", data={"question": QUESTION}).status_code == 400
    assert events(ada, job)[-1]["kind"] == "run_completed"


@pytest.mark.parametrize(("slug", "question", "kind"), [("mint-garden", "", 422), ("no-such-thing", "What?", 202)])
def test_what_cannot_be_asked_is_said(ada: Visitor, slug: str, question: str, kind: int) -> None:
    answer = begin(ada, slug, question)
    assert answer.status_code == kind
    if kind == 202:
        assert events(ada, answer.get_json())[-1]["data"]["error"] == "there is no product 'no-such-thing'"


def test_nobody_may_have_more_streams_than_a_few(ada: Visitor) -> None:
    done = Event()

    def wait(question: str, facts: object, context: StepContext) -> str:
        done.wait(60)
        return "At last."

    with advice.override(answer=wait):
        job = begin(ada).get_json()
        open_ones = [ada.client.get(job["stream_url"], buffered=False) for _ in range(5)]
        assert [answer.status_code for answer in open_ones] == [200] * 4 + [429]
        assert open_ones[-1].get_json()["code"] == "too-many-streams"
        done.set()
        assert all('"answer":"At last."' in answer.text for answer in open_ones[:4])


def test_a_page_without_scripts_has_its_answer(visitor: Visitor, ada: Visitor) -> None:
    assert visitor.post("/products/mint-garden/question", question=QUESTION).status_code == 302
    assert "Sign in to ask the shopkeeper" in visitor.page("/products/mint-garden")
    answer = ada.post("/products/mint-garden/question", question=QUESTION)
    assert "In the evening I drink mint" in answer.text
    assert ada.post("/products/nothing/question", question=QUESTION).status_code == 404
    assert "note error" in ada.post("/products/mint-garden/question", question="").text


def test_questions_take_no_place_of_the_checkout(ada: Visitor) -> None:
    with advice.override(answer=lambda question, facts, context: 1 / 0):
        assert "Thank you!" in ada.page(ada.order())
