"""Events and errors as the JSON that records keep: whatever steps say, it can be written, and gives nothing away."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipemount.errors import NotFoundError, PipelineError
from pipemount.jobs.encoding import SHUTDOWN, cancelled, cancelled_members, encode, ending, error_members, missed
from pipemount.runtime.events import Event


class Secret:
    def __repr__(self) -> str:
        return "password=1234"


class Broken:
    """What raises whoever looks at it."""

    def __getattr__(self, name: str) -> Any:
        raise ZeroDivisionError(name)

    def __repr__(self) -> str:
        raise ZeroDivisionError


CYCLE: list[Any] = []
CYCLE.append(CYCLE)


def data_of(**data: Any) -> Any:
    event = encode(Event("data", 3, "r", 1.5, "fetch", 2, data))
    assert b"\n" not in event.body and b"\r" not in event.body, "one line"
    body = json.loads(event.body)
    assert (body["kind"], body["sequence"], body["step"], body["attempt"]) == ("data", 3, "fetch", 2)
    return body["data"]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ({"a": [1, None, True]}, {"a": [1, None, True]}),
        (float("nan"), None),
        (float("-inf"), None),
        (b"\xff\x00", "_wA="),
        (Secret(), "Secret"),
        ({"deep": Secret()}, {"deep": "Secret"}),
        (CYCLE, "list"),
        ("a\r\n\nevent: run_completed", "a\r\n\nevent: run_completed"),
        ("\ud800 alone", "? alone"),
        ("\u2028\x00\x85", "\u2028\x00\x85"),
    ],
)
def test_whatever_a_step_says_can_be_written(value: Any, written: Any) -> None:
    assert data_of(value=value, other=1) == {"value": written, "other": 1}


def test_what_raises_when_it_is_looked_at_is_its_type() -> None:
    assert data_of(value={"deep": Broken()}, other="kept")["other"] == "kept"
    assert "ZeroDivisionError" not in str(data_of(value=Broken()))


def test_the_last_event_has_the_very_bytes_of_the_outputs() -> None:
    event = ending(Event("run_completed", 9, "r", 1.0, data={"duration": 0.5, "outputs": object()}), b'{"x":1.50}')
    assert event.body.endswith(b'"data":{"duration":0.5,"outputs":{"x":1.50}}}')
    assert ending(Event("run_completed", 9, "r", 1.0), b"{}").body.endswith(b'"data":{"outputs":{}}}')


def test_an_end_without_a_run() -> None:
    event = cancelled("j", 4, "enough")
    assert (event.sequence, event.kind) == (4, "run_cancelled")
    assert json.loads(event.body)["data"] == {"error": "enough", "reason": "enough", "code": "job-cancelled"}


def test_one_event_stands_for_all_that_are_gone() -> None:
    before = encode(Event("delta", 20, "r", 7.0))
    told = missed(5, before)
    assert (told.sequence, json.loads(told.body)["data"]) == (19, {"first": 5, "last": 19})
    assert json.loads(missed(3, told).body)["data"] == {"first": 3, "last": 19}


def test_of_errors_that_nobody_expected_only_that_there_was_one() -> None:
    assert "1234" not in json.dumps(error_members(ValueError("password=1234")))
    assert error_members(ValueError())["status"] == 500
    assert error_members(PipelineError("no stock", status=409, code="no-stock"))["code"] == "no-stock"
    assert error_members(NotFoundError("no"))["status"] == 404


def test_who_waits_for_what_the_shutdown_cancelled_may_come_back() -> None:
    assert cancelled_members("j", SHUTDOWN)["status"] == 503
    assert (cancelled_members("j", "enough")["status"], cancelled_members("j", "enough")["run_id"]) == (409, "j")
