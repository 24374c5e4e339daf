"""``manage.py pipemount_jobs``: the jobs of the pipelines that the project's URLconf has."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from django.core.management.base import BaseCommand, CommandError, CommandParser
from pydantic_core import from_json, to_json

from ....errors import PipemountError
from ....http.application import Application
from ....http.jobs import record
from ....job_verbs import OWN
from ....jobs.desk import Jobs, cancel_reason
from ....jobs.models import ENDED, STATUSES, Job, JobEvent, JobQuery
from ...jobs import find_job, lasted, moment, owner, reached, runs_here, written
from ...mounts import mounted_pipelines

__all__ = ["Command"]

T = TypeVar("T")

SILENCE = 60.0


class Command(BaseCommand):
    """Asks the app if it runs in this process, else its store: nothing is started here, and no job performed."""

    help = "List, show, cancel, resume, retry and follow the jobs of the pipelines that are mounted in this project."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """A command each for what can be asked."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|show|cancel|resume|retry|logs")
        listing = verbs.add_parser("list", help="List jobs, the youngest first.")
        listing.add_argument("--status", action="append", choices=STATUSES, help="Only these; repeat it.")
        listing.add_argument("--pipeline", help="Only those of this one.")
        listing.add_argument("--limit", type=int, default=50, help="How many, of the youngest.")
        listing.add_argument("--app", help="The namespace of the mount, where there are several.")
        for verb, told in VERBS.items():
            verbs.add_parser(verb, help=told).add_argument("id", help="The job's id.")
        for one in (listing, verbs.choices["show"], verbs.choices["logs"]):
            one.add_argument("--json", action="store_true", dest="as_json", help="Print JSON.")
        verbs.choices["resume"].add_argument("answer", help="JSON, as true or '\"yes\"'.")
        logs = verbs.choices["logs"]
        logs.add_argument("--follow", "-f", action="store_true", help="Go on until the job ends.")
        logs.add_argument("--after", type=int, default=0, help="Only the events behind this number.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Prints what was asked for; what cannot be done is a ``CommandError``."""
        verb: Callable[..., None] = getattr(self, f"_{options['verb']}")
        try:
            verb(**{name: options[name] for name in TAKEN[options["verb"]]})
            self.stdout.flush()
        except BrokenPipeError:  # nobody reads on, as behind ``| head``; nor is anything to be flushed at the end
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stdout.fileno())
            sys.exit(1)
        except PipemountError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError("interrupted; the job goes on", returncode=130) from None

    def _list(self, status: list[Any] | None, pipeline: str | None, limit: int, app: str | None, as_json: bool) -> None:
        query = JobQuery(pipeline=pipeline, status=tuple(status or ()), limit=limit)
        pages = [reached(one, lambda jobs: jobs.list(query, OWN)) for one in _apps(app).values()]
        by_id = {job.id: job for page in pages for job in page.jobs}  # apps may share a database
        found = sorted(by_id.values(), key=lambda job: (job.created, job.id), reverse=True)[: query.limit]
        if as_json:
            self._print_json([_document(job) for job in found])
            return
        rows = [(job.id, job.status, job.pipeline, _clock(job.created), lasted(job), owner(job)) for job in found]
        self._print_table(("job", "status", "pipeline", "created", "seconds", "owner"), rows)

    def _show(self, id: str, as_json: bool) -> None:
        document = _document(self._asked(lambda jobs: jobs.get(id, OWN)))
        if as_json:
            self._print_json(document)
            return
        told = [(name, value) for name, value in document.items() if value is not None and name != "run_id"]
        width = max(len(name) for name, _ in told)
        for name, value in told:
            self.stdout.write(f"{name:<{width}}  {value if isinstance(value, str) else _json(value)}")

    def _cancel(self, id: str) -> None:
        job = self._asked(lambda jobs: jobs.cancel(id, OWN, cancel_reason(OWN)))
        wanted = job.cancel_requested and job.status not in ENDED
        self.stdout.write("cancelling" if wanted else job.status)

    def _resume(self, id: str, answer: str) -> None:
        try:
            given = to_json(from_json(answer, allow_inf_nan=False))
        except ValueError as error:
            raise CommandError(f"the answer is not JSON ({error}); a text is in quotation marks: '\"yes\"'") from None
        self.stdout.write(self._asked(lambda jobs: jobs.resume(id, given, OWN)).status)

    def _retry(self, id: str) -> None:
        self.stdout.write(self._asked(lambda jobs: jobs.retry(id, OWN)).job.id)

    def _logs(self, id: str, as_json: bool, follow: bool, after: int) -> None:
        async def tell(jobs: Jobs) -> None:
            job = await jobs.get(id, OWN)
            if not follow:
                self._print_events(await written(jobs, job, min(after, job.last_event)), as_json)
                return
            subscription = await jobs.subscribe(id, OWN, after)
            while not subscription.ended:
                self._print_events(await subscription.next(SILENCE), as_json)

        self._asked(tell)

    def _asked(self, verb: Callable[[Jobs], Awaitable[T]]) -> T:
        return find_job(_apps(None), lambda app: reached(app, verb))[1]

    # ---------------------------------------------------------------------------------------- printing

    def _print_json(self, value: Any) -> None:
        self.stdout.write(json.dumps(value, indent=2, ensure_ascii=False))

    def _print_table(self, heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
        widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
        for row in (heads, *rows):
            self.stdout.write("   ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip())

    def _print_events(self, events: Iterable[JobEvent], as_json: bool) -> None:
        for event in events:
            told = event.body.decode()
            self.stdout.write(told if as_json else _line(from_json(told)))
        self.stdout.flush()


VERBS: Mapping[str, str] = {
    "show": "Tell what is known of a job, with its outputs once it has succeeded.",
    "cancel": "Cancel a job.",
    "resume": "Answer what a suspended job asks; show tells what that is.",
    "retry": "Have a new job made of what was asked for with one that failed or was cancelled; prints its id.",
    "logs": "Print a job's events, one a line.",
}
TAKEN: Mapping[str, tuple[str, ...]] = {
    "list": ("status", "pipeline", "limit", "app", "as_json"),
    "show": ("id", "as_json"),
    "cancel": ("id",),
    "resume": ("id", "answer"),
    "retry": ("id",),
    "logs": ("id", "as_json", "follow", "after"),
}


def _apps(name: str | None) -> Mapping[str, Application]:
    apps = mounted_pipelines()
    if not apps:
        raise CommandError("no pipelines are mounted in this project's URLs")
    if name is not None and name not in apps:
        raise CommandError(f"--app {name}: mounted here: {', '.join(apps)}")
    asked = apps if name is None else {name: apps[name]}
    within_reach = {name: app for name, app in asked.items() if app.jobs.store.durable or runs_here(app)}
    if not within_reach:
        raise CommandError(IN_MEMORY)
    return within_reach


IN_MEMORY = (
    "jobs are in the memory of the processes that serve them, where the admin shows them; "
    "PipelineApp(…, jobs=Local('sqlite:///jobs.db')) keeps them where commands can look"
)


def _document(job: Job) -> Any:
    return from_json(record(job, {}))


def _clock(seconds: float) -> str:
    when = moment(seconds)
    return "" if when is None else f"{when.astimezone():%Y-%m-%d %H:%M:%S}"


def _line(event: Mapping[str, Any]) -> str:
    time = f"{datetime.fromtimestamp(event['time']):%Y-%m-%d %H:%M:%S}"
    said = " ".join(f"{name}={_json(value)}" for name, value in event["data"].items() if value is not None)
    step = f"{event['step']} " if event["step"] else ""
    return f"{time} {event['sequence']:>4} {event['kind']:<14} {step}{said}".rstrip()


def _json(value: Any) -> str:
    """A value on one line; what a terminal would obey is written as JSON writes it."""
    return json.dumps(value)
