"""The parameters of operations, for the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

from ..jobs.models import JobStatus
from ..types import JsonObject
from .components import SHARED, ref
from .headers import IDEMPOTENCY_KEY, LONGEST_KEY
from .records import DEFAULT_LIMIT, MAX_LIMIT
from .routes import PARAMETER, Route

__all__ = ["parameters_of"]

TEXT: JsonObject = {"type": "string"}
MODE: JsonObject = {
    "name": "mode",
    "in": "query",
    "description": "`async` accepts a job; `stream` tells its events, as does `Accept: text/event-stream`.",
    "schema": {"type": "string", "enum": ["sync", "async"], "default": "sync"},
}

TIMEOUT: JsonObject = {
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
    "description": "The job's UUID.",
    "schema": {"type": "string"},
}
AFTER: JsonObject = {
    "name": "after",
    "in": "query",
    "description": "The id of the last event that the reader has; a `Last-Event-ID` header stands above it.",
    "schema": {"type": "integer", "minimum": 0, "maximum": 10**15 - 1, "default": 0},
}
PARAMETERS: Mapping[str, Sequence[JsonObject]] = {
    "invoke": (MODE, KEY),
    "submit": (KEY,),
    "batch": (TIMEOUT,),
    "jobs": OF_JOBS,
    "events": (AFTER,),
}


def parameters_of(route: Route) -> list[JsonObject]:
    """Those of the path first."""
    return [*([JOB_ID] if PARAMETER in route.path else []), *PARAMETERS.get(route.endpoint, ())]
