"""Jobs as rows of a table: one column for what is looked for, JSON for what is only carried along."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from pydantic_core import from_json, to_json

from ...types import Principal, Trace
from ..models import Idempotency, Job, JobRequest, Outcome, expiry_of, owner_of

__all__ = [
    "CARRIED",
    "OVERHEAD",
    "Row",
    "job_of",
    "new_job",
    "new_row",
    "outcome_row",
    "read_json",
    "size_of",
    "written",
]

OVERHEAD = 2048
"""What a record takes beside what it holds, in bytes."""

CARRIED = ("inputs", "parameters", "overrides", "result")
"""The columns that hold JSON of any length, as bytes; ``parameters`` is null where it is the same as ``inputs``."""


class Row(Protocol):
    """A row whose columns are got by name, as every driver gives it."""

    def __getitem__(self, name: str, /) -> Any: ...


def new_row(request: JobRequest, created: float) -> dict[str, Any]:
    """The columns of a job that nobody has begun. ``expires`` is set when it has ended; ``due`` is null at once.

    ``begin_by`` is ``Job.expires_at``.
    """
    return {
        "id": request.job_id,
        "pipeline": request.pipeline,
        "queue": request.queue,
        "priority": request.priority,
        "owner": owner_of(request.principal) or "",
        "keyed": request.idempotency is not None,
        "request": _request(request),
        "inputs": request.inputs,
        "parameters": None if request.parameters == request.inputs else request.parameters,
        "overrides": request.overrides,
        "status": "queued",
        "created": created,
        "run_at": request.run_at,
        "due": request.run_at,
        "begin_by": expiry_of(request, created),
        "size": size_of(request),
    }


def new_job(request: JobRequest, created: float) -> Job:
    """The record of a job that has just come, as a row would give it."""
    if request.principal is not None:
        request = replace(request, principal=replace(request.principal, user=None))
    expires_at = expiry_of(request, created)
    return Job(request=request, status="queued", created=created, run_at=request.run_at, expires_at=expires_at)


def size_of(request: JobRequest) -> int:
    """Bytes that a job takes before it has begun, roughly."""
    own = 0 if request.parameters == request.inputs else len(request.parameters)
    return OVERHEAD + len(request.inputs) + own


def outcome_row(outcome: Outcome) -> dict[str, Any]:
    """The columns that say how a job ended, but not when."""
    return {
        "status": outcome.status,
        "result": outcome.result,
        "execution_time": outcome.execution_time,
        "run_index": outcome.run_index,
        "run_name": outcome.run_name,
        "error": None if outcome.error is None else written(outcome.error),
        "reason": outcome.reason,
        "question": None,
        "worker": None,
        "begin_by": None,
    }


def job_of(row: Row) -> Job:
    """The record that a row holds."""
    return Job(
        request=_request_of(row),
        status=row["status"],
        created=row["created"],
        started=row["started"],
        finished=row["finished"],
        attempt=row["attempt"],
        crashes=row["crashes"],
        run_at=row["run_at"],
        expires_at=row["begin_by"],
        run_index=row["run_index"],
        run_name=row["run_name"],
        question=read_json(row["question"]),
        cancel_requested=bool(row["cancel_requested"]),
        reason=row["reason"],
        result=row["result"],
        execution_time=row["execution_time"],
        error=read_json(row["error"]),
        last_event=row["last_event"],
        first_event=row["first_event"],
    )


def _request(request: JobRequest) -> str:
    """What is asked of a job and never looked for. Of the host's user object nothing is kept."""
    principal, trace, same = request.principal, request.trace, request.idempotency
    return written(
        {
            "fingerprint": request.fingerprint,
            "kind": request.kind,
            "run_name": request.run_name,
            "timeout": request.timeout,
            "run_at": request.run_at,
            "max_attempts": request.max_attempts,
            "expires": request.expires,
            "principal": None if principal is None else _principal(principal),
            "trace": None if trace is None else [trace.trace_id, trace.parent_id, trace.flags, trace.state],
            "idempotency": None if same is None else [same.scope, same.key, same.digest],
        }
    )


def _request_of(row: Row) -> JobRequest:
    told: dict[str, Any] = from_json(row["request"])
    principal, trace, same = told.pop("principal"), told.pop("trace"), told.pop("idempotency")
    parameters = row["parameters"]
    return JobRequest(
        job_id=row["id"],
        pipeline=row["pipeline"],
        queue=row["queue"],
        priority=row["priority"],
        inputs=row["inputs"],
        parameters=row["inputs"] if parameters is None else parameters,
        overrides=row["overrides"],
        principal=None if principal is None else _principal_of(principal),
        trace=None if trace is None else Trace(*trace),
        idempotency=None if same is None else Idempotency(*same),
        **told,
    )


def _principal(principal: Principal) -> Mapping[str, Any]:
    plain = replace(principal, user=None)
    return {
        "name": plain.name,
        "permissions": sorted(plain.permissions),
        "source": plain.source,
        "job_id": plain.job_id,
        "sees_all": plain.sees_all,
    }


def _principal_of(told: Mapping[str, Any]) -> Principal:
    return Principal(**{**told, "permissions": frozenset(told["permissions"])})


def written(value: Mapping[str, Any]) -> str:
    """JSON, for a column."""
    return to_json(value, inf_nan_mode="constants").decode()


def read_json(column: str | bytes | None) -> Mapping[str, Any] | None:
    """What ``written`` gave; null is ``None``."""
    found: Mapping[str, Any] | None = None if column is None else from_json(column)
    return found
