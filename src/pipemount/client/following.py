"""A job's events over server-sent events, through drops, restarts and drains, each once, to the last one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from ..errors import ForeignAnswerError, NoAnswerError, NotFoundError, PipemountError, UnreachableError
from ..runtime.events import TERMINAL, Event
from .answers import as_json, error_of, is_stream
from .effects import Close, Flow, Give, Open, Read, Request, Wait
from .retrying import Retries, may_repeat
from .sse import Frame, Parser

__all__ = ["SILENCE", "as_event", "follow"]

SILENCE = 60.0
"""Seconds without a byte after which a stream is taken for dead; servers send a heartbeat every 15."""

STEADY = 10.0
"""Seconds that a connection lasted which is no failure, though it gave no event."""

Told: TypeAlias = Callable[[Event], Event]
GATEWAY = (502, 503, 504)


def follow(
    url: str,
    *,
    retries: Retries,
    after: int = 0,
    until: float | None = None,
    told: Told | None = None,
    known: bool = False,
) -> Flow[Event | None]:
    """Give the events behind number ``after``; the one that ends the run is the result, ``None`` if it was known.

    Args:
        url: Of the job's events.
        retries: How often in a row it may fail to get on.
        after: The number of the last event that is known.
        until: When the caller gives up, on the clock of ``retries``.
        told: Makes of an event what is given; without it they are only waited for.
        known: Whether the server has told of the job before.

    Raises:
        PipemountError: What the server says, or that it does not answer.
    """
    following = _Following(url, retries, after, until, known)
    while True:
        began = retries.clock()
        try:
            last = yield from following.read(told)
            if last is not None or following.over:
                return last
            error: PipemountError = UnreachableError(url=url, reason="the stream ended before the run")
        except PipemountError as found:
            error = found
        yield Close()
        yield Wait(following.pause(error, retries.clock() - began))


class _Following:
    """What is known between two connections.

    Attributes:
        over: Whether the job has ended, and all its events are known.
    """

    def __init__(self, url: str, retries: Retries, after: int, until: float | None, known: bool) -> None:
        self._url, self._retries, self._after, self._until, self._known = url, retries, after, until, known
        self.over = False
        self._failures = 0
        self._first: float | None = None  # the longest pause before the next connection, where the server said so

    def read(self, told: Told | None) -> Flow[Event | None]:
        """One connection: the event that ends the run, or ``None`` where it was to be continued."""
        headers = {"accept": "text/event-stream", "cache-control": "no-store"}
        if self._after:
            headers["last-event-id"] = str(self._after)
        reply = yield Open(Request("GET", self._url, headers, None, self._patience()))
        self.over = reply.status == 204
        if self.over:
            return None
        if reply.status != 200 or not is_stream(reply.headers):
            raise self._lost(error_of(reply, self._retries.now()))
        self._known = True
        parser = Parser()
        while chunk := (yield Read()):
            self._patience()
            for event in self._events(parser, chunk):
                if event is None:
                    return None
                if told is not None:
                    yield Give(told(event))
                if event.kind in TERMINAL:
                    return event
        return None

    def _lost(self, error: PipemountError) -> PipemountError:
        """``error``, which says so if it is that the job is gone, which was there."""
        if self._known and isinstance(error, NotFoundError):
            error.args = (
                f"the server does not know the job any more, of which event {self._after} was the last that came: "
                "jobs in memory end with their process, and other processes of the server do not know them",
            )
        return error

    def _events(self, parser: Parser, chunk: bytes) -> Iterator[Event | None]:
        """The events that are new; ``None`` where the server ends the stream and wants us to come again."""
        for frame in parser.feed(chunk):
            if frame.event == "reconnect":
                self._first = None if parser.retry is None else parser.retry / 1000
                yield None
            event = as_event(frame)
            if event is not None and event.sequence > self._after:
                self._after, self._failures = event.sequence, 0
                yield event

    def _patience(self) -> float:
        """Seconds of silence to bear. Raises ``NoAnswerError`` where the caller's time is over."""
        if self._until is None:
            return SILENCE
        left = self._until - self._retries.clock()
        if left <= 0:
            raise NoAnswerError(url=self._url)
        return min(SILENCE, left)

    def pause(self, error: PipemountError, lasted: float) -> float:
        """Seconds until the next connection. Raises ``error`` where there is none."""
        if lasted >= STEADY:
            self._failures = 0
        seconds = self._retries.pause(self._failures, error, self._until, self._first)
        if seconds is None or not _passes(error):
            raise error
        self._failures, self._first = self._failures + 1, None
        return seconds


def _passes(error: PipemountError) -> bool:
    """Whether what broke a stream may pass; while a server restarts, a gateway may be all that answers."""
    gateway = isinstance(error, ForeignAnswerError) and error.status in GATEWAY
    return gateway or isinstance(error, NoAnswerError) or may_repeat(error, repeatable=True, before=True)


def as_event(frame: Frame) -> Event | None:
    """The event in a frame; ``None`` for a frame of another kind. Raises ``ForeignAnswerError`` for what is no JSON."""
    body: Any = as_json(frame.data.encode())
    if not isinstance(body, dict):
        raise ForeignAnswerError(f"the stream has a {frame.event!r} that is no JSON object", status=200)
    sequence, data = body.get("sequence"), body.get("data")
    if not isinstance(sequence, int):
        return None
    return Event(
        kind=body.get("kind", frame.event),
        sequence=sequence,
        run_id=str(body.get("run_id", "")),
        time=float(body.get("time") or 0),
        step=body.get("step"),
        attempt=body.get("attempt"),
        data=data if isinstance(data, dict) else {},
    )
