"""``jobs``, ``job``, ``cancel``, ``logs``: what became of jobs that a server was given."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import AsJson, RemoteKey, Url
from .printing import cell, console, note, print_json, print_outputs, print_table
from .progress import sentence
from .remote import client_of

if TYPE_CHECKING:
    from ..client import Client, Job
    from ..runtime.events import Event

__all__ = ["register"]


class Status(StrEnum):
    """The choices of ``--status``."""

    queued = "queued"
    running = "running"
    cancelling = "cancelling"
    succeeded = "succeeded"
    failed = "failed"
    cancelled = "cancelled"


JobId = Annotated[str, typer.Argument(metavar="ID", help="The job's id, as submit printed it.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command(epilog="Example: pipemount jobs http://127.0.0.1:8000 --status running")(jobs)
    app.command(epilog="Example: pipemount job http://127.0.0.1:8000 ID")(job)
    app.command(epilog="Example: pipemount cancel http://127.0.0.1:8000 ID")(cancel)
    app.command(epilog="Example: pipemount logs -f http://127.0.0.1:8000 ID")(logs)


def jobs(
    context: typer.Context,
    url: Url,
    key: RemoteKey = None,
    status: Annotated[
        list[Status] | None, typer.Option("--status", help="Only jobs that have this one; repeat it.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many, of the youngest.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List the jobs that a server keeps, the youngest first."""
    context.obj["json"] = as_json
    with client_of(url, key, of_jobs=True) as client:
        found = list(islice(client.jobs(*(each.value for each in status or ()), limit=min(limit, PAGE)), limit))
    if as_json:
        print_json([each.document for each in found])
        return
    rows = [(each.id, each.status, each.pipeline or "", _clock(each.created), _lasted(each)) for each in found]
    print_table(("job", "status", "pipeline", "created", "seconds"), rows)


PAGE = 100


def job(context: typer.Context, url: Url, job_id: JobId, key: RemoteKey = None, as_json: AsJson = False) -> None:
    """Tell what is known of a job, with its outputs once it has succeeded."""
    context.obj["json"] = as_json
    with client_of(url, key, of_jobs=True) as client:
        found = client.job(job_id)
    if as_json:
        print_json(found.document)
        return
    document = found.document
    print_table(("job", found.id), [(name, cell(value)) for name, value in document.items() if _is_told(name, value)])
    if document.get("outputs"):
        console().print()
        print_outputs(document["outputs"])
    if isinstance(error := document.get("error"), dict):
        note(str(error.get("detail")), "bold red")


APART = frozenset({"job_id", "run_id", "outputs", "error"})


def _is_told(name: str, value: Any) -> bool:
    return value is not None and name not in APART


def cancel(context: typer.Context, url: Url, job_id: JobId, key: RemoteKey = None, as_json: AsJson = False) -> None:
    """Cancel a job; one whose step cannot be stopped is "cancelling" until the step returns."""
    context.obj["json"] = as_json
    with client_of(url, key, of_jobs=True) as client:
        found = client.cancel(job_id)
    if as_json:
        print_json(found.document)
    else:
        typer.echo(found.status)


def logs(
    context: typer.Context,
    url: Url,
    job_id: JobId,
    key: RemoteKey = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the job ends, also when the server restarts.")
    ] = False,
    after: Annotated[int, typer.Option("--after", min=0, help="Only the events behind this number.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Print a job's events, one a line; with --json each as JSON. Ctrl-C stops the printing, not the job."""
    context.obj["json"] = as_json
    with client_of(url, key, patient=follow, of_jobs=True) as client:
        try:
            for event in _events(client, job_id, after, follow=follow):
                typer.echo(json.dumps(asdict(event), ensure_ascii=False) if as_json else line(event))
        except KeyboardInterrupt:
            note(f"the job goes on; to end it: pipemount cancel {url} {job_id}")
            raise


def _events(client: Client[..., Any], job_id: str, after: int, *, follow: bool) -> Iterator[Event]:
    """To the end, or to the last event that there is now."""
    last = None
    if not follow:
        found = client.job(job_id)
        last = None if found.ended else found.document.get("last_event") or 0
    if last is not None and after >= last:
        return
    with closing(client.events(job_id, after=after)) as events:
        for event in events:
            yield event
            if last is not None and event.sequence >= last:
                return


def line(event: Event) -> str:
    """An event for people: when, which, and what it says."""
    said = sentence(event) or _said(event)
    return f"{_clock(datetime.fromtimestamp(event.time, UTC))} {event.sequence:>4} {event.kind:<14} {said}".rstrip()


def _said(event: Event) -> str:
    step = f"{event.step}: " if event.step else ""
    if event.kind in ("delta", "data"):
        return step + json.dumps(event.data.get("value"), ensure_ascii=False)
    rest = " ".join(f"{name}={cell(value)}" for name, value in event.data.items() if value is not None)
    return (step + rest).removesuffix(": ")


def _clock(time: datetime | None) -> str:
    return "" if time is None else f"{time.astimezone():%Y-%m-%d %H:%M:%S}"


def _lasted(found: Job) -> str:
    if found.started is None or found.finished is None:
        return ""
    return f"{(found.finished - found.started).total_seconds():.3f}"
