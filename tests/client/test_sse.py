"""The parser of server-sent events: the examples and corners of the WHATWG's section 9.2.6, however they are cut."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipemount.client.sse import MAX_RETRY, Frame, Parser
from pipemount.errors import ForeignAnswerError


def parsed(*chunks: bytes) -> list[Frame]:
    parser = Parser()
    return [frame for chunk in chunks for frame in parser.feed(chunk)]


@pytest.mark.parametrize(
    ("stream", "frames"),
    [
        (b"data: a\n\n", [("message", "a", "")]),
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", [("message", "YHOO\n+2\n10", "")]),
        (b"data\n\ndata\ndata\n\ndata:", [("message", "", ""), ("message", "\n", "")]),
        (b"data:test\n\ndata: test\n\n", [("message", "test", "")] * 2),
        (b"data:  two spaces\n\n", [("message", " two spaces", "")]),
        (
            b": test stream\n\ndata: first\nid: 1\n\ndata:second\nid\n\n",
            [("message", "first", "1"), ("message", "second", "")],
        ),
        (b"event: add\ndata: 1\n\ndata: 2\n\n", [("add", "1", ""), ("message", "2", "")]),
        (b"event: lost\n\ndata: 1\n\n", [("message", "1", "")]),
        (b"id: 7\n\ndata: 1\n\n", [("message", "1", "7")]),
        (b"id: 7\ndata: 1\n\nid: 8\0\ndata: 2\n\n", [("message", "1", "7"), ("message", "2", "7")]),
        (b"data: a\rdata: b\r\rdata: c\r\n\r\n", [("message", "a\nb", ""), ("message", "c", "")]),
        (b"\xef\xbb\xbfdata: a\n\n", [("message", "a", "")]),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", []),
        (b"data: a\n\xef\xbb\xbfdata: b\n\n", [("message", "a", "")]),
        (b"unknown: x\ndatas: y\n data: z\nData: q\n\n", []),
        (b"data: \xff\xfe\n\n", [("message", "��", "")]),
        (b"data: a:b: c\n\n", [("message", "a:b: c", "")]),
        (b"data: unfinished\n", []),
        (b"\n\n\n", []),
        ("data: grüß\u2028dich\n\n".encode(), [("message", "grüß\u2028dich", "")]),
    ],
)
def test_streams(stream: bytes, frames: list[tuple[str, str, str]]) -> None:
    assert parsed(stream) == [Frame(*frame) for frame in frames]
    assert parsed(*(stream[n : n + 1] for n in range(len(stream)))) == [Frame(*frame) for frame in frames]


@pytest.mark.parametrize(
    ("line", "retry"),
    [
        (b"retry: 3000", 3000),
        (b"retry:0", 0),
        (b"retry: -1", None),
        (b"retry: 1.5", None),
        (b"retry: \xd9\xa3", None),
        (b"retry", None),
        (b"retry: " + b"9" * 5000, MAX_RETRY),
    ],
)
def test_when_to_come_back(line: bytes, retry: int | None) -> None:
    parser = Parser()
    assert list(parser.feed(line + b"\n")) == []
    assert parser.retry == retry


def test_an_event_is_there_with_the_carriage_return_that_ends_it() -> None:
    parser = Parser()
    assert [frame.data for frame in parser.feed(b"data: a\r\r")] == ["a"]
    assert list(parser.feed(b"\n")) == []
    assert [frame.data for frame in parser.feed(b"data: b\r\n\r\n")] == ["b"]


def test_nothing_is_nothing() -> None:
    parser = Parser()
    assert [*parser.feed(b"data: a\r"), *parser.feed(b""), *parser.feed(b"\n\n")] == [Frame("message", "a", "")]


ENDS = st.sampled_from(["\n", "\r", "\r\n"])
TEXT = st.text(st.characters(blacklist_characters="\r\n", blacklist_categories=["Cs"]), max_size=8)
FRAME = st.tuples(st.sampled_from(["", "delta", "run_completed"]), st.lists(TEXT, min_size=1, max_size=3), TEXT)


def cut(stream: bytes, places: Iterable[int]) -> list[bytes]:
    marks = sorted({0, len(stream), *(place % (len(stream) + 1) for place in places)})
    return [stream[a:b] for a, b in itertools.pairwise(marks)]


@given(st.lists(st.tuples(FRAME, ENDS), max_size=6), st.lists(st.integers(0, 10_000), max_size=12), st.booleans())
def test_what_was_written_is_read_however_it_is_cut(
    written: list[tuple[tuple[str, list[str], str], str]], places: list[int], bom: bool
) -> None:
    stream, frames, last = ("\ufeff" if bom else ""), [], ""
    for (event, lines, id), end in written:
        last = id if "\0" not in id else last
        fields = [f": {id}", f"id: {id}", *([f"event: {event}"] if event else []), *(f"data: {line}" for line in lines)]
        stream += "".join(field + end for field in fields) + end
        frames.append(Frame(event or "message", "\n".join(lines), last))
    assert parsed(*cut(stream.encode(), places)) == frames


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=12))
@example(b"data\r\n\r\n", [5, 7])
def test_no_bytes_break_it_and_cuts_change_nothing(stream: bytes, places: list[int]) -> None:
    assert parsed(*cut(stream, places)) == parsed(stream)


@given(st.recursive(st.none() | st.text() | st.integers(), st.lists, max_leaves=5))
def test_json_that_our_servers_write_comes_back(value: object) -> None:
    """HARDENING H4: what a step says is one line of JSON, and forges no event."""
    [frame] = parsed(b"id: 1\nevent: delta\ndata: " + json.dumps(value).encode() + b"\n\n")
    assert json.loads(frame.data) == value


@pytest.mark.parametrize("endless", [b"x" * 40, b"data: " + b"y" * 4 + b"\n"], ids=["a line", "an event"])
def test_what_has_no_end_is_not_kept_without_one(endless: bytes) -> None:
    parser = Parser(max_line=1000)
    with pytest.raises(ForeignAnswerError, match="more than 1000 bytes"):
        for _ in range(1000):
            assert list(parser.feed(endless)) == []
