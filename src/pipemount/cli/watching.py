"""Jobs as a table that follows what becomes of them: live on a terminal, a line per change in a pipe."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NoReturn

import typer
from rich.live import Live

from .printing import console, made_table

if TYPE_CHECKING:
    from ..client import Job

__all__ = ["COLUMNS", "clock", "row", "watch_jobs"]

COLUMNS = ("job", "status", "pipeline", "created", "seconds")

PAUSE = 1.0
"""Seconds between two looks."""


def watch_jobs(
    look: Callable[[], Sequence[Job]], *, as_json: bool = False, pause: Callable[[float], None] = time.sleep
) -> NoReturn:
    """Show what ``look`` finds, again and again, until Ctrl-C.

    Args:
        look: Finds jobs, the youngest first.
        as_json: A line of JSON for each job that is new or has changed.
        pause: Waits between two looks.
    """
    screen = console()
    if as_json or not screen.is_terminal:
        _tell_changes(look, as_json=as_json, pause=pause)
    with Live(console=screen, auto_refresh=False, vertical_overflow="ellipsis") as live:
        while True:
            live.update(made_table(COLUMNS, (row(job) for job in look())), refresh=True)
            pause(PAUSE)


def _tell_changes(look: Callable[[], Sequence[Job]], *, as_json: bool, pause: Callable[[float], None]) -> NoReturn:
    known: dict[str, str] = {}
    while True:
        found = look()
        for job in reversed(found):
            if known.get(job.id) != job.status:
                typer.echo(json.dumps(job.document, ensure_ascii=False) if as_json else "  ".join(row(job)).rstrip())
        known = {job.id: job.status for job in found}
        pause(PAUSE)


def row(job: Job) -> tuple[str, ...]:
    """A job in a table; of one that runs the seconds so far."""
    return job.id, job.status, job.pipeline or "", clock(job.created), _lasted(job)


def clock(time: datetime | None) -> str:
    """A moment, as the clock on the wall has it."""
    return "" if time is None else f"{time.astimezone():%Y-%m-%d %H:%M:%S}"


def _lasted(job: Job) -> str:
    if job.started is None:
        return ""
    if job.finished is None:
        return "" if job.ended else f"{max(0.0, (datetime.now(UTC) - job.started).total_seconds()):.0f} …"
    return f"{(job.finished - job.started).total_seconds():.3f}"
