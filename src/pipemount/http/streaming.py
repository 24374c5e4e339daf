"""What happens in a job, as it happens: ``GET …/events`` for any reader, ``mode=stream`` for whoever began it."""

from __future__ import annotations

import re
from asyncio import get_running_loop
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from contextvars import Context
from functools import partial
from os import getpid
from random import random
from typing import TypeAlias

from ..errors import InvalidInputsError, NotAcceptableError, RequestError
from ..jobs.desk import Jobs, Subscription
from ..jobs.models import JobEvent, Submitted, owner_of
from ..runtime.home import shutting_down
from ..runtime.lifecycle import Lifecycle
from ..runtime.loops import spawn
from ..settings import Settings
from ..types import Principal, Scope
from . import sse
from .asking import read_request
from .at_home import at_home
from .exchange import Exchange
from .headers import accepts_event_stream, accepts_json
from .invocation import Invocation
from .job_links import JobLinks
from .problems import Headers
from .query import read_query
from .streams import Stream, Streams

__all__ = ["Events", "read_after"]

NUMBER = re.compile(r"[0-9]{1,15}")


StillMay: TypeAlias = Callable[[Exchange], bool]
"""Whether whoever asks could ask again."""


class Events:
    """The endpoint that tells the events of a job, from the start or behind the last one that its reader has.

    A reader that comes too late for a number is told 410; one that has the last event of all, 204, at which an
    ``EventSource`` stops coming back. Nothing is buffered for a reader: each has a place in the job's log, at most one
    part is on its way to it, and the server takes the next one when it has read that. A stream ends with the key or the
    token that it was asked for with.
    """

    def __init__(
        self,
        jobs: Jobs,
        lifecycle: Lifecycle,
        settings: Settings,
        streams: Streams,
        links: JobLinks,
        still_may: StillMay,
    ) -> None:
        self._jobs, self._lifecycle, self._streams, self._still_may = jobs, lifecycle, streams, still_may
        self._links = links
        self._heartbeat, self._retry = settings.heartbeat, settings.stream_retry
        self._first = sse.retry(self._retry)
        self._continues = settings.stream_disconnect == "continue"

    async def __call__(self, exchange: Exchange) -> None:
        """Answer ``exchange``; what is refused is raised before the stream begins."""
        if not accepts_event_stream(exchange.headers.get(b"accept")):
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

    async def invoke(self, invocation: Invocation, exchange: Exchange) -> None:
        """Begin a job, and tell its events. What is refused is raised before the stream begins.

        ``mode=stream`` asks for a stream by itself: that the caller takes JSON, as every ``curl --json`` says, will do.
        """
        accept = exchange.headers.get(b"accept")
        if not (accepts_event_stream(accept) or accepts_json(accept)):
            raise NotAcceptableError("a stream is text/event-stream; name it in Accept, or send no Accept")
        self._streams.check(owner_of(exchange.principal))
        if not self._lifecycle.ready or self._lifecycle.pid != getpid():
            await self._lifecycle.ensure_ready()
        if self._lifecycle.draining:  # its stream would end at once
            raise shutting_down()
        request = await read_request(invocation, exchange)
        submitted = await at_home(self._lifecycle, partial(self._jobs.submit, request))
        await self._accompany(exchange, submitted)

    async def _accompany(self, exchange: Exchange, submitted: Submitted) -> None:
        """Tell the events of a job. Who leaves before its end, and has no key to ask for it again, cancels it."""
        job_id, viewer = submitted.job.id, exchange.principal
        stream: Stream | None = None
        try:
            subscription = await at_home(self._lifecycle, partial(self._jobs.subscribe, job_id, viewer))
            stream = await self.tell(exchange, subscription, *self._links.location(job_id, exchange.base))
        finally:
            keyed = submitted.job.request.idempotency is not None  # who may ask again wants to find it
            if (stream is None or stream.ending == "left") and not keyed and not self._continues:
                self._let_go(job_id, viewer)

    def _let_go(self, job_id: str, viewer: Principal | None) -> None:
        if (home := self._lifecycle.home) is not None:
            with suppress(RuntimeError):  # it is closed, and the job has ended with it
                spawn(home, partial(self._cancel, job_id, viewer), Context())

    async def _cancel(self, job_id: str, viewer: Principal | None) -> None:
        with suppress(RequestError):  # it has ended, or is forgotten
            await self._jobs.cancel(job_id, viewer, "the caller left")

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
        clock = get_running_loop().time
        check_at = clock() + self._heartbeat
        while not subscription.ended:
            events = await stream.hear(ask, self._heartbeat)
            if events is None and stream.ending == "left":
                return  # nothing more is sent to who has gone
            if clock() >= check_at:
                check_at = clock() + self._heartbeat
                if not self._still_may(exchange):
                    stream.ending = "left"
                    break
            if events is None:
                await exchange.write(self._farewell(stream))
                break
            await exchange.write(sse.frames(events) if events else sse.HEARTBEAT)
        await exchange.end()

    def _farewell(self, stream: Stream) -> bytes:
        """Not all come back at the same moment, who had to go at the same moment."""
        return sse.reconnect(stream.ending or "", self._retry * (1 + random()))  # noqa: S311  no secret


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
