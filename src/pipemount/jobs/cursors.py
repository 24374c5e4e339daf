"""Which pages of records can be asked for, and where one ended, as it is told: the number of its last one."""

from __future__ import annotations

from ..errors import InvalidInputsError
from .models import STATUSES, JobQuery

__all__ = ["check_query", "number_of"]

MOST = 2**31
"""More records than anybody asks for."""


def check_query(query: JobQuery) -> None:
    """Raise ``InvalidInputsError`` for what no store can answer: callers in the same process may say anything."""
    limit: object = query.limit
    if not (isinstance(limit, int) and not isinstance(limit, bool) and 0 < limit < MOST):
        raise _fault("limit", "Input should be a number from 1 on")
    if not all(isinstance(status, str) and status in STATUSES for status in query.status):
        raise _fault("status", f"Input should be one or more of {', '.join(STATUSES)}", "enum")
    pipeline: object = query.pipeline
    if pipeline is not None and not (
        isinstance(pipeline, str) and pipeline == pipeline.encode(errors="replace").decode()
    ):
        raise _fault("pipeline", "Input should be the name of a pipeline")
    if query.cursor is not None:
        number_of(query.cursor)


def number_of(cursor: str) -> int:
    """The number that ``cursor`` tells. Raises ``InvalidInputsError``: a caller may send anything."""
    if not (isinstance(cursor, str) and cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise _fault("cursor", "Input should be the cursor of an earlier page")
    return int(cursor)


def _fault(name: str, message: str, kind: str | None = None) -> InvalidInputsError:
    return InvalidInputsError(errors=[{"loc": ["query", name], "msg": message, "type": kind or name}])
