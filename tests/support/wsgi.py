"""A WSGI server that a test plays itself: it reads the response bit by bit, and closes it when it wants."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any, NamedTuple, Protocol
from wsgiref.types import WSGIApplication, WSGIEnvironment
from wsgiref.validate import validator

__all__ = ["Exchange", "Input", "Reply", "call", "environ"]


class Input(Protocol):
    """What a server hands over as ``wsgi.input``."""

    def read(self, size: int, /) -> bytes:
        """The next bytes."""


class Reply(NamedTuple):
    """A whole response."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return dict(self.headers).get(name)


def environ(method: str = "GET", path: str = "/", body: bytes | Input = b"", **more: Any) -> WSGIEnvironment:
    """The environment of a request; ``more`` overrides, and ``None`` takes a variable out."""
    made: WSGIEnvironment = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "product.example",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.1",
        "HTTP_HOST": "product.example",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": _Stream(io.BytesIO(body) if isinstance(body, bytes) else body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    if isinstance(body, bytes) and body:
        made["CONTENT_LENGTH"] = str(len(body))
    made.update(more)
    return {key: value for key, value in made.items() if value is not None}


class _Stream:
    """A stream with the methods that PEP 3333 names, of which the bridge needs one."""

    def __init__(self, source: Input) -> None:
        self.read = source.read

    def _refuse(self, *_: Any) -> Any:
        raise AssertionError("the bridge reads bytes, not lines")

    readline = readlines = __iter__ = _refuse


class Exchange:
    """A response under way.

    Attributes:
        started: Status and headers, once ``start_response`` was called.
        parts: An iterator over the body.
    """

    def __init__(self, app: WSGIApplication, environ: WSGIEnvironment, *, validate: bool = True) -> None:
        self.started: tuple[str, list[tuple[str, str]]] | None = None
        answered: Iterable[bytes] = (validator(app) if validate else app)(environ, self._start)
        self._answered = answered
        self.parts: Iterator[bytes] = iter(answered)

    @property
    def status(self) -> int:
        assert self.started is not None
        return int(self.started[0][:3])

    @property
    def headers(self) -> list[tuple[str, str]]:
        assert self.started is not None
        return self.started[1]

    def close(self) -> None:
        """The server is done with the response, whole or not."""
        close = getattr(self._answered, "close", None)
        if close is not None:
            close()

    def _start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        assert self.started is None, "started twice"
        self.started = status, headers
        return lambda _: None


def call(app: WSGIApplication, method: str = "GET", path: str = "/", body: bytes | Input = b"", **more: Any) -> Reply:
    """One whole request."""
    with closing(Exchange(app, environ(method, path, body, **more))) as exchange:
        whole = b"".join(exchange.parts)
        return Reply(exchange.status, exchange.headers, whole)
