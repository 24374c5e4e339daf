"""``WS /stream``: runs are asked for, followed and cancelled over one connection. Here it is let in."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from ..errors import NotFoundError, PipemountError, UnsupportedError
from ..jobs.desk import Jobs
from ..jobs.models import owner_of
from ..runtime.home import shutting_down
from ..runtime.lifecycle import Lifecycle
from ..settings import Settings
from ..types import Receive, Scope, Send
from .asking import Ask
from .conversation import Conversation, Offer
from .describe import link
from .handshake import Guards, admit, refuse
from .headers import clean_request_id, parse_traceparent, read_headers
from .paths import locate
from .streams import Streams

__all__ = ["Sockets"]

logger = logging.getLogger("pipemount")


class Sockets:
    """Answers WebSocket handshakes, and talks with those who are let in.

    Args:
        paths: Where sockets are, with the names of the pipelines that each serves.
        asks: By pipeline.
        jobs: Where runs are asked for and followed.
        lifecycle: Of the app.
        guards: What visitors have to pass.
        streams: Those that are open, of which a socket is one.
        settings: Of the app.
    """

    def __init__(
        self,
        paths: Mapping[str, Sequence[str]],
        asks: Mapping[str, Ask],
        *,
        jobs: Jobs,
        lifecycle: Lifecycle,
        guards: Guards,
        streams: Streams,
        settings: Settings,
    ) -> None:
        self._offers = {
            path: Offer({name: asks[name] for name in names}, jobs, lifecycle, settings)
            for path, names in paths.items()
        }
        self._guards, self._lifecycle, self._streams = guards, lifecycle, streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one scope of the type ``websocket``."""
        if (await receive())["type"] != "websocket.connect":
            return
        base, rest = locate(scope)
        instance = link(base, rest)
        headers = read_headers(scope["headers"])
        trace = parse_traceparent(headers.traceparent, headers.tracestate)
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
            echo = clean_request_id(headers.request_id)
            await conversation.run([(b"x-request-id", echo)] if echo else [])

    def refuse_request(self, scope: Scope, rest: str) -> None:
        """Raise what a plain request is told where a WebSocket is.

        Raises:
            UnsupportedError: It is a handshake, which the server does not take for one.
            NotFoundError: It is none.
        """
        if rest not in self._offers:
            return
        if any(name == b"upgrade" and value.lower() == b"websocket" for name, value in scope["headers"]):
            raise UnsupportedError(
                "this server does not speak WebSockets (uvicorn does with `pip install websockets`): "
                "POST …/invoke?mode=stream and GET …/jobs/{job_id}/events tell the same events over HTTP"
            )
        raise NotFoundError(f"{rest} is a WebSocket; over HTTP, GET /jobs/{{job_id}}/events has the events of a job")

    def _offer(self, base: str, rest: str) -> Offer:
        if (offer := self._offers.get(rest)) is None:
            raise NotFoundError(f"no WebSocket is served at {rest}, but at {link(base, '/stream')}")
        return offer
