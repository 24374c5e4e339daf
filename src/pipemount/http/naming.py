"""The id of a request: the one that came, or one of ours, for the answer and for the log."""

from __future__ import annotations

from contextvars import Token
from uuid import uuid4

from ..runtime.logs import CURRENT_REQUEST
from ..types import Scope
from .headers import RequestHeaders, clean_request_id

__all__ = ["name_request", "named", "unname_request"]

KEY = "pipemount.request_id"


def named(headers: RequestHeaders, scope: Scope) -> RequestHeaders:
    """``headers`` with an id of ours, the same one whoever asks for that of this scope."""
    made: bytes = scope.setdefault(KEY, uuid4().hex.encode("ascii"))
    return {**headers, b"x-request-id": made}


def name_request(sent: bytes) -> Token[str | None] | None:
    """Let the log know the id of the request that is being answered, until ``unname_request``; ``None``: it is none."""
    clean = clean_request_id(sent)
    return CURRENT_REQUEST.set(clean.decode("ascii")) if clean else None


def unname_request(token: Token[str | None]) -> None:
    """The request was answered."""
    CURRENT_REQUEST.reset(token)
