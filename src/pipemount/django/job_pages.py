"""What the admin's pages show of jobs, as values that templates take."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.utils.http import urlencode

from ..jobs.models import STATUSES, Job
from ..runtime.events import Event
from .jobs import lasted, moment, owner

__all__ = ["Choice", "Choices", "Row", "Told", "as_row", "choices", "facts", "told", "values"]

LONGEST = 20_000
"""Characters of inputs, outputs or an event's data that are shown."""


class Row(NamedTuple):
    """A job in the list."""

    id: str
    status: str
    pipeline: str
    created: datetime | None
    seconds: str
    owner: str


class Told(NamedTuple):
    """An event."""

    sequence: int
    time: datetime | None
    kind: str
    step: str
    data: str


class Choice(NamedTuple):
    """One way to filter, and the query that does."""

    name: str
    query: str
    chosen: bool


class Choices(NamedTuple):
    """The ways to filter by one thing."""

    title: str
    choices: Sequence[Choice]


def as_row(job: Job) -> Row:
    """A job in the list."""
    return Row(job.id, job.status, job.request.pipeline, moment(job.created), lasted(job), owner(job))


def facts(job: Job) -> Iterator[tuple[str, Any]]:
    """What is known of a job, by names for people; what is not, is left out."""
    request = job.request
    known = {
        "status": job.status,
        "pipeline": request.pipeline,
        "owner": owner(job),
        "created": moment(job.created),
        "begin after": moment(job.run_at),
        "begin before": moment(job.expires_at),
        "started": moment(job.started),
        "finished": moment(job.finished),
        "seconds": lasted(job),
        "reason": job.reason,
        "run name": job.run_name or request.run_name,
        "queue": request.queue,
        "priority": request.priority,
        "attempt": f"{job.attempt} of {request.max_attempts}",
        "crashes": job.crashes,
        "fingerprint": request.fingerprint,
    }
    return ((name, value) for name, value in known.items() if value not in (None, ""))


def values(job: Job) -> Iterator[tuple[str, str]]:
    """Inputs, and outputs, what it asks or what it failed with, as JSON for people."""
    yield "inputs", _json(job.parameters)
    if job.question is not None:
        yield "question", _json(job.question)
    if job.result is not None:
        yield "outputs", _json(job.outputs)
    if job.error is not None:
        yield "error", _json(job.error)


def told(event: Event) -> Told:
    """An event for people."""
    data = json.dumps(event.data, ensure_ascii=False)[:LONGEST] if event.data else ""
    return Told(event.sequence, moment(event.time), event.kind, event.step or "", data)


def choices(asked: Mapping[str, str], pipelines: Sequence[str], mounts: Sequence[str]) -> Iterator[Choices]:
    """The filters of the list.

    Args:
        asked: What is filtered by now.
        pipelines: Of the app that is looked at.
        mounts: The names of all that is mounted.
    """
    if len(mounts) > 1:
        yield Choices("mount", [_choice(asked, "mount", name, name) for name in mounts])
    for title, names in (("status", STATUSES), ("pipeline", pipelines)):
        yield Choices(title, [_choice(asked, title, "All", ""), *(_choice(asked, title, name, name) for name in names)])


def _choice(asked: Mapping[str, str], title: str, name: str, value: str) -> Choice:
    rest = {} if title == "mount" else {key: one for key, one in asked.items() if key not in (title, "cursor")}
    query = rest | ({title: value} if value else {})
    return Choice(name, "?" + urlencode(query), asked.get(title, "") == value)


def _json(value: Any) -> str:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}\n…"
