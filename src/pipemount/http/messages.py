"""The messages of a WebSocket: what a client may say, as models, and what it is told, as text.

A client says something by a JSON object with a ``type``; its ``id``, if it has one, comes back with the answer. All
that is no such message is answered by an ``error``, which carries the problem document that HTTP would have answered.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from ..errors import InvalidInputsError, MalformedRequestError, PipemountError
from ..jobs.models import JobEvent
from ..pipelines.schema import describe_errors
from .problems import problem

__all__ = [
    "Cancel",
    "Invoke",
    "Message",
    "Ping",
    "Reference",
    "Resume",
    "Retry",
    "Subscribe",
    "Unsubscribe",
    "accepted",
    "ended",
    "error_text",
    "event_text",
    "parse",
    "pong",
    "reconnect",
    "reference_of",
]

Reference: TypeAlias = Annotated[str, Field(max_length=128)] | int | None
Key: TypeAlias = Annotated[str, Field(min_length=1, max_length=255, pattern="^[ -~]+$")]
JobId: TypeAlias = Annotated[str, Field(min_length=1, max_length=128, description="The job's UUID.")]


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    id: Reference = Field(default=None, description="The client's own reference; comes back with the answer.")


class Invoke(_Message):
    """Run a pipeline, and tell its events. Has the fields of ``POST …/invoke`` beside its own."""

    model_config = ConfigDict(extra="allow")

    type: Literal["invoke"]
    pipeline: str | None = Field(default=None, description="Its name in the app; needed where a socket serves several.")
    detached: bool = Field(default=False, description="Whether the run goes on when the client leaves.")

    @property
    def body(self) -> bytes:
        """What ``POST …/invoke`` would have been sent. Numbers that JSON does not know are left in for it to find."""
        return to_json(self.model_extra, inf_nan_mode="constants")


class Subscribe(_Message):
    """Tell the events of a job, those from before as well."""

    type: Literal["subscribe"]
    job_id: JobId
    after: int = Field(default=0, ge=0, lt=2**63, description="The number of the last event that the client has.")


class Unsubscribe(_Message):
    """Tell no more events of a job."""

    type: Literal["unsubscribe"]
    job_id: JobId


class Cancel(_Message):
    """Cancel a job."""

    type: Literal["cancel"]
    job_id: JobId


class Resume(_Message):
    """Answer what a suspended job asks."""

    type: Literal["resume"]
    job_id: JobId
    answer: Any = Field(description="Any JSON.")

    @property
    def body(self) -> bytes:
        """What ``POST /jobs/{job_id}/resume`` would have been sent."""
        return to_json(self.answer, inf_nan_mode="constants")


class Retry(_Message):
    """Have a new job made of one that failed or was cancelled, and tell its events."""

    type: Literal["retry"]
    job_id: JobId
    idempotency_key: Key | None = Field(default=None, description="Makes messages one that have it, and requests.")


class Ping(_Message):
    """Answer ``pong``."""

    type: Literal["ping"]


Message: TypeAlias = Invoke | Subscribe | Unsubscribe | Cancel | Resume | Retry | Ping

TYPES = ("invoke", "subscribe", "unsubscribe", "cancel", "resume", "retry", "ping")
_adapter: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Field(discriminator="type")])


def parse(text: str) -> Message:
    """What a client says.

    Raises:
        MalformedRequestError: It is not JSON.
        InvalidInputsError: It is none of the messages.
    """
    try:
        return _adapter.validate_json(text)
    except ValidationError as error:
        raise _explained(error) from None


def _explained(error: ValidationError) -> MalformedRequestError | InvalidInputsError:
    faults = describe_errors(error)
    if faults[0]["type"] in ("json_invalid", "string_unicode"):
        return MalformedRequestError(f"the message is not JSON that this app reads: {faults[0]['msg']}")
    if faults[0]["type"].startswith("union_tag"):
        return InvalidInputsError(
            errors=[{"loc": ["type"], "msg": f"Input should be one of {', '.join(TYPES)}", "type": faults[0]["type"]}]
        )
    return InvalidInputsError(errors=[{**fault, "loc": fault["loc"][1:]} for fault in faults])  # the first is the type


def reference_of(text: str) -> Reference:
    """The ``id`` of what may be no message: an answer to it is easier to place with it."""
    try:
        found = from_json(text)
    except (ValueError, TypeError):  # the latter for lone surrogates, which no server lets through
        return None
    reference = found.get("id") if isinstance(found, dict) else None
    if isinstance(reference, str):
        return reference if len(reference) <= 128 else None
    return reference if type(reference) is int else None


# ------------------------------------------------------------------------------------- what is told


def accepted(reference: Reference, job_id: str, *, replayed: bool = False) -> str:
    """What was asked of a job is done, or under way. A job and its run have one id.

    Args:
        reference: The client's own.
        job_id: The job.
        replayed: Whether an earlier message, or request, with the same key did it; else it is not told.
    """
    return _text("accepted", reference, job_id=job_id, run_id=job_id, **({"replayed": True} if replayed else {}))


def pong(reference: Reference) -> str:
    """The answer to a ``ping``."""
    return _text("pong", reference)


def event_text(job_id: str, event: JobEvent) -> str:
    """An event of a job; its number is the event's ``sequence``, as in a server-sent event's id."""
    return f'{{"type":"event","job_id":"{job_id}","event":{event.body.decode()}}}'


def ended(job_id: str) -> str:
    """All events of a job were told."""
    return _text("ended", job_id=job_id)


def reconnect(reason: str) -> str:
    """The socket is about to be closed; another one goes on behind the last event of each job."""
    return _text("reconnect", reason=reason)


def error_text(error: PipemountError, instance: str, reference: Reference = None, job_id: str | None = None) -> str:
    """What went wrong, as the problem document that HTTP would have answered; ``retry_after`` is its header."""
    seconds = error.headers.get("retry-after", "")
    extra = {"retry_after": int(seconds)} if seconds.isdigit() else {}
    document = problem(error, instance=instance, extra=extra)[2].decode()
    about = _text("error", reference, **({"job_id": job_id} if job_id is not None else {}))
    return f'{about[:-1]},"problem":{document}}}'


def _text(kind: str, reference: Reference = None, **members: Any) -> str:
    """Without an ``id`` unless there is one."""
    told = {"type": kind} | ({"id": reference} if reference is not None else {}) | members
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))
