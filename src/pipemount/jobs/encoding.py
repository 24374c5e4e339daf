"""Events and errors as the JSON in which a job's record keeps them: written once, whoever reads them, and how often."""

from __future__ import annotations

from collections.abc import Mapping
from time import time
from typing import Any

from pydantic_core import from_json, to_json

from ..errors import JobCancelledError, PipemountError, UnavailableError
from ..errors.problems import members_of
from ..runtime.events import Event, EventKind
from .models import JobEvent

__all__ = [
    "SHUTDOWN",
    "cancelled",
    "cancelled_data",
    "cancelled_members",
    "decode",
    "encode",
    "ending",
    "error_members",
    "missed",
]

SHUTDOWN = "the app was shut down before the job ended"
"""The reason of jobs that the app's end cancels. Who waits for such a job may try again elsewhere."""


def encode(event: Event, data: bytes | None = None) -> JobEvent:
    """``event`` as it is kept.

    Args:
        event: Of the run.
        data: JSON, in the place of the event's own.
    """
    head = to_json(
        {
            "kind": event.kind,
            "sequence": event.sequence,
            "run_id": event.run_id,
            "time": event.time,
            "step": event.step,
            "attempt": event.attempt,
        },
        inf_nan_mode="null",
    )
    body = b'%b,"data":%b}' % (head[:-1], _object(event.data) if data is None else data)
    return JobEvent(event.sequence, event.kind, body)


def decode(event: JobEvent) -> Event:
    """The event that was kept, its data as JSON has it."""
    told: Mapping[str, Any] = from_json(event.body)
    return Event(
        told["kind"], event.sequence, told["run_id"], told["time"], told["step"], told["attempt"], told["data"]
    )


def ending(event: Event, outputs: bytes) -> JobEvent:
    """``run_completed`` with the outputs as the run's response has them."""
    others = _object({name: value for name, value in event.data.items() if name != "outputs"})
    return encode(event, b'%b"outputs":%b}' % (others[:-1] + b"," if others != b"{}" else b"{", outputs))


def cancelled(job_id: str, sequence: int, reason: str) -> JobEvent:
    """The event that ends a job which is cancelled without its run saying so."""
    kind: EventKind = "run_cancelled"
    return encode(Event(kind, sequence, job_id, time(), data=cancelled_data(job_id, reason)))


def missed(first: int, before: JobEvent) -> JobEvent:
    """What a reader gets in place of the events from ``first`` on that were pruned.

    Args:
        first: The number that the reader would have got next.
        before: What is there in place of it; a ``missed`` event of the run's own is among what is missed.
    """
    told: Mapping[str, Any] = from_json(before.body)
    last = before.sequence if before.kind == "missed" else before.sequence - 1
    return encode(Event("missed", last, told["run_id"], told["time"], data={"first": first, "last": last}))


def error_members(error: BaseException) -> dict[str, Any]:
    """What a record, and whoever waits for the job, is told of an error; of unknown ones only that there was one."""
    known = error if isinstance(error, PipemountError) else PipemountError("an unexpected error; see the log")
    plain: dict[str, Any] = from_json(_object(members_of(known)))
    return plain


def cancelled_members(job_id: str, reason: str) -> dict[str, Any]:
    """The same of a job that was cancelled."""
    if reason == SHUTDOWN:
        return error_members(UnavailableError(SHUTDOWN, code="draining"))
    error = JobCancelledError(reason=reason)
    error.run_id = job_id
    return error_members(error)


def cancelled_data(job_id: str, reason: str) -> dict[str, str]:
    """The same in the last event: by the code a reader tells who has cancelled it, somebody or the app's end."""
    return {"error": reason, "code": cancelled_members(job_id, reason)["code"], "reason": reason}


def _object(values: Mapping[str, Any]) -> bytes:
    """JSON of what steps and adapters say: it may be anything, and looking at it may run the author's code."""
    try:
        return _json(dict(values))
    except Exception:  # one value cannot be written: the others can
        return b"{%b}" % b",".join(b"%b:%b" % (_text(name), _value(value)) for name, value in values.items())


def _value(value: Any) -> bytes:
    try:
        return _json(value)
    except Exception:  # cycles, broken serialisers, whatever an author's class does
        return _text(value) if isinstance(value, str) else _json(type(value).__name__)


def _json(value: Any) -> bytes:
    return to_json(value, fallback=_type_name, inf_nan_mode="null", bytes_mode="base64")


def _text(text: object) -> bytes:
    """A string, even one with lone surrogates, which UTF-8 does not have."""
    return _json(str(text).encode(errors="replace").decode())


def _type_name(value: Any) -> str:
    return type(value).__name__
