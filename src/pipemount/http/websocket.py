"""``WS /stream``: runs are asked for, followed and cancelled over one connection. Here it is let in."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Protocol

from ..auth.keys import AuthKeys
from ..auth.tokens import Tokens
from ..errors import NotFoundError, PipemountError
from ..jobs.desk import Jobs
from ..jobs.models import owner_of
from ..runtime.home import shutting_down
from ..runtime.lifecycle import Lifecycle
from ..settings import Settings
from ..types import Receive, Scope, Send
from .asking import Ask, asking
from .conversation import Conversation, Offer
from .describe import link
from .handshake import Guards, admit, refuse
from .headers import clean_request_id, parse_traceparent, read_headers
from .invocation import Invocation
from .paths import locate
from .routes import Route
from .streams import Streams

__all__ = ["Sockets"]

logger = logging.getLogger("pipemount")


class App(Protocol):
    """What sockets need of the app."""

    settings: Settings
    auth: AuthKeys | None
    tokens: Tokens
    jobs: Jobs
    lifecycle: Lifecycle
    streams: Streams
    sockets: tuple[Route, ...]


class Sockets:
    """Answers WebSocket handshakes, and talks with those who are let in.

    Args:
        app: Theirs.
        invocations: By the name of the pipeline, how it is asked for.
    """

    def __init__(self, app: App, invocations: Mapping[str, Invocation]) -> None:
        asks = {name: asking(invocation) for name, invocation in invocations.items()}
        self._offers = {
            route.path: Offer(_those(asks, route.pipeline), app.jobs, app.lifecycle, app.settings)
            for route in app.sockets
        }
        self._guards = Guards(app.auth, app.tokens.verify, app.settings.trusted_origins)
        self._lifecycle, self._streams = app.lifecycle, app.streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one scope of the type ``websocket``."""
        if (await receive())["type"] != "websocket.connect":
            return
        base, rest = locate(scope)
        instance = link(base, rest)
        headers = read_headers(scope["headers"])
        trace = parse_traceparent(headers.get(b"traceparent"), headers.get(b"tracestate"))
        try:
            offer = self._offer(base, rest)
            visitor = admit(scope, headers, self._guards)
            owner = owner_of(visitor.principal)
            if self._lifecycle.draining:
                raise shutting_down()
            await self._lifecycle.ensure_ready()
            self._streams.check(owner)  # nothing is awaited before it is held
        except PipemountError as error:
            await refuse(scope, send, error, instance)
            return
        except Exception as error:
            logger.error("an unexpected error at a WebSocket's handshake", exc_info=error)
            await refuse(scope, send, PipemountError("an unexpected error; see the log"), instance)
            return
        conversation = Conversation(offer, visitor, receive, send, instance, trace)
        with self._streams.holding(conversation, owner):
            echo = clean_request_id(headers.get(b"x-request-id"))
            await conversation.run([(b"x-request-id", echo)] if echo else [])

    def _offer(self, base: str, rest: str) -> Offer:
        if (offer := self._offers.get(rest)) is None:
            raise NotFoundError(f"no WebSocket is served at {rest}; {self._elsewhere(base)}")
        return offer

    def _elsewhere(self, base: str) -> str:
        first = next(iter(self._offers), None)
        return "this app has none" if first is None else f"{link(base, first)} is one"


def _those(asks: dict[str, Ask], name: str | None) -> dict[str, Ask]:
    return asks if name is None else {name: asks[name]}
