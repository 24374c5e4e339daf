"""What becomes of an error: a problem document for whoever asked, and a line in the log."""

from __future__ import annotations

import logging

from ..errors import PipemountError, RunCancelledError, UnauthenticatedError
from ..types import Scope
from .describe import link
from .exchange import Exchange
from .origin import from_script
from .paths import locate
from .problems import log_failure, problem
from .tokens import hide_token, shows_token

__all__ = ["confess", "explain"]

logger = logging.getLogger("pipemount")


async def explain(exchange: Exchange, error: PipemountError) -> None:
    """Answer with a problem document, unless there is nobody left to read it.

    A token in the query that nobody has looked at, as by a wrong method, is for no log either.
    """
    if shows_token(exchange.scope):
        hide_token(exchange.scope)
    if isinstance(error, RunCancelledError) or exchange.started:
        logger.info("%s: %s", error.code, error)
        return
    log_failure(error)
    if isinstance(error, UnauthenticatedError) and from_script(exchange.scope):
        error = error.for_script()
    await exchange.respond(*problem(error, instance=_instance(exchange.scope)))


async def confess(exchange: Exchange, error: Exception) -> None:
    """A fault of our own: logged whole, answered without a word of its inside."""
    if exchange.started:
        raise error
    logger.error("an unexpected error while answering", exc_info=error)
    unknown = PipemountError("an unexpected error; see the log")
    await exchange.respond(*problem(unknown, instance=_instance(exchange.scope)))


def _instance(scope: Scope) -> str:
    """The path that was asked for, as a URI reference (RFC 9457, section 3.1.5)."""
    return link(*locate(scope))
