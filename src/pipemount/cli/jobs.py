"""``jobs list|show|cancel|retry|logs``: what became of jobs that a server was given."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .backup import backup
from .inputs import answer_of
from .options import AsJson, Paths, Quiet, RemoteKey, Url
from .printing import cell, console, note, print_json, print_outputs, print_table
from .progress import sentence
from .remote import client_of
from .watching import COLUMNS, clock, row, watch_jobs

if TYPE_CHECKING:
    from ..client import Client, Job
    from ..runtime.events import Event

__all__ = ["line", "register", "tell_submitted"]


class Status(StrEnum):
    """The choices of ``--status``."""

    queued = "queued"
    running = "running"
    suspended = "suspended"
    cancelling = "cancelling"
    succeeded = "succeeded"
    failed = "failed"
    cancelled = "cancelled"


JobId = Annotated[str, typer.Argument(metavar="ID", help="The job's id, as submit printed it.")]


group = typer.Typer(no_args_is_help=True, help="What became of jobs: list, show, cancel, retry and follow them.")


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    group.command(epilog="Example: pipemount jobs backup jobs.db copy.db")(backup)
    app.add_typer(group, name="jobs", epilog="Example: pipemount jobs list http://127.0.0.1:8000 --watch")


@group.command("list", epilog="Example: pipemount jobs list http://127.0.0.1:8000 --status running")
def list_jobs(
    url: Url,
    key: RemoteKey = None,
    paths: Paths = None,
    status: Annotated[
        list[Status] | None, typer.Option("--status", help="Only jobs that have this one; repeat it.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many, of the youngest.")] = 50,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on, as they change, until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the jobs that a server keeps, the youngest first."""
    with client_of(url, key, paths, patient=watch, of_jobs=True) as client:

        def look() -> Sequence[Job]:
            return list(islice(client.jobs(*(each.value for each in status or ()), limit=min(limit, PAGE)), limit))

        if watch:
            watch_jobs(look, as_json=as_json)
        found = look()
    if as_json:
        print_json([each.document for each in found])
    else:
        print_table(COLUMNS, (row(each) for each in found))


PAGE = 100


@group.command(epilog="Example: pipemount jobs show http://127.0.0.1:8000 ID")
def show(url: Url, job_id: JobId, key: RemoteKey = None, paths: Paths = None, as_json: AsJson = False) -> None:
    """Tell what is known of a job, with its outputs once it has succeeded."""
    with client_of(url, key, paths, of_jobs=True) as client:
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


@group.command(epilog="Example: pipemount jobs cancel http://127.0.0.1:8000 ID")
def cancel(url: Url, job_id: JobId, key: RemoteKey = None, paths: Paths = None, as_json: AsJson = False) -> None:
    """Cancel a job; one whose step cannot be stopped is "cancelling" until the step returns."""
    with client_of(url, key, paths, of_jobs=True) as client:
        found = client.cancel(job_id)
    _tell_status(found, as_json=as_json)


@group.command(epilog="Example: pipemount jobs resume http://127.0.0.1:8000 ID true")
def resume(
    url: Url,
    job_id: JobId,
    answer: Annotated[
        str, typer.Argument(metavar="ANSWER", help="JSON, as true or '\"yes\"'; @FILE, or - for standard input.")
    ],
    key: RemoteKey = None,
    paths: Paths = None,
    as_json: AsJson = False,
) -> None:
    """Answer what a suspended job asks; show tells what that is."""
    value = answer_of(answer)
    with client_of(url, key, paths, of_jobs=True) as client:
        found = client.resume(job_id, value)
    _tell_status(found, as_json=as_json)


@group.command(epilog="Example: pipemount jobs retry http://127.0.0.1:8000 ID")
def retry(
    url: Url,
    job_id: JobId,
    key: RemoteKey = None,
    paths: Paths = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Have a new job made of what was asked for with one that failed or was cancelled; prints the new one's id."""
    with client_of(url, key, paths, of_jobs=True) as client:
        tell_submitted(client.retry(job_id), url, quiet=quiet, as_json=as_json)


@group.command(epilog="Example: pipemount jobs logs -f http://127.0.0.1:8000 ID")
def logs(
    url: Url,
    job_id: JobId,
    key: RemoteKey = None,
    paths: Paths = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the job ends, also when the server restarts.")
    ] = False,
    after: Annotated[int, typer.Option("--after", min=0, help="Only the events behind this number.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Print a job's events, one a line; with --json each as JSON. Ctrl-C stops the printing, not the job."""
    with client_of(url, key, paths, patient=follow, of_jobs=True) as client:
        try:
            for event in _events(client, job_id, after, follow=follow):
                typer.echo(json.dumps(asdict(event), ensure_ascii=False) if as_json else line(event))
        except KeyboardInterrupt:
            note(f"the job goes on; to end it: pipemount jobs cancel {url} {job_id}")
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


def _tell_status(job: Job, *, as_json: bool) -> None:
    if as_json:
        print_json(job.document)
    else:
        typer.echo(job.status)


def tell_submitted(job: Job, url: str, *, quiet: bool, as_json: bool) -> None:
    """A new job's id on standard output, and to people how to follow it."""
    if as_json:
        print_json(job.document)
        return
    typer.echo(job.id)
    if not quiet:
        note(f"{job.status}; pipemount jobs logs -f {url} {job.id}", "green")


def line(event: Event) -> str:
    """An event for people: when, which, and what it says."""
    said = sentence(event) or _said(event)
    return f"{clock(datetime.fromtimestamp(event.time, UTC))} {event.sequence:>4} {event.kind:<14} {said}".rstrip()


def _said(event: Event) -> str:
    step = f"{event.step}: " if event.step else ""
    if event.kind in ("delta", "data"):
        return step + json.dumps(event.data.get("value"), ensure_ascii=False)
    rest = " ".join(f"{name}={cell(value)}" for name, value in event.data.items() if value is not None)
    return (step + rest).removesuffix(": ")
