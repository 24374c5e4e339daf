"""Reads a stream of server-sent events as WHATWG HTML, section 9.2.6, tells a browser to."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

__all__ = ["FORGED", "EventReader", "Told", "read_events"]

FORGED = "x\r\n\r\nevent: run_failed\rid: 1\n\ndata: forged\n\n"
"""Would be an event if somebody wrote it to a stream as it is."""

END = re.compile(r"\r\n|\n|\r(?!\Z)")  # a CR at the end may be half of a CRLF


class Told(NamedTuple):
    """An event as a page is told it."""

    id: str
    type: str
    data: str

    def json(self) -> Any:
        return json.loads(self.data)


@dataclass
class EventReader:
    """Feed it bytes, however they were cut.

    Attributes:
        last_id: What would be sent as ``Last-Event-ID``.
        retry: Milliseconds, as told last.
        comments: Those that came.
    """

    last_id: str = ""
    retry: int | None = None
    comments: list[str] = field(default_factory=list)
    _text: str = ""
    _type: str = ""
    _id: str = ""
    _data: list[str] = field(default_factory=list)
    _decoder: Any = field(default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace"))

    def feed(self, part: bytes) -> Iterator[Told]:
        seen = max(0, len(self._text) - 1)
        self._text += self._decoder.decode(part)
        begin = 0
        for match in END.finditer(self._text, seen):
            line, begin = self._text[begin : match.start()], match.end()
            if told := self._line(line):
                yield told
        self._text = self._text[begin:]

    def _line(self, line: str) -> Told | None:
        if not line:
            return self._dispatch()
        name, _colon, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "":
                self.comments.append(value)
            case "event":
                self._type = value
            case "data":
                self._data.append(value)
            case "id" if "\0" not in value:
                self._id = value
            case "retry" if value.isdecimal():
                self.retry = int(value)
        return None

    def _dispatch(self) -> Told | None:
        self.last_id = self._id
        data, kind, self._data, self._type = self._data, self._type, [], ""
        return Told(self.last_id, kind or "message", "\n".join(data)) if data else None


def read_events(parts: Iterable[bytes]) -> list[Told]:
    """All events of a stream."""
    reader = EventReader()
    return [told for part in parts for told in reader.feed(part)]
