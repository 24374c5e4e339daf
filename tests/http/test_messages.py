"""What a client may say over a WebSocket, and how it is answered."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipemount.errors import InvalidInputsError, MalformedRequestError, OverloadedError, PipemountError
from pipemount.http import messages
from pipemount.http.messages import Cancel, Invoke, Ping, Subscribe, Unsubscribe
from pipemount.jobs.models import JobEvent


def parse(**message: Any) -> messages.Message:
    return messages.parse(json.dumps(message))


def test_each_message_is_a_model() -> None:
    assert parse(type="ping") == Ping(type="ping")
    assert parse(type="ping", id=7) == Ping(type="ping", id=7)
    assert parse(type="subscribe", job_id="a") == Subscribe(type="subscribe", job_id="a", after=0)
    assert parse(type="subscribe", job_id="a", after=3, id="x") == Subscribe(
        type="subscribe", job_id="a", after=3, id="x"
    )
    assert parse(type="unsubscribe", job_id="a") == Unsubscribe(type="unsubscribe", job_id="a")
    assert parse(type="cancel", job_id="a") == Cancel(type="cancel", job_id="a")


def test_an_invocation_has_what_a_request_has() -> None:
    asked = parse(type="invoke", id="1", pipeline="weather", parameters={"city": "Oslo"}, timeout=3)
    assert isinstance(asked, Invoke)
    assert (asked.id, asked.pipeline, asked.detached) == ("1", "weather", False)
    assert json.loads(asked.body) == {"parameters": {"city": "Oslo"}, "timeout": 3}


def test_numbers_that_json_does_not_have_are_left_to_who_refuses_them() -> None:
    asked = messages.parse('{"type":"invoke","parameters":{"a":NaN,"b":1e999,"c":-Infinity}}')
    assert isinstance(asked, Invoke)
    assert asked.body == b'{"parameters":{"a":NaN,"b":Infinity,"c":-Infinity}}'


@pytest.mark.parametrize("text", ["", "{", "null,", '{"type": "ping"', '{"type":"\\ud800"}', "[" * 5000, "\ud800"])
def test_what_is_no_json_is_malformed(text: str) -> None:
    with pytest.raises(MalformedRequestError, match="not JSON"):
        messages.parse(text)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("null", []),
        ("[]", []),
        ('"ping"', []),
        ("{}", ["type"]),
        ('{"type":"dance"}', ["type"]),
        ('{"type":1}', ["type"]),
        ('{"type":"ping","more":1}', ["more"]),
        ('{"type":"ping","id":1.5}', ["id"]),
        ('{"type":"ping","id":true}', ["id"]),
        (json.dumps({"type": "ping", "id": "x" * 129}), ["id"]),
        ('{"type":"subscribe"}', ["job_id"]),
        ('{"type":"subscribe","job_id":""}', ["job_id"]),
        ('{"type":"subscribe","job_id":"a","after":-1}', ["after"]),
        ('{"type":"subscribe","job_id":"a","after":"1"}', ["after"]),
        ('{"type":"subscribe","job_id":"a","after":9223372036854775808}', ["after"]),
        ('{"type":"invoke","detached":"yes"}', ["detached"]),
    ],
)
def test_what_is_no_message_is_told_where(text: str, where: list[str]) -> None:
    with pytest.raises(InvalidInputsError) as caught:
        messages.parse(text)
    assert caught.value.errors[0]["loc"][: len(where)] == where


def test_an_unknown_type_is_not_echoed() -> None:
    with pytest.raises(InvalidInputsError) as caught:
        parse(type="secret")
    assert "secret" not in str(caught.value)
    assert "subscribe" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ('{"id":"a"}', "a"),
        ('{"id":7}', 7),
        ('{"id":true}', None),
        ('{"id":[1]}', None),
        ("{}", None),
        ("[1]", None),
        ("{", None),
        ("\ud800", None),
        (json.dumps({"id": "x" * 129}), None),
    ],
)
def test_the_reference_of_what_may_be_no_message(text: str, reference: messages.Reference) -> None:
    assert messages.reference_of(text) == reference


def test_answers() -> None:
    assert json.loads(messages.accepted("a", "7")) == {"type": "accepted", "id": "a", "job_id": "7", "run_id": "7"}
    assert json.loads(messages.accepted(None, "7")) == {"type": "accepted", "job_id": "7", "run_id": "7"}
    assert json.loads(messages.pong(0)) == {"type": "pong", "id": 0}
    assert json.loads(messages.ended("7")) == {"type": "ended", "job_id": "7"}
    assert json.loads(messages.reconnect("age")) == {"type": "reconnect", "reason": "age"}
    event = JobEvent(3, "data", '{"kind":"data","data":{"text":"æ\\n"}}'.encode())
    assert json.loads(messages.event_text("7", event)) == {
        "type": "event",
        "job_id": "7",
        "event": {"kind": "data", "data": {"text": "æ\n"}},
    }


def test_errors_are_problems() -> None:
    told = json.loads(messages.error_text(PipemountError("no"), "/ai/stream"))
    assert told.keys() == {"type", "problem"}
    assert (told["type"], told["problem"]["detail"], told["problem"]["instance"]) == ("error", "no", "/ai/stream")
    told = json.loads(messages.error_text(OverloadedError(retry_after=3), "/stream", 5, "7"))
    assert (told["id"], told["job_id"]) == (5, "7")
    assert (told["problem"]["status"], told["problem"]["retry_after"]) == (429, 3)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["type", "id", "job_id", "after", "parameters"]) | st.text(), inner, max_size=5
            )
        ),
    )
    | st.fixed_dictionaries(
        {"type": st.sampled_from(messages.TYPES)},
        optional={
            "id": st.integers() | st.text(),
            "job_id": st.text(),
            "after": st.integers(),
            "parameters": st.dictionaries(st.text(), st.text(), max_size=2),
            "pipeline": st.text(),
            "detached": st.booleans(),
        },
    )
)
def test_d10_any_json_is_a_message_or_a_problem(value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False)
    try:
        message = messages.parse(text)
    except (MalformedRequestError, InvalidInputsError) as error:
        json.loads(messages.error_text(error, "/stream", messages.reference_of(text)))
    else:
        assert isinstance(message, Invoke) is hasattr(message, "body")


@given(st.text(st.characters(), max_size=60))
def test_d10_any_text_is_a_message_or_a_problem(text: str) -> None:
    with pytest.raises((MalformedRequestError, InvalidInputsError)):
        messages.parse(text)
    messages.reference_of(text)
