"""Large values of jobs whose files are gone, as after a restore without them: told, and taken for nothing else."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...errors import ValueLostError
from ..models import Job, JobEvent

__all__ = ["check_events", "lost_input", "mark", "whole", "without_lost"]

logger = logging.getLogger("pipemount")

MARK = b"\0lost "
"""What is read in the place of such a value begins so; JSON does not."""

REQUEST = ("inputs", "parameters", "overrides")

WHY = "its file is not there; restore the folder of files that goes with the database"


def mark(file: str) -> bytes:
    """In the place of a value that was in this file."""
    return MARK + file.encode()


def _lost(value: bytes | None) -> ValueLostError | None:
    if value is None or not value.startswith(MARK):
        return None
    return ValueLostError(name=value.removeprefix(MARK).decode(), why=WHY)


def lost_input(job: Job) -> ValueLostError | None:
    """Why a job cannot be begun, if it cannot."""
    for name in REQUEST:
        if (error := _lost(getattr(job.request, name))) is not None:
            return error
    return None


def whole(job: Job, *, strict: bool = True) -> Job:
    """A record with null in the place of what is lost of it. ``strict``: raises ``ValueLostError`` for its result."""
    if strict and (error := _lost(job.result)) is not None:
        raise error
    if _lost(job.result) is not None:
        job = replace(job, result=_null(job.result))
    if lost_input(job) is None:
        return job
    parts: dict[str, Any] = {name: _null(getattr(job.request, name)) for name in REQUEST}
    return replace(job, request=replace(job.request, **parts))


def _null(value: bytes | None) -> bytes | None:
    if (error := _lost(value)) is None:
        return value
    logger.warning("%s", error)
    return b"null"


def without_lost(steps: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """Those whose outputs are there; the others run again."""
    found = {}
    for key, value in steps.items():
        if (error := _lost(value)) is None:
            found[key] = value
        else:
            logger.warning("%s; the step runs again", error)
    return found


def check_events(events: Sequence[JobEvent]) -> Sequence[JobEvent]:
    """``events``. Raises ``ValueLostError`` where one of them is lost: a log has no gaps."""
    for event in events:
        if (error := _lost(event.body)) is not None:
            raise error
    return events
