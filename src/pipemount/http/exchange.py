"""One request and its one response."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from ..browsers import SecureHeaders
from ..errors import BodyTooLargeError, MalformedRequestError, RunCancelledError
from ..types import Message, Principal, Receive, Scope, Send
from .headers import RequestHeaders, clean_request_id
from .problems import Headers

__all__ = ["Always", "ClientLeftError", "Exchange"]

logger = logging.getLogger("pipemount")

CAREFUL = frozenset(SecureHeaders.names())

NOTHING: Mapping[str, str] = MappingProxyType({})
TO_COME: Message = MappingProxyType({"more_body": True})  # type: ignore[assignment]  # nobody changes a message


class ClientLeftError(RunCancelledError):
    """The caller closed the connection before its request was complete."""


Lines = tuple[tuple[bytes, bytes], ...]


class Always(NamedTuple):
    """Headers of every answer: of what a browser may show, and of data."""

    pages: Lines
    data: Lines


NONE = Always((), ())


class Exchange:
    """A request as the app sees it, and the way to answer it once.

    Attributes:
        scope: The ASGI scope, as the host handed it over.
        base: The app's own root as the caller sees it; links start with it.
        rest: The path below that.
        headers: Those that the app reads.
        params: What stands where the route has parameters.
        principal: Who asks, once that is known.
        token: The signed token that came instead of a key.
        started: Whether the response has begun.
        gone: Whether the caller was seen to leave: nothing is sent any more.
        message: The first of the request's body, once it was heard; until then it says that more is to come.
        always: Headers of every answer.
        quota: Tells what is left of the caller's quota, where there is one.
    """

    __slots__ = (
        *("always", "base", "gone", "headers", "message", "params", "principal", "quota", "receive", "rest", "scope"),
        *("send", "started", "token"),
    )

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        place: tuple[str, str],
        headers: RequestHeaders,
        always: Always = NONE,
    ) -> None:
        self.scope, self.receive, self.send = scope, receive, send
        self.base, self.rest = place
        self.headers, self.always = headers, always
        self.params, self.message = NOTHING, TO_COME
        self.principal: Principal | None = None
        self.token: str | None = None
        self.started = self.gone = False
        self.quota: Callable[[], Headers] | None = None

    async def respond(self, status: int, headers: Headers, body: bytes, *, data: bool = False) -> None:
        """Send the whole response; the request id that came is echoed. A caller who has left does not hear it.

        With ``data`` it is what a run gave, whose ``headers`` has none of those that every answer has.
        """
        if data and self.quota is None and b"x-request-id" not in self.headers:
            headers += self.always.data
        else:
            self.finish(headers, self.always.data if data else self.always.pages)
        self.started = True
        if self.gone:
            logger.info("the caller left before there was an answer")
            return
        try:
            await self.send({"type": "http.response.start", "status": status, "headers": headers})
            await self.send({"type": "http.response.body", "body": b"" if self.scope["method"] == "HEAD" else body})
        except OSError:  # what servers may raise for a closed connection (ASGI HTTP specification, 2.4)
            self.gone = True
            logger.info("the caller left before the answer was sent")

    def finish(self, headers: Headers, always: Lines) -> None:
        """Add to an answer's ``headers`` what every answer has and this one has not; names are in lower case."""
        names = [name for name, _ in headers]
        if CAREFUL.isdisjoint(names):
            headers.extend(always)
        else:
            headers.extend(line for line in always if line[0] not in names)
        if self.quota is not None and b"ratelimit" not in names:
            headers.extend(self.quota())
        if b"x-request-id" not in names and (echo := clean_request_id(self.headers.get(b"x-request-id"))):
            headers.append((b"x-request-id", echo))

    async def send_finished(self, message: Message) -> None:
        """As ``send``, for what others answer: adds what every answer has and this one has not."""
        if message["type"] == "http.response.start":
            self.started = True
            headers = [(name.lower(), value) for name, value in message.get("headers", ())]
            self.finish(headers, self.always.pages)
            message = {**message, "headers": headers}
        await self.send(message)

    # -------------------------------------------------------------------------------- part by part

    async def begin(self, status: int, headers: Headers, first: bytes) -> None:
        """Begin a response that comes part by part. Servers hold the head back until the ``first`` part.

        Raises:
            ClientLeftError: The server says so; others take what is written, and tell ``left``.
        """
        self.finish(headers, self.always.pages)
        self.started = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self.write(first)

    async def write(self, part: bytes) -> None:
        """Send a part; returns when the server takes more, which is how fast the caller reads. Raises as ``begin``."""
        await self._send({"type": "http.response.body", "body": part, "more_body": True})

    async def end(self) -> None:
        """The response is complete. Raises as ``begin``."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send(self, message: Message) -> None:
        if self.gone:
            raise ClientLeftError("the caller left before the answer was sent")
        try:
            await self.send(message)
        except OSError:  # as in ``respond``
            self.gone = True
            raise ClientLeftError("the caller left before the answer was sent") from None

    # ----------------------------------------------------------------------------------- the caller

    async def hear(self) -> None:
        """Receive the first message of the request's body: ``message``."""
        self.message = await self.receive()

    async def read(self, limit: int, declared: int | None, came: Callable[[int], None] | None = None) -> bytes:
        """The request's body, of which the first message was heard.

        Args:
            limit: Bytes; reading stops as soon as they are exceeded.
            declared: The ``Content-Length``, if there is one.
            came: Told how many bytes have come, whenever some have.

        Raises:
            BodyTooLargeError: More than ``limit`` came.
            MalformedRequestError: It is not as long as announced.
            ClientLeftError: The connection was closed first.
        """
        chunks, size, message = [], 0, self.message
        self.message = TO_COME  # what was read is whose it was read for: an exchange may last as long as a stream
        while True:
            if message["type"] != "http.request":
                self.gone = True
                raise ClientLeftError("the caller left before its request was complete")
            chunk: bytes = message.get("body", b"")
            size += len(chunk)
            if size > limit:
                raise BodyTooLargeError(limit=limit)
            chunks.append(chunk)
            if not message.get("more_body"):
                break
            if came is not None:
                came(size)
            message = await self.receive()
        if declared is not None and size != declared:
            raise MalformedRequestError(f"the body has {size} bytes, its Content-Length says {declared}")
        return b"".join(chunks)

    async def left(self) -> None:
        """Return when the caller closes the connection. To be awaited after the body was read."""
        while (await self.receive())["type"] != "http.disconnect":
            pass
        self.gone = True
