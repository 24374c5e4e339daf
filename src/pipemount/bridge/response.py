"""The messages of a response, checked and put into WSGI's terms. No I/O: messages in, bytes out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus
from typing import Any, NamedTuple

from ..types import Message

__all__ = ["Head", "Response"]

STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}

WITHOUT_BODY = (204, 304)

PER_CONNECTION = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "trailers"}
    | {"transfer-encoding", "upgrade"}
)
"""Headers that are the server's to set; PEP 3333 forbids them to applications, ASGI has them ignored."""

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
LINE_ENDS = re.compile(rb"[\r\n\0]")


class Head(NamedTuple):
    """What ``start_response`` takes."""

    status: str
    headers: list[tuple[str, str]]


class Response:
    """One response as it comes along.

    Attributes:
        head: Status and headers; empty until they came. They go out with the first part of the body, as ASGI wants it.
        has_body: Whether parts of the body go out: not for HEAD, nor with 204 and 304 (RFC 9110, 6.4.1).
        complete: Whether the app has said all.
    """

    __slots__ = ("_due", "complete", "has_body", "head")

    def __init__(self, method: str) -> None:
        self.head = Head("", [])
        self.has_body = method != "HEAD"
        self.complete = False
        self._due: int | None = None

    def take(self, message: Message) -> bytes | None:
        """The bytes that ``message`` adds to the body; None for the start.

        Raises:
            RuntimeError: The message does not belong here, or the body is not as long as was said.
            TypeError, ValueError: It is not as ASGI has it.
        """
        kind = message["type"]
        if kind == "http.response.body":
            return self._body(message)
        if kind != "http.response.start":
            raise RuntimeError(f"the app sent {kind!r}, which a server is not told in answer to an http scope")
        if self.head.status:
            raise RuntimeError("the app started its response twice")
        self._start(message)
        return None

    def _start(self, message: Message) -> None:
        status = message["status"]
        if not isinstance(status, int) or not 200 <= status <= 999:
            raise ValueError(f"the app sent the status {status!r}; a final one is a number from 200 to 999")
        headers = _headers(message.get("headers", ()))
        if status in WITHOUT_BODY:
            self.has_body = False
        for name, value in headers:
            if name == "content-length" and value.isdecimal():
                self._due = int(value)
                break
        self.head = Head(STATUS_LINES.get(status) or f"{status} Unknown", headers)

    def _body(self, message: Message) -> bytes:
        if not self.head.status or self.complete:
            raise RuntimeError(f"the app sent a body {'after' if self.complete else 'before'} its response")
        part: bytes | bytearray | memoryview = message.get("body", b"")
        if not isinstance(part, bytes):
            part = _as_bytes(part)
        last = not message.get("more_body", False)
        if not self.has_body:
            part = b""
        elif self._due is not None:
            self._due = _still_due(self._due - len(part), last)
        self.complete = last
        return part


def _still_due(due: int, last: bool) -> int:
    if due < 0 or (last and due > 0):
        raise RuntimeError("the response's body is not as long as its Content-Length says")
    return due


def _as_bytes(part: Any) -> bytes:
    if not isinstance(part, bytearray | memoryview):
        raise TypeError(f"the app sent a body of type {type(part).__name__}; a body is bytes")
    return bytes(part)


def _headers(headers: Iterable[Any]) -> list[tuple[str, str]]:
    """The headers as text, in their order and as often as they came."""
    found = []
    for name, value in headers:
        if not isinstance(name, bytes) or not isinstance(value, bytes):
            raise TypeError(f"the app sent the header {name!r}: {value!r}; both are bytes")
        told = _header_name(name)
        if LINE_ENDS.search(value):
            raise ValueError(f"the app sent the header {told!r} with a line end in its value")
        if told not in PER_CONNECTION:
            found.append((told, value.decode("latin-1")))
    return found


@lru_cache(maxsize=512)
def _header_name(name: bytes) -> str:
    if not TOKEN.fullmatch(name):
        raise ValueError(f"the app sent the header {name!r}, which is no name (RFC 9110, 5.1)")
    return name.decode("ascii").lower()
