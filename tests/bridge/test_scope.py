"""The WSGI environment as an ASGI scope: which bytes mean what."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.wsgi import environ

from pipemount.bridge.scope import build_scope, is_websocket


def scope(**more: Any) -> dict[str, Any]:
    return build_scope(environ(**more))


def as_sent(text: str) -> str:
    """Text as PEP 3333 has it: UTF-8, each byte as a character."""
    return text.encode().decode("latin-1")


def test_the_whole_of_a_plain_request() -> None:
    made = environ("post", "/a", b"{}", QUERY_STRING="q=1", CONTENT_TYPE="application/json", REMOTE_PORT="4711")
    assert build_scope(made) == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/a",
        "raw_path": b"/a",
        "query_string": b"q=1",
        "root_path": "",
        "headers": [
            (b"host", b"product.example"),
            (b"content-type", b"application/json"),
            (b"content-length", b"2"),
        ],
        "client": ("192.0.2.1", 4711),
        "server": ("product.example", 80),
        "extensions": {},
        "wsgi_environ": made,
    }


@pytest.mark.parametrize(
    ("script", "info", "root", "path"),
    [
        ("", "", "", "/"),
        ("", "/", "", "/"),
        ("/ai", "", "/ai", "/ai"),
        ("/ai", "/", "/ai", "/ai/"),
        ("/ai/", "/x", "/ai", "/ai/x"),
        ("/", "/x", "", "/x"),
        ("/größe", "/ä b/%2F", "/größe", "/größe/ä b/%2F"),
        ("", "//x", "", "//x"),
    ],
)
def test_the_path_is_that_of_the_mount_and_what_follows(script: str, info: str, root: str, path: str) -> None:
    made = scope(path=as_sent(info), SCRIPT_NAME=as_sent(script))
    assert (made["root_path"], made["path"]) == (root, path)


def test_a_path_that_is_no_utf_8_is_decoded_with_marks_and_kept_in_the_raw_one() -> None:
    made = scope(path="/\xff\xfe")
    assert made["path"] == "/\ufffd\ufffd"
    assert made["raw_path"] == b"/%FF%FE"


@pytest.mark.parametrize("variable", ["REQUEST_URI", "RAW_URI"])
def test_the_raw_path_is_what_the_caller_sent(variable: str) -> None:
    made = scope(path=as_sent("/a b/x/ä"), QUERY_STRING="q=%C3", **{variable: "/a%20b/x%2F%c3%a4?q=%C3"})
    assert made["raw_path"] == b"/a%20b/x%2F%c3%a4"
    assert made["query_string"] == b"q=%C3"


@pytest.mark.parametrize(
    ("uri", "raw"),
    [
        ("http://product.example/a?x", b"/a"),
        ("http://product.example/a", b"/a"),
        ("http://product.example", b"/a"),  # no path at all: that of the environment
        ("*", b"/a"),
        ("/b", b"/a"),  # a host has rewritten the path
        ("/prefix/a", b"/prefix/a"),  # a proxy's prefix, in front
    ],
)
def test_the_raw_path_follows_a_target_that_fits(uri: str, raw: bytes) -> None:
    assert scope(path="/a", REQUEST_URI=uri)["raw_path"] == raw


def test_a_mount_without_rest_is_told_by_the_raw_path_only_if_it_is_the_same() -> None:
    assert scope(path="", SCRIPT_NAME="/ai", RAW_URI="/a%69")["raw_path"] == b"/a%69"
    assert scope(path="", SCRIPT_NAME="/ai", RAW_URI="/elsewhere")["raw_path"] == b"/ai"


@pytest.mark.parametrize(
    ("protocol", "version"),
    [("HTTP/1.0", "1.0"), ("HTTP/1.1", "1.1"), ("HTTP/2.0", "2"), ("HTTP/2", "2"), ("INCLUDED", "1.1")],
)
def test_versions_are_those_of_asgi(protocol: str, version: str) -> None:
    assert scope(SERVER_PROTOCOL=protocol)["http_version"] == version


@pytest.mark.parametrize(
    ("address", "port", "client"),
    [
        ("", "", None),
        (None, None, None),
        ("192.0.2.1", None, ("192.0.2.1", 0)),
        ("::1", "80", ("::1", 80)),
        ("::1", 80, ("::1", 80)),
    ],
)
def test_a_caller_without_address_is_none(address: str | None, port: str | int | None, client: Any) -> None:
    assert scope(REMOTE_ADDR=address, REMOTE_PORT=port)["client"] == client


def test_a_unix_socket_has_no_port() -> None:
    assert scope(SERVER_NAME="/run/product.sock", SERVER_PORT="")["server"] == ("/run/product.sock", None)


def test_header_bytes_are_exact() -> None:
    headers = dict(scope(HTTP_X_NAME=as_sent("Zoë"), HTTP_COOKIE="a=1; b=\xff")["headers"])
    assert headers[b"x-name"] == "Zoë".encode()
    assert headers[b"cookie"] == b"a=1; b=\xff"


def test_what_only_looks_like_a_header_is_left_out() -> None:
    made = scope(
        HTTP_CONTENT_TYPE="text/evil",
        HTTP_CONTENT_LENGTH="9",
        HTTP_PROXY="http://user:secret@proxy.example",
        CONTENT_TYPE="",
        CONTENT_LENGTH="",
    )
    assert made["headers"] == [(b"host", b"product.example")]


def test_chunks_win_over_a_length() -> None:
    headers = scope(method="POST", HTTP_TRANSFER_ENCODING="Chunked", CONTENT_LENGTH="5")["headers"]
    assert (b"transfer-encoding", b"Chunked") in headers
    assert b"content-length" not in dict(headers)


def test_a_handshake_is_recognised() -> None:
    assert is_websocket(environ(HTTP_UPGRADE="WebSocket"))
    assert not is_websocket(environ(HTTP_UPGRADE="h2c"))
    assert not is_websocket(environ())
