"""How much of ``wsgi.input`` is the body."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.wsgi import environ

from pipemount.bridge.body import PART, RequestBody
from pipemount.errors import LengthRequiredError, MalformedRequestError

CHUNKED = {"HTTP_TRANSFER_ENCODING": "chunked"}
ENDED = {"wsgi.input_terminated": True}


class Connection(io.BytesIO):
    """A socket's stream: what comes after the body is the next request, and reading beyond all of it would hang."""

    def __init__(self, sent: bytes) -> None:
        super().__init__(sent)
        self.asked: list[int] = []

    def read(self, size: int | None = None, /) -> bytes:
        assert size is not None
        self.asked.append(size)
        return super().read(size)


def parts(sent: bytes, **more: Any) -> list[bytes | None]:
    body = RequestBody(environ("POST", body=Connection(sent), **more))
    read: list[bytes | None] = []
    while body.more and (not read or read[-1] is not None):
        read.append(body.read())
    return read


def test_without_a_length_there_is_no_body_and_nothing_is_read() -> None:
    assert parts(b"GET /next") == []
    assert parts(b"GET /next", CONTENT_LENGTH="") == []
    assert parts(b"GET /next", CONTENT_LENGTH="0") == []
    assert parts(b"GET /next", **ENDED) == []


def test_a_length_is_kept_to_the_byte() -> None:
    assert parts(b"12345GET /next", CONTENT_LENGTH="5") == [b"12345"]
    assert parts(b"12345GET /next", CONTENT_LENGTH="5", **ENDED) == [b"12345"]


def test_a_long_body_is_read_in_parts() -> None:
    sent = bytes(PART) + b"rest"
    assert parts(sent + b"GET /next", CONTENT_LENGTH=str(len(sent))) == [bytes(PART), b"rest"]


def test_a_body_that_ends_too_early_is_told() -> None:
    assert parts(b"123", CONTENT_LENGTH="5") == [b"123", None]


@pytest.mark.parametrize("length", ["five", "-5", "+5", "5, 5", "\u0665"])
def test_a_length_that_is_no_number_is_refused(length: str) -> None:
    with pytest.raises(MalformedRequestError):
        parts(b"12345", CONTENT_LENGTH=length)


def test_chunks_are_read_to_the_end_that_the_server_puts() -> None:
    assert parts(b"12345", **CHUNKED, **ENDED) == [b"12345", b""]


def test_chunks_that_the_server_leaves_alone_are_refused() -> None:
    with pytest.raises(LengthRequiredError, match="Content-Length"):
        parts(b"5\r\n12345\r\n0\r\n\r\n", **CHUNKED)


def test_chunks_under_uwsgi_are_read_with_its_own_function(monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = iter([b"123", b"45", b""])
    monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(chunked_read=lambda: next(chunks)))
    assert parts(b"", **CHUNKED) == [b"123", b"45", b""]


def test_http_2_needs_no_length() -> None:
    assert parts(b"12345", SERVER_PROTOCOL="HTTP/2", **ENDED) == [b"12345", b""]
