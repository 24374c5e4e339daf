"""A stream through drops, restarts and drains: each event once, to the last one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipemount import errors
from pipemount.client.effects import Reply
from pipemount.client.following import SILENCE, STEADY
from pipemount.client.verbs import Terms
from pipemount.errors import PipemountError

from .scripted import DROPPED, STREAM, URL, Script, answer, frame, headers, problem

LAST = frame(4, "run_completed")
GATEWAY = answer("<h1>Bad Gateway</h1>", 502)
RECONNECT = b'retry: 2000\nevent: reconnect\ndata: {"reason":"draining"}\n\n'


def followed(script: Script, after: int = 0, terms: Terms | None = None, **retries: Any) -> list[int]:
    script.run(script.verbs(None, terms, **retries).events("j-1", after))
    return script.sequences()


def test_every_event_from_the_first() -> None:
    script = Script(STREAM, frame(1), b": \n\n", frame(2) + frame(3), LAST)
    assert followed(script) == [1, 2, 3, 4]
    assert headers(script.asked, "last-event-id") == [None]
    assert script.asked[0].wait == SILENCE
    assert script.given[0].data == {}
    assert script.given[0].time == 1.0


def test_from_where_a_reader_was() -> None:
    script = Script(STREAM, frame(3), LAST)
    assert followed(script, after=2) == [3, 4]
    assert headers(script.asked, "last-event-id") == ["2"]


def test_a_drop_is_resumed_behind_the_last_event() -> None:
    script = Script(STREAM, frame(1), frame(2)[:20], DROPPED, STREAM, frame(2), STREAM, frame(3), LAST)
    assert followed(script) == [1, 2, 3, 4]
    assert headers(script.asked, "last-event-id") == [None, "1", "2"]
    assert script.waited == [0.05, 0.05]


def test_what_comes_twice_is_given_once() -> None:
    assert followed(Script(STREAM, frame(1), frame(2), DROPPED, STREAM, frame(1), frame(2), frame(3), LAST)) == [
        1,
        2,
        3,
        4,
    ]


def test_what_was_missed_moves_on_to_the_last_of_it() -> None:
    script = Script(STREAM, frame(1), frame(3, "missed", first=2, last=3), DROPPED, STREAM, LAST)
    assert followed(script) == [1, 3, 4]
    assert headers(script.asked, "last-event-id") == [None, "3"]


def test_a_server_that_drains_is_come_back_to_after_the_time_that_it_says() -> None:
    refused = problem(errors.UnavailableError("draining", code="draining"), retry_after="3")
    script = Script(STREAM, frame(1), RECONNECT + frame(9), refused, DROPPED, STREAM, frame(2), frame(3), LAST)
    assert followed(script) == [1, 2, 3, 4]
    assert script.waited == [1.0, 3.1, 0.2]  # half of 2 s; 3 s and half of 0.2 s; half of 0.4 s


def test_a_gateway_may_be_all_that_answers_while_a_server_restarts() -> None:
    assert followed(Script(GATEWAY, GATEWAY, STREAM, LAST)) == [4]


def test_silence_is_a_drop() -> None:
    assert followed(Script(STREAM, frame(1), errors.NoAnswerError(url="u"), STREAM, LAST)) == [1, 4]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (problem(errors.NotFoundError("no such job")), errors.NotFoundError),
        (problem(errors.UnauthenticatedError("revoked", challenges=())), errors.UnauthenticatedError),
        (answer({"code": "events-pruned", "detail": "gone"}, 410), PipemountError),
        (answer("a page"), errors.ForeignAnswerError),
        (answer({}, 404), errors.ForeignAnswerError),
    ],
)
def test_what_will_not_pass_is_raised_at_once(reply: Any, kind: type[PipemountError]) -> None:
    script = Script(STREAM, frame(1), DROPPED, reply)
    with pytest.raises(kind):
        followed(script)
    assert script.sequences() == [1]


def test_a_job_that_was_there_and_is_gone_is_told_clearly() -> None:
    gone = problem(errors.NotFoundError("no such job"))
    script = Script(STREAM, frame(1), frame(2), DROPPED, DROPPED, gone)
    with pytest.raises(errors.NotFoundError, match=r"does not know the job any more, of which event 2 was the last"):
        followed(script)
    with pytest.raises(errors.NotFoundError, match=r"no such job"):
        followed(Script(gone))
    with pytest.raises(errors.UnauthenticatedError, match=r"revoked"):
        followed(Script(STREAM, DROPPED, problem(errors.UnauthenticatedError("revoked", challenges=()))))


def test_who_has_all_events_of_a_job_is_told_nothing() -> None:
    script = Script(Reply(URL, 204, {}))
    assert followed(script, after=7) == []
    assert headers(script.asked, "last-event-id") == ["7"]


def test_failures_in_a_row_are_counted() -> None:
    script = Script(DROPPED, STREAM, frame(1), DROPPED, DROPPED, DROPPED)
    with pytest.raises(errors.UnreachableError):
        followed(script, attempts=2)
    assert len(script.waited) == 3


def test_a_stream_that_always_ends_early_is_given_up() -> None:
    script = Script(STREAM, STREAM, STREAM)
    with pytest.raises(errors.UnreachableError, match="ended before the run"):
        followed(script, attempts=2)


def test_a_connection_that_lasted_is_no_failure() -> None:
    script = Script(*[STREAM] * 6, LAST, takes=STEADY)
    assert followed(script, attempts=1) == [4]


def test_the_callers_time_ends_it() -> None:
    script = Script(STREAM, frame(1), frame(2), takes=3)
    with pytest.raises(errors.NoAnswerError):
        followed(script, terms=Terms(timeout=2))
    assert script.asked[0].wait == 2


@pytest.mark.parametrize("data", [b"data: {\n\n", b"data: 1\n\n"])
def test_what_is_no_event(data: bytes) -> None:
    with pytest.raises(errors.ForeignAnswerError, match="no JSON object"):
        followed(Script(STREAM, b"event: x\n" + data))


def test_frames_of_a_later_version_are_passed_over() -> None:
    assert followed(Script(STREAM, b"event: later\ndata: {}\n\n", frame(1, "brand_new"), LAST)) == [1, 4]


@given(st.lists(st.integers(0, 3000), max_size=30), st.integers(0, 3))
def test_h4_drops_anywhere_lose_and_double_nothing(cuts: list[int], overlap: int) -> None:
    """A server that is cut after any bytes, and that repeats events on resume, is read as if it had not been."""
    frames = [frame(n, value=n) for n in range(1, 20)] + [frame(20, "run_completed")]
    words: list[Any] = []
    seen = 0
    for cut in cuts:
        rest = b"".join(frames[max(0, seen - overlap) :])[:cut]
        words += [STREAM, *([rest] if rest else []), DROPPED]
        seen = max(
            seen,
            max(0, seen - overlap)
            + sum(
                len(b"".join(frames[max(0, seen - overlap) : n])) <= len(rest)
                for n in range(max(0, seen - overlap) + 1, 21)
            ),
        )
        if seen == 20:
            words.pop()
            break
    if seen < 20:
        words += [STREAM, b"".join(frames[seen:])]
    assert followed(Script(*words), attempts=1000) == list(range(1, 21))
