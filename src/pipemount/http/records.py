"""What is answered about jobs, for the OpenAPI document. As in ``models``: never instantiated."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ..jobs.models import JobStatus

__all__ = ["DEFAULT_LIMIT", "MAX_LIMIT", "Accepted", "JobList", "JobRecord"]

DEFAULT_LIMIT, MAX_LIMIT = 50, 200
"""Jobs on a page."""


class Links(BaseModel):
    """Where a job is, from the host's root on; null where the app was told to have no such route."""

    poll_url: str | None = Field(description="Its record.")
    stream_url: str | None = Field(description="Its events, as server-sent events.")


class Accepted(Links):
    """A job that was accepted."""

    job_id: str
    run_id: str = Field(description="The same.")
    status: JobStatus = Field(description="At that moment: `queued`.")


class JobError(BaseModel):
    """Why a job has no outputs: the members of a problem document."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(json_schema_extra={"format": "uri"})
    title: str
    status: int = Field(ge=400, le=599, description="As which somebody who waits for the job is answered.")
    detail: str
    code: str


class Question(BaseModel):
    """What a suspended job asks: `POST` the answer to its `resume_url`."""

    key: str
    step: str | None = Field(None, description="Which step asks; none is the body of a dynamic pipeline.")
    reason: str
    schema_: dict[str, Any] | None = Field(None, alias="schema", description="The JSON Schema of the answer.")
    data: Any = Field(None, description="What to look at before one answers.")
    faults: list[dict[str, Any]] | None = Field(None, description="Why the answer before was not taken.")


class JobSummary(Links):
    """A job, without what went in and what came out."""

    job_id: str
    run_id: str
    pipeline: str
    kind: str = Field(description="`run`, or `batch`.")
    status: JobStatus
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    execution_time: float | None = Field(description="Seconds.")
    run_name: str | None
    run_index: int | None
    timeout: float | None = Field(description="Seconds that were asked for.")
    expires_at: datetime | None = Field(description="When it is not begun any more; null once it was claimed.")
    attempt: int = Field(description="How many times it was begun.")
    question: Question | None = Field(description="What it asks, while it is suspended.")
    cancel_requested: bool
    reason: str | None = Field(description="Why it was cancelled.")
    error: JobError | None
    first_event: int = Field(description="From this number on all events are kept.")
    last_event: int
    cancel_url: str | None
    resume_url: str | None


class JobRecord(JobSummary):
    """All that is known of a job."""

    parameters: Any = Field(description="The inputs as validated, defaults included.")
    outputs: Any = Field(description="As in the response of an invocation; null unless the job has succeeded.")


class JobList(BaseModel):
    """Jobs, the youngest first."""

    jobs: list[JobSummary]
    next_cursor: str | None = Field(description="For `cursor`, to get those that come after; null if there are none.")
