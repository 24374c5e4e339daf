"""What requests may carry beside their bodies, for the OpenAPI document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from ..jobs.models import JobStatus
from ..types import JsonObject
from .components import SHARED, ref
from .headers import IDEMPOTENCY_KEY, LONGEST_KEY
from .records import DEFAULT_LIMIT, MAX_LIMIT

__all__ = ["AFTER", "BATCH_TIMEOUT", "JOB_ID", "KEY", "LAST_EVENT_ID", "MODE", "OF_JOBS"]

TEXT: JsonObject = {"type": "string"}
MODE: JsonObject = {
    "name": "mode",
    "in": "query",
    "description": "`async` accepts a job; `stream` tells its events, as does `Accept: text/event-stream`.",
    "schema": {"type": "string", "enum": ["sync", "async", "stream"], "default": "sync"},
}
BATCH_TIMEOUT: JsonObject = {
    "name": "timeout",
    "in": "query",
    "description": "Seconds that all of them may take together; by default the app's limit.",
    "schema": ref(SHARED, "Timeout"),
}
KEY: JsonObject = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Of your choice, quoted: the same request with the same key is executed once.",
    "schema": {"type": "string", "pattern": IDEMPOTENCY_KEY, "maxLength": LONGEST_KEY},
}
OF_JOBS: Sequence[JsonObject] = (
    {
        "name": "status",
        "in": "query",
        "description": "Only those that have one of these.",
        "schema": {"type": "array", "items": {"enum": list(get_args(JobStatus))}},
    },
    {"name": "pipeline", "in": "query", "description": "Only those of this one.", "schema": TEXT},
    {
        "name": "limit",
        "in": "query",
        "description": "At most so many.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    },
    {
        "name": "cursor",
        "in": "query",
        "description": "The `next_cursor` of an earlier page.",
        "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"},
    },
)
JOB_ID: JsonObject = {
    "name": "job_id",
    "in": "path",
    "required": True,
    "description": "The job's id.",
    "schema": {"type": "string", "format": "uuid"},
}
NUMBER: JsonObject = {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 10**15 - 1}, {"const": ""}]}
AFTER: JsonObject = {
    "name": "after",
    "in": "query",
    "description": "The id of the last event the reader has; empty: none. A `Last-Event-ID` header stands above it.",
    "schema": NUMBER | {"default": 0},
}
LAST_EVENT_ID: JsonObject = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "The same, as an `EventSource` says it when it comes back.",
    "schema": NUMBER,
}
