"""Server-sent events (WHATWG HTML, section 9.2.6): bytes in, frames out, however the bytes are cut."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from ..errors import ForeignAnswerError

__all__ = ["MAX_LINE", "Frame", "Parser"]

MAX_LINE = 64 * 1024 * 1024
"""Bytes that a line may have, and an event's data: what comes without an end is not kept without one."""

MAX_RETRY = 3_600_000
LINE_END = re.compile(rb"\r\n|\r|\n")
BOM = b"\xef\xbb\xbf"


class Frame(NamedTuple):
    """One event, as it was dispatched.

    Attributes:
        event: Its type; ``"message"`` where none was said.
        data: Its lines, joined.
        id: The last id that was said up to here.
    """

    event: str
    data: str
    id: str


class Parser:
    """The state between two pieces of a stream. What has no blank line behind it when the stream ends is no event.

    Attributes:
        retry: Milliseconds after which to come back, as the stream said last; ``None`` where it did not.
    """

    def __init__(self, *, max_line: int = MAX_LINE) -> None:
        self.retry: int | None = None
        self._max = max_line
        self._parts: list[bytes] = []
        self._length = self._data_length = 0
        self._after_cr = False
        self._first = True
        self._event, self._id = "", ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> Iterator[Frame]:
        """The events that ``chunk`` completes. Raises ``ForeignAnswerError`` for a line that is too long."""
        if not chunk:
            return
        rest = chunk[1:] if self._after_cr and chunk.startswith(b"\n") else chunk
        self._after_cr = chunk.endswith(b"\r")
        *ended, begun = LINE_END.split(rest)
        for piece in ended:
            self._keep(piece)
            line = b"".join(self._parts)
            self._parts, self._length = [], 0
            if (frame := self._take(line)) is not None:
                yield frame
        self._keep(begun)

    def _keep(self, piece: bytes) -> None:
        self._length += len(piece)
        if self._length + self._data_length > self._max:
            raise ForeignAnswerError(f"the stream has an event of more than {self._max} bytes", status=200)
        if piece:
            self._parts.append(piece)

    def _take(self, line: bytes) -> Frame | None:
        """One line, its end taken off."""
        if self._first:
            self._first, line = False, line.removeprefix(BOM)
        if not line:
            return self._dispatched()
        name, colon, value = line.decode("utf-8", "replace").partition(":")
        if name or not colon:
            self._set(name, value.removeprefix(" "))
        return None

    def _set(self, name: str, value: str) -> None:
        if name == "data":
            self._data.append(value)
            self._data_length += len(value) + 1
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry = min(int(value[:12]), MAX_RETRY)

    def _dispatched(self) -> Frame | None:
        event, data = self._event, self._data
        self._event, self._data, self._data_length = "", [], 0
        return Frame(event or "message", "\n".join(data), self._id) if data else None
