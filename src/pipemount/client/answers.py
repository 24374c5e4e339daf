"""From what came back to what it says: JSON, or the error that it tells of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..errors import ForeignAnswerError, PipemountError
from ..errors.problems import from_problem, is_problem
from ..types import JsonObject
from .effects import Reply
from .retrying import parse_retry_after

__all__ = ["answered", "as_json", "error_of", "is_stream"]


def answered(reply: Reply, now: float) -> JsonObject:
    """The JSON object of an answer; ``{}`` for one without a body. Raises what it tells of."""
    if reply.status == 204:
        return {}
    document = as_json(reply.body)
    if not 200 <= reply.status < 300 or not isinstance(document, dict):
        raise error_of(reply, now)
    return document


def error_of(reply: Reply, now: float) -> PipemountError:
    """The error that an answer tells of, whatever it is.

    Args:
        reply: Any that is no success.
        now: Seconds since the epoch.
    """
    after = parse_retry_after(reply.headers, now)
    document = as_json(reply.body)
    if reply.status >= 400 and is_problem(document):
        return from_problem(document, status=reply.status, retry_after=after)
    if 300 <= reply.status < 400 and (moved := reply.headers.get("location")):
        return ForeignAnswerError(f"{reply.url} has moved to {moved}; name that address", status=reply.status)
    kind = reply.headers.get("content-type", "something without a media type")
    detail = f"{reply.url} answered {kind} with status {reply.status}; is the app mounted there?"
    return ForeignAnswerError(detail, status=reply.status, retry_after=after)


def as_json(body: bytes) -> Any:
    """What ``body`` says, or ``None``."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def is_stream(headers: Mapping[str, str]) -> bool:
    """Whether an answer is a stream of server-sent events."""
    return headers.get("content-type", "").partition(";")[0].strip().lower() == "text/event-stream"
