"""What becomes of an error: a problem document for whoever asked, and a line in the log."""

from __future__ import annotations

import logging

from ..errors import PipemountError, RunCancelledError, RunError, UnauthenticatedError
from ..types import Receive, Scope, Send
from .describe import link
from .exchange import Exchange
from .origin import from_script
from .paths import locate
from .problems import problem

__all__ = ["confess", "explain", "refuse_websocket"]

logger = logging.getLogger("pipemount")


async def explain(exchange: Exchange, error: PipemountError) -> None:
    """Answer with a problem document, unless there is nobody left to read it."""
    if isinstance(error, RunCancelledError) or exchange.started:
        logger.info("%s: %s", error.code, error)
        return
    if isinstance(error, RunError) and error.status >= 500:
        logger.error("run %s failed: %s", error.run_id, error, exc_info=error)
    elif isinstance(error, RunError):  # what a step tells its caller; it may quote the caller, so line ends are escaped
        logger.info("run %s was answered %d: %r", error.run_id, error.status, str(error))
    if isinstance(error, UnauthenticatedError) and from_script(exchange.scope):
        error = error.for_script()
    status, headers, body = problem(error, instance=_instance(exchange.scope))
    exchange.override(headers)
    await exchange.respond(status, headers, body)


async def confess(exchange: Exchange, error: Exception) -> None:
    """A fault of our own: logged whole, answered without a word of its inside."""
    if exchange.started:
        raise error
    logger.error("an unexpected error while answering", exc_info=error)
    unknown = PipemountError("an unexpected error; see the log")
    await exchange.respond(*problem(unknown, instance=_instance(exchange.scope)))


async def refuse_websocket(scope: Scope, receive: Receive, send: Send, error: PipemountError, code: int = 1008) -> None:
    """Refuse the handshake, with the reason if the server can send it, else with 403 (ASGI, *Websocket Denial*)."""
    await receive()
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": code})
        return
    status, headers, body = problem(error, instance=_instance(scope))
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})


def _instance(scope: Scope) -> str:
    """The path that was asked for, as a URI reference (RFC 9457, section 3.1.5)."""
    return link(*locate(scope))
