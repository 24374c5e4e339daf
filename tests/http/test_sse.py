"""Events on the wire, read as a browser reads them."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import to_json
from tests.support.events import EventReader, Told, read_events

from pipemount.http import sse
from pipemount.jobs.encoding import encode
from pipemount.jobs.models import JobEvent
from pipemount.runtime.events import Event


def test_an_event_is_its_number_its_kind_and_one_line_of_json() -> None:
    event = JobEvent(7, "delta", b'{"kind":"delta"}')

    assert sse.frame(event) == b'id: 7\nevent: delta\ndata: {"kind":"delta"}\n\n'
    assert sse.frames([event, event]) == sse.frame(event) * 2
    assert sse.frames([]) == b""


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_h4_a_body_of_several_lines_forges_no_event(end: bytes) -> None:
    body = end.join([b'{"a":1,', b"event: forged", b"data: x", b"", b"id: 9", b"", b'"b":2}'])

    assert read_events([sse.frame(JobEvent(3, "data", body))]) == [
        Told("3", "data", body.replace(end, b"\n").decode()),
    ]


@settings(deadline=None)
@given(st.text() | st.binary().map(lambda some: some.decode("utf-8", "replace")), st.integers(1, 9))
def test_h4_no_value_of_a_step_changes_what_is_told(text: str, cut: int) -> None:
    value = f"{text}\r\n\r\nevent: run_failed\rid: 1\n\ndata: {text}\0\u2028\u2029\x85"
    sent = sse.frame(encode(Event("delta", 5, "run", 1.0, "say", 1, {"value": value})))
    sent += sse.frame(JobEvent(6, "log", to_json({"value": text})))

    first, second = read_events(sent[at : at + cut] for at in range(0, len(sent), cut))

    assert (first.id, first.type, first.json()["data"]) == ("5", "delta", {"value": value})
    assert (second.id, second.type, second.json()) == ("6", "log", {"value": text})


def test_comments_and_retry_are_no_events() -> None:
    reader = EventReader()

    assert list(reader.feed(sse.retry(2.5) + sse.HEARTBEAT)) == []
    assert reader.retry == 2500
    assert reader.comments == [""]


def test_a_farewell_leaves_the_last_id_as_it_is() -> None:
    reader = EventReader()

    told = list(reader.feed(sse.frame(JobEvent(4, "data", b"{}")) + sse.reconnect("age", 1.25)))

    assert [(each.id, each.type) for each in told] == [("4", "data"), ("4", "reconnect")]
    assert json.loads(told[1].data) == {"reason": "age"}
    assert (reader.last_id, reader.retry) == ("4", 1250)
