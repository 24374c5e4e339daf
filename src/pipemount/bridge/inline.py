"""A request that needs no loop, driven by the WSGI thread itself."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextvars import copy_context
from wsgiref.types import StartResponse

from ..runtime.lending import REQUEST_THREAD, InlineThread, drive
from ..types import ASGIApp, Message, Scope
from .body import CutShortError, RequestBody
from .response import Response

__all__ = ["answer_inline"]

logger = logging.getLogger("pipemount")


def answer_inline(app: ASGIApp, scope: Scope, body: RequestBody, start_response: StartResponse) -> Iterable[bytes]:
    """The whole response of an app that was asked (``answers_inline``) and never waits.

    Raises:
        NotInlineError: It has to wait after all; nothing was read or sent.
        BaseException: What the app raised before its response was complete.
        CutShortError: The client left within its request, and the app did not answer.
    """
    call = _InlineCall(scope, body)
    copy_context().run(call.perform, app)
    if not call.response.complete:
        if body.cut:
            raise CutShortError
        raise RuntimeError("the app returned before its response was complete")
    start_response(*call.response.head)
    return call.parts


class _InlineCall:
    """``receive`` and ``send`` that never wait for a loop."""

    def __init__(self, scope: Scope, body: RequestBody) -> None:
        self._scope, self._body = scope, body
        self._begun = False
        self.response = Response(scope["method"])
        self.parts: list[bytes] = []

    def perform(self, app: ASGIApp) -> None:
        REQUEST_THREAD.set(InlineThread())
        try:
            drive(app(self._scope, self._receive, self._send))  # type: ignore[arg-type]  # it is a coroutine
        except Exception:
            if not self.response.complete:
                raise
            logger.exception("the app failed after its response")

    async def _receive(self) -> Message:
        if not self._body.more:
            begun, self._begun = self._begun, True
            if begun:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": b"", "more_body": False}
        self._begun = True
        if (part := self._body.read()) is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": part, "more_body": self._body.more}

    async def _send(self, message: Message) -> None:
        if part := self.response.take(message):
            self.parts.append(part)
