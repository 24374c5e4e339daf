"""Questions about a specimen: asked with and without scripts, followed with the tokens that the product gives."""

from __future__ import annotations

import json
import re

import httpx
import pytest
from live import LiveServer

pytestmark = pytest.mark.server

PAGE, ANSWERS = "/specimens/1/ask", "/api/specimens/1/answers"
WATER = {"question": "How much water does it want?"}
BEGINNING = "You ask about MW-0001, Salvia pratensis, in the bed South slope.\n\nThe desk has noted: Flowering"


def begin(client: httpx.Client, key: str, question: dict[str, str] = WATER) -> dict[str, str]:
    """Where the answer can be followed, by what is there."""
    answer = client.post(ANSWERS, json=question, headers={"Idempotency-Key": f'"{key}"'})
    assert answer.status_code == 202, answer.text
    links: dict[str, str] = answer.json()
    return links


def follow(url: str) -> list[tuple[str, dict[str, object]]]:
    """All events at ``url`` by kind, for somebody who has nothing but that link."""
    with httpx.Client(trust_env=False) as anybody:
        told = anybody.get(url).text
    return [(kind, json.loads(data)["data"]) for kind, data in re.findall(r"event: (\w+)\ndata: (.*)", told)]


def test_without_scripts_the_page_waits_for_the_answer(rosa: httpx.Client) -> None:
    answer = rosa.post(PAGE, data=WATER)
    assert answer.status_code == 200
    assert BEGINNING in answer.text
    assert "Put a finger into the soil" in answer.text
    assert WATER["question"] in answer.text


def test_without_scripts_a_refusal_is_on_the_page(rosa: httpx.Client) -> None:
    answer = rosa.post(PAGE, data={"question": "?"})
    assert answer.status_code == 422
    assert re.search(r'role="alert">[^<]*question', answer.text)


def test_the_page_lets_nothing_in_that_is_not_the_products(rosa: httpx.Client) -> None:
    page = rosa.get(PAGE)
    assert page.headers["content-security-policy"] == "default-src 'self'"
    assert re.findall(r"<script(?! src=)|<style| style=| on\w+=", page.text) == []


def test_the_answer_is_followed_word_by_word(rosa: httpx.Client) -> None:
    events = follow(begin(rosa, "by word")["events"])
    words = [str(data["value"]) for kind, data in events if kind == "delta"]
    assert len(words) > 60
    assert events[-1] == ("run_completed", events[-1][1] | {"outputs": {"answer": "".join(words)}})
    assert "".join(words).startswith(BEGINNING)
    assert [data["done"] for kind, data in events if kind == "progress"] == [0, 1, 2, 3, 4]


def test_who_asks_again_under_the_same_key_finds_the_answer(rosa: httpx.Client) -> None:
    first, second, other = (begin(rosa, key) for key in ("again", "again", "once more"))
    assert first["job"] == second["job"] != other["job"]
    assert follow(first["events"]) == follow(second["events"])
    changed = rosa.post(ANSWERS, json={"question": "How much sun?"}, headers={"Idempotency-Key": '"again"'})
    assert (changed.status_code, changed.json()["code"]) == (422, "idempotency-mismatch")


def test_each_link_is_good_for_one_thing(rosa: httpx.Client) -> None:
    links, other = begin(rosa, "one"), begin(rosa, "other")
    token = links["events"].partition("?")[2]
    with httpx.Client(trust_env=False) as anybody:
        assert anybody.get(links["events"].partition("?")[0]).status_code == 401
        assert anybody.get(f"{other['events'].partition('?')[0]}?{token}").status_code == 404
        assert anybody.post(f"{links['cancel'].partition('?')[0]}?{token}").status_code == 403


def test_questions_are_asked_by_staff(visitor: httpx.Client) -> None:
    assert visitor.get(PAGE).status_code == visitor.post(PAGE, data=WATER).status_code == 303
    assert visitor.post(ANSWERS, json=WATER, headers={"Idempotency-Key": '"x"'}).status_code == 401


def test_questions_are_about_specimens(rosa: httpx.Client) -> None:
    assert rosa.get(PAGE.replace("1", "9999")).status_code == 404
    unknown = rosa.post(ANSWERS.replace("1", "9999"), json=WATER, headers={"Idempotency-Key": '"x"'})
    assert (unknown.status_code, unknown.json()["detail"]) == (404, "no specimen has the number 9999")


def test_programs_ask_with_a_key(program: httpx.Client) -> None:
    asked = {"parameters": {"specimen": 1, "question": "Who painted it?"}}
    assert "ask the gardener" in program.post("/ai/advice/invoke", json=asked).json()["outputs"]["answer"]
    unknown = program.post("/ai/advice/invoke", json={"parameters": asked["parameters"] | {"specimen": 9999}})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "no-specimen")


def test_no_token_is_in_the_log(rosa: httpx.Client, meadow: LiveServer) -> None:
    events = begin(rosa, "log")["events"]
    follow(events)
    log = "\n".join(meadow.log)
    assert "/events?token=-" in log
    assert events.partition("token=")[2] not in log
