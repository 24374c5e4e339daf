"""``invoke`` and ``submit``: a run of a pipeline that is served somewhere."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from .inputs import from_assignments, from_json
from .jobs import tell_submitted
from .options import AsJson, Expires, Param, Params, Paths, Quiet, RemoteKey, Timeout, Url
from .printing import note, print_json, print_outputs
from .progress import listening
from .remote import client_of, full_url

if TYPE_CHECKING:
    from ..client import Client, Job
    from ..runtime.events import Event
    from ..types import JsonObject

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command(epilog="Example: pipemount invoke http://127.0.0.1:8000 --param city=Oslo --stream")(invoke)
    app.command(epilog="Example: pipemount submit http://127.0.0.1:8000 --param city=Oslo")(submit)


RunName = Annotated[str | None, typer.Option("--run-name", help="A name for people.")]
IdempotencyKey = Annotated[
    str | None,
    typer.Option("--idempotency-key", help="Makes commands one that have it: the run happens once."),
]


def invoke(
    url: Url,
    params: Params = None,
    param: Param = None,
    key: RemoteKey = None,
    paths: Paths = None,
    timeout: Timeout = None,
    run_name: RunName = None,
    idempotency_key: IdempotencyKey = None,
    expires: Expires = None,
    stream: Annotated[bool, typer.Option("--stream", help="Show the steps while it runs; Ctrl-C cancels it.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Invoke a pipeline that is served somewhere, and wait for its outputs."""
    inputs = from_json(params) | from_assignments(param or ())
    with client_of(url, key, paths, patient=stream) as client:
        asking = client.calling(timeout=timeout, run_name=run_name, idempotency_key=idempotency_key, expires=expires)
        answer = _streamed(asking, inputs, url, quiet=quiet) if stream else asking.invoke(**inputs).document
    if as_json:
        print_json(answer)
        return
    print_outputs(answer.get("outputs") or {})
    if not quiet:
        run_id = (answer.get("metadata") or {}).get("run_id")
        note(f"run {run_id} completed in {answer.get('execution_time') or 0.0:.3f} s", "green")


def _streamed(client: Client[..., Any], inputs: JsonObject, url: str, *, quiet: bool) -> JsonObject:
    """A run whose events are shown; its answer, in the members of one to ``invoke``."""
    last: Event | None = None
    try:
        with listening(quiet=quiet) as listener, closing(client.stream(**inputs)) as events:
            for last in events:
                if listener is not None:
                    listener(last)
    except KeyboardInterrupt:
        if last is not None:
            note(f"the server was asked to cancel the run: pipemount jobs show {url} {last.run_id}")
        raise
    return {} if last is None else _answer(last)


def _answer(last: Event) -> JsonObject:
    return {
        "success": True,
        "outputs": last.data.get("outputs"),
        "execution_time": last.data.get("duration"),
        "metadata": {"run_id": last.run_id},
        "error": None,
    }


def submit(
    url: Url,
    params: Params = None,
    param: Param = None,
    key: RemoteKey = None,
    paths: Paths = None,
    timeout: Timeout = None,
    run_name: RunName = None,
    idempotency_key: IdempotencyKey = None,
    expires: Expires = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Submit a job to a pipeline that is served somewhere; prints its id, and does not wait for it."""
    inputs = from_json(params) | from_assignments(param or ())
    with client_of(url, key, paths) as client:
        asking = client.calling(timeout=timeout, run_name=run_name, idempotency_key=idempotency_key, expires=expires)
        job = asking.submit(**inputs)
    tell_submitted(job, url if quiet or as_json else _with_jobs(url, key, job), quiet=quiet, as_json=as_json)


def _with_jobs(url: str, key: str | None, job: Job) -> str:
    """Where commands find the job: as ``url`` says, unless the server says that it is elsewhere."""
    told = str(job.document.get("poll_url", ""))
    return url if told.startswith(urlsplit(url).path.rstrip("/") + "/") else full_url(url, key)
