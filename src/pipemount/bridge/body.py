"""The request's body, read by the WSGI thread when the app asks for it and not before.

Until then a server that honours ``Expect: 100-continue`` has not asked the client for it (PEP 3333, "HTTP 1.1
Expect/Continue"), and an app that refuses a request by its headers has cost nobody the upload.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any
from wsgiref.types import WSGIEnvironment

from ..errors import LengthRequiredError, MalformedRequestError
from .scope import is_chunked

__all__ = ["PART", "CutShortError", "RequestBody"]

logger = logging.getLogger("pipemount")

PART = 65_536
"""Bytes that are read at a time. PEP 3333 lets a server wait until it has them all."""


class CutShortError(ConnectionError):
    """The client ended the connection within its request, and the app has nothing to answer to that."""


class RequestBody:
    """What is still to be read of a body.

    Args:
        environ: Tells how long it is: ``CONTENT_LENGTH``; or the server ends ``wsgi.input`` where the body ends
            (``wsgi.input_terminated``), or has a function of its own for chunks (uWSGI).

    Attributes:
        more: Whether there is more.
        cut: Whether the connection ended before the body did, or what came on it was no body.

    Raises:
        LengthRequiredError: It comes in chunks, and the server does not put them together.
        MalformedRequestError: The length is no number.
    """

    def __init__(self, environ: WSGIEnvironment) -> None:
        self._read: Callable[[int], bytes] = environ["wsgi.input"].read
        self._left: int | None = 0
        length = environ.get("CONTENT_LENGTH")
        if is_chunked(environ):
            self._left = None
            if not environ.get("wsgi.input_terminated"):
                self._read = _uwsgi_chunks()
        elif length:
            if not (length.isascii() and length.isdigit()):
                raise MalformedRequestError("Content-Length is not a number")
            self._left = int(length)
        elif environ.get("wsgi.input_terminated") and environ.get("SERVER_PROTOCOL", "") > "HTTP/1.1":
            self._left = None  # since HTTP/2 a body needs neither a length nor chunks
        self.more, self.cut = self._left != 0, False

    def read(self) -> bytes | None:
        """The next part, or None: the connection ended before the body did, or broke. Waits for the client."""
        left = self._left
        try:
            part = self._read(PART if left is None else min(left, PART))
        except (
            Exception
        ) as error:  # of whatever kind the server has for a broken connection, or for chunks that are none
            logger.info("a request's body cannot be read: %r", error)
            self.cut = True
            return None
        if left is None:
            self.more = bool(part)
            return part
        if not part:
            self.cut = True
            return None
        self._left = left - len(part)
        self.more = self._left > 0
        return part


def _uwsgi_chunks() -> Callable[[int], bytes]:
    """What reads a body in chunks under uWSGI, which has a module of its own for it."""
    uwsgi: Any = sys.modules.get("uwsgi")
    if uwsgi is None:
        raise LengthRequiredError("this server does not take bodies in chunks; send a Content-Length")
    return lambda _: uwsgi.chunked_read()
