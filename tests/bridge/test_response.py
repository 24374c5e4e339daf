"""What an app may send, and how it looks to a WSGI server."""

from __future__ import annotations

from typing import Any

import pytest

from pipemount.bridge.response import Head, Response


def start(status: Any = 200, headers: Any = ()) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": headers}


def body(part: Any = b"", *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": part, "more_body": more}


def taken(*messages: dict[str, Any], method: str = "GET") -> tuple[Response, list[bytes | None]]:
    response = Response(method)
    return response, [response.take(message) for message in messages]


def test_a_response_in_parts() -> None:
    response, parts = taken(start(), body(b"a", more=True), body(b"", more=True), body(b"b"))
    assert parts == [None, b"a", b"", b"b"]
    assert response.head == Head("200 OK", [])
    assert response.complete


def test_a_start_without_headers_and_a_body_without_bytes_are_good() -> None:
    response, parts = taken({"type": "http.response.start", "status": 202}, {"type": "http.response.body"})
    assert (response.head, parts, response.complete) == (Head("202 Accepted", []), [None, b""], True)


@pytest.mark.parametrize(("status", "line"), [(404, "404 Not Found"), (299, "299 Unknown"), (999, "999 Unknown")])
def test_status_lines_have_a_reason(status: int, line: str) -> None:
    assert taken(start(status))[0].head.status == line


def test_headers_keep_their_order_number_and_bytes() -> None:
    sent = [(b"Set-Cookie", b"a=1"), (b"x-name", "Zoë".encode()), (b"set-cookie", b"b=2")]
    head = taken(start(headers=sent))[0].head
    assert head.headers == [("set-cookie", "a=1"), ("x-name", "Zoë".encode().decode("latin-1")), ("set-cookie", "b=2")]


def test_headers_of_the_connection_are_the_servers() -> None:
    sent = [(b"Connection", b"close"), (b"transfer-encoding", b"chunked"), (b"x-kept", b"1"), (b"upgrade", b"h2c")]
    assert taken(start(headers=sent))[0].head.headers == [("x-kept", "1")]


@pytest.mark.parametrize(
    ("headers", "error", "told"),
    [
        ([("x-text", b"1")], TypeError, "both are bytes"),
        ([(b"x-text", "1")], TypeError, "both are bytes"),
        ([(b"x-number", 1)], TypeError, "both are bytes"),
        ([(b"x-split", b"1\r\nset-cookie: a=1")], ValueError, "line end"),
        ([(b"x-nul", b"\0")], ValueError, "line end"),
        ([(b"x split", b"1")], ValueError, "no name"),
        ([(b"", b"1")], ValueError, "no name"),
    ],
)
def test_headers_that_are_none_are_refused(headers: Any, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        taken(start(headers=headers))


@pytest.mark.parametrize("status", ["200", 100, 1000, None])
def test_a_status_is_a_final_number(status: Any) -> None:
    with pytest.raises(ValueError, match="status"):
        taken(start(status))


@pytest.mark.parametrize("part", [bytearray(b"ab"), memoryview(b"ab"), b"ab"])
def test_bodies_may_be_any_bytes(part: Any) -> None:
    assert taken(start(), body(part))[1] == [None, b"ab"]


def test_a_body_of_text_is_refused() -> None:
    with pytest.raises(TypeError, match="str"):
        taken(start(), body("ab"))


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ([body()], "before"),
        ([start(), body(), body()], "after"),
        ([start(), start()], "twice"),
        ([{"type": "http.response.trailers"}], "not told"),
        ([{"type": "websocket.accept"}], "not told"),
    ],
)
def test_messages_have_their_order(messages: list[dict[str, Any]], told: str) -> None:
    with pytest.raises(RuntimeError, match=told):
        taken(*messages)


@pytest.mark.parametrize(
    "parts", [[body(b"12345")], [body(b"1234", more=True), body(b"5", more=True)], [body(b"123")], [body()]]
)
def test_a_body_is_as_long_as_its_length_says(parts: list[dict[str, Any]]) -> None:
    with pytest.raises(RuntimeError, match="Content-Length"):
        taken(start(headers=[(b"content-length", b"4")]), *parts)


def test_a_length_that_holds_is_good() -> None:
    response, _ = taken(start(headers=[(b"content-length", b"4")]), body(b"12", more=True), body(b"34"))
    assert response.complete


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_what_has_no_body_sends_none_whatever_the_app_says(method: str, status: int) -> None:
    response, parts = taken(start(status, [(b"content-length", b"4")]), body(b"ab", more=True), body(), method=method)
    assert parts == [None, b"", b""]
    assert not response.has_body
    assert response.head.headers == [("content-length", "4")]
