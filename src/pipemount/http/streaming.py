"""``GET …/events``: what happens in a job, as it happens, for any number of readers; and the same for ``mode=stream``."""

from __future__ import annotations

import re
from asyncio import get_running_loop
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from os import getpid
from random import random

from ..errors import InvalidInputsError, NotAcceptableError
from ..jobs.desk import Jobs, Subscription
from ..jobs.models import JobEvent, owner_of
from ..runtime.lifecycle import Lifecycle
from ..settings import Settings
from ..types import Scope
from . import sse
from .at_home import at_home
from .exchange import Exchange
from .headers import accepts_event_stream
from .problems import Headers
from .query import read_query
from .streams import Stream, Streams

__all__ = ["Events", "read_after"]

NUMBER = re.compile(r"[0-9]{1,15}")


class Events:
    """The endpoint that tells the events of a job, from the start or behind the last one that its reader has.

    A reader that comes too late for a number is told 410; one that has the last event of all, 204, at which an
    ``EventSource`` stops coming back. Nothing is buffered for a reader: each has a place in the job's log, at most one
    part is on its way to it, and the server takes the next one when it has read that.
    """

    def __init__(self, jobs: Jobs, lifecycle: Lifecycle, settings: Settings, streams: Streams) -> None:
        self._jobs, self._lifecycle, self._streams = jobs, lifecycle, streams
        self._heartbeat, self._retry = settings.heartbeat, settings.stream_retry
        self._first = sse.retry(self._retry)

    async def __call__(self, exchange: Exchange) -> None:
        """Answer ``exchange``; what is refused is raised before the stream begins."""
        if not accepts_event_stream(exchange.headers.accept):
            raise NotAcceptableError("this route answers text/event-stream; name it in Accept, or send no Accept")
        after = read_after(exchange.scope)
        self._streams.check(owner_of(exchange.principal))
        if not self._lifecycle.ready or self._lifecycle.pid != getpid():
            await self._lifecycle.ensure_ready()
        subscription = await at_home(self._lifecycle, partial(self._subscribe, exchange, after))
        if subscription is None:
            await exchange.respond(204, [(b"cache-control", b"no-store")], b"")
        elif exchange.scope["method"] == "HEAD":
            await exchange.respond(200, head(subscription.job_id), b"")
        else:
            await self.tell(exchange, subscription)

    async def _subscribe(self, exchange: Exchange, after: int) -> Subscription | None:
        job_id, viewer = exchange.params["job_id"], exchange.principal
        job = await self._jobs.get(job_id, viewer)
        if job.ended and after >= job.last_event:
            return None
        return await self._jobs.subscribe(job_id, viewer, after)

    async def tell(self, exchange: Exchange, subscription: Subscription, *more: tuple[bytes, bytes]) -> Stream:
        """The events, until the last one was told or the stream is to end before; how it ended.

        Args:
            exchange: Not begun.
            subscription: Where to begin.
            more: Headers.
        """
        with self._streams.open(owner_of(exchange.principal), exchange.left) as stream:
            await exchange.begin(200, [*head(subscription.job_id), *more], self._first)
            await self._tell(exchange, subscription, stream)
        return stream

    async def _tell(self, exchange: Exchange, subscription: Subscription, stream: Stream) -> None:
        ask: Callable[[float], Awaitable[Sequence[JobEvent]]] = subscription.next
        if get_running_loop() is not self._lifecycle.home:
            ask = partial(_ask_home, self._lifecycle, subscription)
        while not subscription.ended:
            events = await stream.hear(ask, self._heartbeat)
            if events is None:
                await exchange.write(sse.reconnect(stream.ending or "left", self._retry * (1 + random())))  # noqa: S311
                break
            await exchange.write(sse.frames(events) if events else sse.HEARTBEAT)
        await exchange.end()


async def _ask_home(lifecycle: Lifecycle, subscription: Subscription, timeout: float) -> Sequence[JobEvent]:
    return await lifecycle.call(partial(subscription.next, timeout))


def head(job_id: str) -> Headers:
    """The headers of a stream. Proxies are asked not to hold it back, and nobody to keep it."""
    return [
        (b"content-type", sse.MEDIA_TYPE),
        (b"cache-control", b"no-store"),
        (b"x-accel-buffering", b"no"),
        (b"x-run-id", job_id.encode("ascii")),
    ]


def read_after(scope: Scope) -> int:
    """The number of the last event that a reader has: its ``Last-Event-ID``, else ``?after=``, else 0.

    An ``EventSource`` comes back to the same URL: then the header is the younger of the two.

    Raises:
        InvalidInputsError: One of them is no number of an event.
    """
    sent = [value.decode("latin-1").strip() for name, value in scope["headers"] if name.lower() == b"last-event-id"]
    by_query = _number(read_query(scope).get("after", []), "query", "after")
    by_header = _number(sent, "header", "Last-Event-ID")
    return (by_query or 0) if by_header is None else by_header


def _number(sent: Sequence[str], where: str, name: str) -> int | None:
    if len(sent) == 1 and NUMBER.fullmatch(sent[0]):
        return int(sent[0])
    if any(sent):
        fault = {"loc": [where, name], "msg": "Input should be the id of an event, once", "type": "event_id"}
        raise InvalidInputsError(errors=[fault])
    return None
