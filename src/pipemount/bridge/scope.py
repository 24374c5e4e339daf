"""The WSGI environment as an ASGI scope.

PEP 3333 hands over bytes as text: each character of a WSGI string stands for one byte ("latin-1"), whatever encoding
the bytes are in. ASGI wants the path as Unicode, decoded from UTF-8, and all else as bytes.
https://peps.python.org/pep-3333/ · https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote_to_bytes
from wsgiref.types import WSGIEnvironment

__all__ = ["build_scope", "is_chunked", "is_websocket"]

ASGI = {"version": "3.0", "spec_version": "2.4"}
"""Since 2.4 an app is told that its caller has left by an ``OSError`` from ``send``."""

VERSIONS = {"HTTP/1.0": "1.0", "HTTP/1.1": "1.1", "HTTP/2": "2", "HTTP/2.0": "2", "HTTP/3": "3", "HTTP/3.0": "3"}

NOT_HEADERS = frozenset({"HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH", "HTTP_PROXY"})
"""The first two are spelled without ``HTTP_``: so written they come from a header with an underscore, and would pass
for the real one. The third is a variable of the process that some servers mix in; no request has such a header."""

PATH_CHARACTERS = "/:@!$&'()*+,;=~"
"""What may stand in a path unquoted, beside letters, digits and ``-._`` (RFC 3986, 3.3)."""


def build_scope(environ: WSGIEnvironment) -> dict[str, Any]:
    """The ``http`` scope of a request.

    ``path`` begins with ``root_path``, which is ``SCRIPT_NAME``. ``raw_path`` is what the caller sent, where the server
    tells (``REQUEST_URI``, ``RAW_URI``) and no host has rewritten the path since; else the path, quoted. The
    environment itself is there as ``wsgi_environ``.
    """
    root = environ.get("SCRIPT_NAME", "").rstrip("/").encode("latin-1")
    info = environ.get("PATH_INFO", "").encode("latin-1")
    path = root + info or b"/"
    return {
        "type": "http",
        "asgi": ASGI,
        "http_version": VERSIONS.get(environ.get("SERVER_PROTOCOL", ""), "1.1"),
        "method": environ["REQUEST_METHOD"].upper(),
        "scheme": environ.get("wsgi.url_scheme", "http"),
        "path": path.decode("utf-8", "replace"),
        "raw_path": _raw_path(environ, path, info),
        "query_string": environ.get("QUERY_STRING", "").encode("latin-1"),
        "root_path": root.decode("utf-8", "replace"),
        "headers": _headers(environ),
        "client": _address(environ.get("REMOTE_ADDR"), environ.get("REMOTE_PORT"), 0),
        "server": _address(environ.get("SERVER_NAME"), environ.get("SERVER_PORT"), None),
        "extensions": {},
        "wsgi_environ": environ,
    }


def is_chunked(environ: WSGIEnvironment) -> bool:
    """Whether the body comes in chunks, its length being unknown (RFC 9112, 7.1)."""
    coding: str = environ.get("HTTP_TRANSFER_ENCODING", "")
    return "chunked" in coding.lower()


def is_websocket(environ: WSGIEnvironment) -> bool:
    """Whether a WebSocket handshake is asked for (RFC 6455, 4.1)."""
    protocol: str = environ.get("HTTP_UPGRADE", "")
    return protocol.lower() == "websocket"


def _headers(environ: WSGIEnvironment) -> list[tuple[bytes, bytes]]:
    """The request's headers, as far as the server has kept them apart."""
    headers = [(name, value.encode("latin-1")) for key, value in environ.items() if (name := _header_name(key))]
    if content_type := environ.get("CONTENT_TYPE"):
        headers.append((b"content-type", content_type.encode("latin-1")))
    if (length := environ.get("CONTENT_LENGTH")) and not is_chunked(environ):
        headers.append((b"content-length", length.encode("latin-1")))
    return headers


@lru_cache(maxsize=512)
def _header_name(key: str) -> bytes:
    """The name of the header that a variable stands for; nothing if it stands for none."""
    if not key.startswith("HTTP_") or key in NOT_HEADERS:
        return b""
    return key[5:].replace("_", "-").lower().encode("latin-1")


def _raw_path(environ: WSGIEnvironment, path: bytes, info: bytes) -> bytes:
    uri: str = environ.get("REQUEST_URI") or environ.get("RAW_URI") or ""
    if uri:
        raw = _path_of(uri).encode("latin-1")
        if raw == path and b"%" not in raw:
            return raw
        told = unquote_to_bytes(raw)
        if told == path or (info and told.endswith(info)):
            return raw
    return quote(path, safe=PATH_CHARACTERS).encode("ascii")


def _path_of(uri: str) -> str:
    """The path of a request target, which may be an absolute URI (RFC 9112, 3.2.2)."""
    target = uri.partition("?")[0]
    if target.startswith("/"):
        return target
    rest = target.partition("://")[2]
    return rest[rest.find("/") :] if "/" in rest else "/"


def _address(host: str | None, port: str | int | None, unknown: int | None) -> tuple[str, int | None] | None:
    """Host and port, which Werkzeug gives as a number; a Unix socket has no port, and its caller no address."""
    if not host:
        return None
    return host, int(port) if port and str(port).isdecimal() else unknown
