"""Events as a browser's ``EventSource`` reads them (WHATWG HTML, section 9.2). Values in, bytes out."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pydantic_core import to_json

from ..jobs.models import JobEvent

__all__ = ["HEARTBEAT", "MEDIA_TYPE", "frame", "frames", "reconnect", "retry"]

MEDIA_TYPE = b"text/event-stream; charset=utf-8"

HEARTBEAT = b": \n\n"
"""A comment, which no reader is told: it keeps proxies from closing what is silent."""

LINE_END = re.compile(rb"\r\n|\r|\n")
"""Where a reader splits lines. No other character ends one, U+2028 neither."""


def frames(events: Iterable[JobEvent]) -> bytes:
    """Events one after the other, as one part of a response."""
    return b"".join(map(frame, events))


def frame(event: JobEvent) -> bytes:
    """An event: its number as the id, its kind as the type, its JSON as the data."""
    body = event.body
    if b"\n" in body or b"\r" in body:  # not one line, as it should be: each line says that it is data
        body = LINE_END.sub(b"\ndata: ", body)
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (event.sequence, event.kind.encode("ascii"), body)


def retry(seconds: float) -> bytes:
    """After how long a reader comes back that lost its stream."""
    return b"retry: %d\n\n" % round(seconds * 1000)


def reconnect(reason: str, seconds: float) -> bytes:
    """The last words of a stream that ends before its job; without an id, so that the reader goes on where it was."""
    return b"event: reconnect\nretry: %d\ndata: %b\n\n" % (round(seconds * 1000), to_json({"reason": reason}))
