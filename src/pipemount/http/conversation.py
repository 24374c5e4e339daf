"""What is said over one WebSocket, from its acceptance to its end.

A connection is one task that hears what the client says, and one more for each job that it is told of; what they send
goes out by turns. While nobody says anything nothing happens: keep-alives are the server's or the client's ``ping``.
It ends when the client leaves, after ``Settings.max_stream_age``, or when the server stops: then it is closed with
1012, behind a ``reconnect`` message.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import Context
from functools import partial
from typing import NamedTuple, TypeVar, assert_never

from starlette.websockets import WebSocketDisconnect

from ..caller import stopped
from ..errors import InvalidInputsError, MalformedRequestError, NotFoundError, PipemountError, UnauthenticatedError
from ..jobs.desk import Jobs, Subscription
from ..jobs.models import Idempotency, JobEvent
from ..runtime import loops
from ..runtime.lifecycle import Lifecycle
from ..settings import Settings
from ..types import Message as ASGIMessage
from ..types import Receive, Send, Trace
from . import messages
from .asking import Ask
from .at_home import at_home
from .handshake import Visitor
from .messages import Cancel, Invoke, Message, Ping, Reference, Resume, Retry, Subscribe, Unsubscribe
from .problems import Headers
from .reading import plain_json
from .streams import Ending
from .watching import Watching

__all__ = ["Conversation", "Offer"]

logger = logging.getLogger("pipemount")

T = TypeVar("T")

POLICY, TOO_BIG, OUR_FAULT, RESTART = 1008, 1009, 1011, 1012
PATIENCE = 1.0
"""Seconds that a client may take to read the last words."""


class Offer(NamedTuple):
    """What there is at a socket.

    Attributes:
        asks: By pipeline, how it is asked for.
        jobs: Where runs are asked for and followed.
        lifecycle: Of the app.
        settings: Of the app.
    """

    asks: Mapping[str, Ask]
    jobs: Jobs
    lifecycle: Lifecycle
    settings: Settings


class Close(NamedTuple):
    """How a connection is closed, and for which reason."""

    code: int
    reason: str


UNAUTHENTICATED = Close(POLICY, "the key or the token has ended")


class _ClosedError(Exception):
    def __init__(self, close: Close) -> None:
        super().__init__(close.reason)
        self.close = close


class Conversation:
    """One connection, from its acceptance on.

    Args:
        offer: What there is here.
        visitor: Who is at the other end.
        receive, send: As in ASGI.
        instance: The socket's path, for problem documents.
        trace: Of the handshake; the runs that are asked for are in it.
    """

    __slots__ = (
        *("_checked", "_close", "_instance", "_left", "_limit", "_offer", "_receive", "_send", "_turn", "_visitor"),
        *("_silent", "_trace", "_watching"),
    )

    def __init__(
        self,
        offer: Offer,
        visitor: Visitor,
        receive: Receive,
        send: Send,
        instance: str,
        trace: Trace | None = None,
    ) -> None:
        self._offer, self._visitor, self._trace = offer, visitor, trace
        self._receive, self._send, self._instance = receive, send, instance
        self._watching = Watching(self, offer.settings.max_subscriptions)
        self._turn = asyncio.Lock()
        self._limit: asyncio.Timeout | None = None
        self._close: Close | None = None
        self._left = self._silent = False
        self._checked = asyncio.get_running_loop().time()

    async def run(self, headers: Headers) -> None:
        """Accept, with these headers, and talk until one side has enough."""
        try:
            await self._put({"type": "websocket.accept", "headers": headers})
            close = await self._talk()
            await self._watching.close()
            await self._say_goodbye(close)
        except asyncio.CancelledError:  # the server ends us
            self._left = True
            raise
        finally:
            self._take_leave()

    def end(self, ending: Ending) -> None:
        """The server stops: the client is told to come back."""
        self._end(Close(RESTART, ending))

    def abandon(self) -> None:
        """It does not wait for its client longer than that anyway."""

    def _end(self, close: Close) -> None:
        """End soon, from anywhere on this loop: a message that is being answered is answered first."""
        self._close = self._close or close
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(asyncio.get_running_loop().time() + (0 if self._silent else PATIENCE))

    # --------------------------------------------------------------------------------------- hearing

    async def _talk(self) -> Close | None:
        """How it is to be closed; ``None`` if the client has done so."""
        try:
            async with asyncio.timeout(self._offer.settings.max_stream_age) as self._limit:
                await self._listen()
            return self._close
        except _ClosedError as error:
            return error.close
        except Exception as error:
            if self._limit is not None and self._limit.expired():
                return self._close or Close(RESTART, "age")
            return _fault(error)
        finally:
            self._limit = None

    async def _listen(self) -> None:
        while self._close is None:
            self._silent = True
            message = await self._receive()
            self._silent = False
            if message["type"] == "websocket.disconnect":
                self._left = True
                return
            await self._take(message.get("text"), message.get("bytes"))

    async def _take(self, text: str | None, binary: bytes | None) -> None:
        if _is_longer(text or binary or b"", self._offer.settings.max_body_bytes):
            raise _ClosedError(Close(TOO_BIG, "the message is over the limit"))
        if text is None:
            await self._tell_error(MalformedRequestError("messages are JSON, sent as text"))
        else:
            await self._hear(text)

    async def _hear(self, text: str) -> None:
        message: Message | None = None
        try:
            message = messages.parse(text)
            await self._answer(message)
        except UnauthenticatedError as error:
            raise _ClosedError(UNAUTHENTICATED) from error
        except PipemountError as error:
            reference = messages.reference_of(text) if message is None else message.id
            await self._tell_error(error, reference, getattr(message, "job_id", None))
        except asyncio.CancelledError as error:  # the home loop has ended, unless we have
            await self._tell_error(stopped(error), message.id if message else None)

    async def _answer(self, message: Message) -> None:
        match message:
            case Invoke():
                await self._invoke(message)
            case Subscribe():
                await self._subscribe(message)
            case Unsubscribe():
                if not self._watching.end(message.job_id):
                    raise NotFoundError("there is no subscription to this job here")
                await self._accept(message.id, message.job_id)
            case Cancel():
                await self._cancel(message)
            case Resume():
                await self._resume(message)
            case Retry():
                await self._retry(message)
            case Ping():
                await self.tell([messages.pong(message.id)])
            case _:
                assert_never(message)

    async def _invoke(self, message: Invoke) -> None:
        self._visitor.check_may("invoke")
        self._watching.check_room()
        request = self._asked(message.pipeline)(message.body, self._visitor.principal, self._trace, None)
        jobs = self._offer.jobs
        submitted = await self._at_home(lambda: jobs.submit(request))
        job_id = submitted.job.id
        reading = await self._reading(job_id, 0)
        await self._accept(message.id, job_id)
        self._watching.start(job_id, reading, own=not message.detached)

    def _asked(self, pipeline: str | None) -> Ask:
        known = ", ".join(self._offer.asks)
        if pipeline is None and len(self._offer.asks) > 1:
            fault = {"loc": ["pipeline"], "msg": f"Say which, of: {known}", "type": "missing"}
            raise InvalidInputsError(errors=[fault])
        ask = next(iter(self._offer.asks.values())) if pipeline is None else self._offer.asks.get(pipeline)
        if ask is None:
            raise NotFoundError(f"no such pipeline is served here; there are: {known}")
        return ask

    async def _subscribe(self, message: Subscribe) -> None:
        self._visitor.check_may("read", message.job_id)
        self._watching.check_room(message.job_id)
        reading = await self._reading(message.job_id, message.after)
        await self._accept(message.id, message.job_id)
        self._watching.start(message.job_id, reading)

    async def _cancel(self, message: Cancel) -> None:
        self._visitor.check_may("cancel", message.job_id)
        jobs = self._offer.jobs
        await self._at_home(partial(jobs.cancel, message.job_id, self._visitor.principal, "a client asked for it"))
        await self._accept(message.id, message.job_id)

    async def _resume(self, message: Resume) -> None:
        self._visitor.check_may("invoke", message.job_id)
        answer, jobs = plain_json(message.body, "the answer"), self._offer.jobs
        await self._at_home(partial(jobs.resume, message.job_id, answer, self._visitor.principal))
        await self._accept(message.id, message.job_id)

    async def _retry(self, message: Retry) -> None:
        """The new job is nobody's who listens: it goes on when he leaves."""
        self._visitor.check_may("invoke", message.job_id)
        self._watching.check_room()
        who, key = self._visitor.principal, message.idempotency_key
        same = None if key is None else Idempotency.of(who, message.job_id, "retry", key=key)
        retry = partial(self._offer.jobs.retry, message.job_id, who, idempotency=same, trace=self._trace)
        submitted = await self._at_home(retry)
        job_id = submitted.job.id
        reading = await self._reading(job_id, 0)
        await self._accept(message.id, job_id, replayed=submitted.reused)
        self._watching.start(job_id, reading)

    async def _reading(self, job_id: str, after: int) -> _Reading:
        jobs = self._offer.jobs
        subscription = await self._at_home(partial(jobs.subscribe, job_id, self._visitor.principal, after))
        return _Reading(subscription, self._offer.lifecycle, self._offer.settings.heartbeat)

    async def _at_home(self, function: Callable[[], Awaitable[T]]) -> T:
        return await at_home(self._offer.lifecycle, function)

    # --------------------------------------------------------------------------------------- telling

    async def tell(self, texts: Sequence[str]) -> None:
        """Send these when it is our turn: a lock serves in the order of asking."""
        async with self._turn:
            for text in texts:
                await self._put({"type": "websocket.send", "text": text})

    async def tell_error(self, error: PipemountError, job_id: str) -> None:
        """Send what went wrong with a job."""
        await self._tell_error(error, None, job_id)

    def check(self) -> None:
        """Now and then, look whether the client may still be told anything."""
        now = asyncio.get_running_loop().time()
        if now - self._checked >= self._offer.settings.heartbeat:
            self._checked = now
            self._visitor.check()

    def fail(self, error: Exception) -> None:
        """End because of what happened while a job was told of."""
        self._end(UNAUTHENTICATED if isinstance(error, UnauthenticatedError) else _fault(error))

    async def _accept(self, reference: Reference, job_id: str, *, replayed: bool = False) -> None:
        await self.tell([messages.accepted(reference, job_id, replayed=replayed)])

    async def _tell_error(self, error: PipemountError, reference: Reference = None, job_id: str | None = None) -> None:
        await self.tell([messages.error_text(error, self._instance, reference, job_id)])

    async def _put(self, message: ASGIMessage) -> None:
        """To a client that has gone nothing is sent (ASGI WebSocket specification, 2.3)."""
        if self._left:
            return
        try:
            await self._send(message)
        except (OSError, WebSocketDisconnect):  # what servers and Starlette raise for a closed connection
            self._left = True

    # --------------------------------------------------------------------------------------- leaving

    async def _say_goodbye(self, close: Close | None) -> None:
        self._close = close
        if close is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                if close.code == RESTART:
                    await self.tell([messages.reconnect(close.reason)])
                await self._put({"type": "websocket.close", "code": close.code, "reason": close.reason})

    def _take_leave(self) -> None:
        """A client that has left, or was sent away, has no use for the runs that it asked for here."""
        own, home = self._watching.own, self._offer.lifecycle.home
        gone = self._left or (self._close is not None and self._close.code in (POLICY, TOO_BIG))
        if self._offer.lifecycle.draining:  # granian closes sockets by itself then
            gone = False
        if own and gone and home is not None and self._offer.settings.stream_disconnect == "cancel":
            loops.spawn(home, partial(self._cancel_all, own), Context())

    async def _cancel_all(self, job_ids: Sequence[str]) -> None:
        for job_id in job_ids:
            with suppress(PipemountError):  # it has ended meanwhile
                await self._offer.jobs.cancel(job_id, self._visitor.principal, "its client has left")


class _Reading:
    """A subscription, read from the socket's loop."""

    __slots__ = ("_lifecycle", "_next", "_subscription")

    def __init__(self, subscription: Subscription, lifecycle: Lifecycle, patience: float) -> None:
        self._subscription, self._lifecycle = subscription, lifecycle
        self._next = partial(subscription.next, patience)

    @property
    def ended(self) -> bool:
        return self._subscription.ended

    async def next(self) -> Sequence[JobEvent]:
        return await at_home(self._lifecycle, self._next)


def _fault(error: Exception) -> Close:
    """A fault of our own: logged whole, told without a word of its inside."""
    logger.error("an unexpected error on a WebSocket", exc_info=error)
    return Close(OUR_FAULT, "an unexpected error; see the log")


def _is_longer(sent: str | bytes, limit: int) -> bool:
    if len(sent) > limit or isinstance(sent, bytes):
        return len(sent) > limit
    return 3 * len(sent) > limit and len(sent.encode(errors="replace")) > limit
