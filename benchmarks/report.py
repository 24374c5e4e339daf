"""The page that a run leaves behind: docs/performance.md."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from batch import BatchReport
from bridge import BridgeReport
from engine import EngineReport
from executors import ExecutorsReport
from jobs import JobsReport
from load import GENERATOR, Load
from measure import CONNECTIONS, Entry
from overload import OverloadReport
from streams import StreamsReport

__all__ = ["Report"]

Found = EngineReport | BridgeReport | BatchReport | ExecutorsReport

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"

INTRODUCTION = """\
# Performance

What a request costs when it goes through us, beside what it costs without us and beside what others cost, measured on
one machine in one run. The figures are for comparing rows with each other; absolute values say as much about the
machine. Measure on yours:

<!-- skip: next "takes a quarter of an hour, and wants the machine for itself" -->

```console
$ scripts/benchmark
```
"""

ENGINE_HEADING = "## The engine alone"

ENGINE = """\
Microseconds per run, without HTTP or keys, beside the engines of others on the same graphs; in parentheses how many
times ours. A step adds one to a number. Every library runs as its documentation shows, on uvloop, in an environment and
a process of its own, which lives for all rounds; the rounds are interleaved. A `-` stands for what a library has no
graph for, or for what takes it too long.

- Ours is all that a request pays for but the network: inputs are validated, the run has an id and a deadline, outputs
  are validated and serialised. The others are handed Python values and hand some back.
- Ours takes a chain of sync steps to a thread, so that it never blocks the host's loop; the others' block their caller.
- What a branch adds is the row with it less the row without, measured one right after the other.
- Maps keep the order of the items, except in pydantic-graph, whose list is sorted afterwards.
- Prefect keeps every run in a database: its figures are those of its own server on loopback.
"""

HOSTS_HEADING = "## In Django and Flask"

BRIDGE_HEADING = "## The bridge from WSGI alone"

BRIDGE = """\
Microseconds per request through [the bridge](wsgi.md) and through a2wsgi around the same ASGI app, called as a server
would call them, in one process and without a network; the rounds are interleaved, and the ratio is the median of the
ratios within the rounds. The threads wait for each other: there is one interpreter, and one loop.
"""

STREAMS_HEADING = "## Streams"

STREAMS = """\
Server-sent events of jobs on one uvicorn, read by bare sockets of two processes on the other core. Memory is what the
server's resident memory grew by, divided by the streams: connection, request and stream together. The words of a
generator step are timed from its `yield` to the reader's socket; the first is the first of a stream.
"""

OVERLOAD_HEADING = "## More than it can do"

OVERLOAD = """\
An open load: requests are sent when they are due, whether earlier ones were answered or not, at once, twice, four and
eight times what the server is able to. Each run computes for 20 ms in a thread, never letting go of the interpreter
before it is made to, on one uvicorn in a Starlette host, with `max_concurrency=2`, `max_queue=8` and
`request_timeout=1`; what takes longer than that second, as its caller sees it, counts as late. Meanwhile an endpoint
of the host's own is asked twenty times a second.
"""

BATCH_HEADING = "## Batches"

BATCH = """\
Items a second on one uvicorn, which a single process asks: by [batches](batch.md), one request after the other on one
connection, and by an invocation for each item. The model is the one of the scikit-learn rows, and is asked once for all
items of a batch; *one by one* is the same model without that.
"""

EXECUTORS_HEADING = "## On Ray and Dask"

EXECUTORS = """\
A map of CPU-bound items, about 50 ms each, [on Ray](ray.md) and [on Dask](dask.md), seconds from the call to its answer
with all that a run has: every item is a task of its own, is told as events, and comes back before the map ends. In the
app's own threads the items share one interpreter. *Its own tasks*: the same function and the same items, given to the
engine without us.
"""

JOBS_HEADING = "## Durable jobs"

JOBS = """\
Each job is one step that writes down that it was here. One process submits, by sixteen callers at the same time, and
two work; *jobs/s* counts from the first that is submitted to the end of the last. A job of ours has ended when its
outcome and its four events are on the disk; those of others when their function was called, whatever they write
afterwards. *Submit* is from the call to its answer: with sixteen callers, who always have one under way, it is sixteen
times one over the rate. *Alone* is while nothing else is to do: *submit* again, *begun after* from before the
submission to the step's first line, *first event* until the process that submitted can read it. *CPU* is that of the
processes, without the database's.

What each keeps and promises differs: see [durable jobs](durable.md) for ours. Celery, Dramatiq and RQ may lose what
they accepted in the last second when the machine with their Valkey fails, as they are run here and mostly are; ours,
Huey, Procrastinate and DBOS have it on the disk when they answer.
"""

JOBS_RECOVERY = """\
From `kill -9` of the worker that has a job, with two others beside it, until the step has begun again. A job whose
process has ended is performed alone in one, so the start of a Python with the product in it is in these figures. Jobs
that follow find it there; a worker has as many such processes at a time as there are cores, here two.
With PostgreSQL the lease has to run out first: five seconds here, thirty unless a product says otherwise.
"""

JOBS_GROWTH = """\
The same calls of a store with many jobs, half of which wait and half have ended:
"""

READING = """\
## How to read it

- **The work** is one step that formats a sentence. It is that small on purpose: what is left is what the frame around
  it costs. A step that takes 10 ms hides every difference in these tables.
- **Ours does more than the rows it is compared with.** Each of our rows checks a key, decides admission, limits the
  body, gives every run an id, keeps a deadline, validates inputs and outputs against generated schemas and answers
  with the full response. *raw* validates the same bytes and dumps a response of the same shape with constants in it;
  it looks at no path and no key. What is written by hand validates and answers, without a key. All are sent the same
  headers.
- **scikit-learn**: the same fitted pipeline of five columns in both rows, in a thread in both; by hand it is asked for
  its prediction, ours tells the probabilities as well. The model takes nearly all of the time.
- **LangGraph**: the same graph of two async nodes in both rows, typed inputs and outputs in both; nobody listens.
- **Flask and Django**: the rows by hand validate what comes and what goes with the same models and look at no key;
  ours do all that the other rows of ours do. *Beside Flask* is the WSGI dispatcher's form, in which Flask itself is
  passed by: its two rows differ in the bridge only. Under gunicorn a row of plain functions is performed in the
  thread that asks. Django has the middleware of a new project in all its rows, sessions in signed cookies and no
  database; the wrapped row passes it by. *In Django's URLs* has the line of the deployment guide as well, which
  brings the server's lifespan to the pipelines: without it every request is handed over to another loop, as in
  *mounted, no further line*.
- **Peers** run as their documentation shows, each in an environment of its own. LangServe prescribes its own envelope
  (`{"input": …}`) and answers with less; the others get the same body.
- **rate / raw** is the median of the ratios of the rates within each round. **CPU** is the server's processor time per
  request, which does not depend on how fast the load generator is; **raw / CPU** is raw's divided by the row's. Higher
  is better in both.
- With one connection the rate is one over the latency, and much of it is the kernel's and the load generator's; with 64
  the server's core is always busy, and nothing hides.
- **Mounted, no further line**: the host runs no lifespan for a mounted app, so runs live on a thread with a loop of its
  own, and every request is handed over there and back. Give the host `lifespan=pipelines.lifespan` where that matters.
- **Idle** is resident memory of the server's process after its first request: Python, uvicorn, pydantic and, where the
  row has it, FastAPI are in it.
"""


@dataclass
class Report:
    """Everything that a run found.

    Attributes:
        command: How it was called.
        method: Rounds and seconds, in words.
        entries: The contenders.
        engine: The engines, on the same graphs.
        hosts: The contenders in Django and Flask.
        bridge: The bridge, beside another.
        streams: Many streams, and one.
        overload: More requests than can be answered.
        batch: Batches, beside single requests.
        jobs: Durable jobs, beside those of others.
        executors: Maps on one and two workers of an engine.
        imports: Seconds by what was imported.
        demonstrations: Seconds by what was tried.
    """

    command: str
    method: str
    entries: list[Entry]
    hosts: list[Entry]
    engine: EngineReport
    bridge: BridgeReport
    streams: StreamsReport
    overload: OverloadReport
    batch: BatchReport
    jobs: JobsReport
    executors: ExecutorsReport
    imports: dict[str, float]
    demonstrations: dict[str, float]

    def write(self, page: Path = PAGE) -> None:
        """Write the page anew."""
        page.write_text("\n".join(self._parts()).rstrip() + "\n")

    def write_sections(self, page: Path = PAGE) -> None:
        """Put what was measured into the page in the place of what is there; the rest stays as it was measured."""
        text = page.read_text()
        for heading, section in self._sections():
            if section:
                text = _replaced(text, heading, section)
        page.write_text(text)

    def _sections(self) -> Iterable[tuple[str, str]]:
        yield HOSTS_HEADING, self._hosts()
        yield ENGINE_HEADING, self._engine()
        yield BRIDGE_HEADING, self._bridge()
        yield STREAMS_HEADING, self._streams()
        yield OVERLOAD_HEADING, self._overload()
        yield BATCH_HEADING, self._section(BATCH_HEADING, BATCH, self.batch) if self.batch else ""
        yield JOBS_HEADING, self._jobs()
        yield EXECUTORS_HEADING, self._section(EXECUTORS_HEADING, EXECUTORS, self.executors) if self.executors else ""

    def _hosts(self) -> str:
        if not self.hosts:
            return ""
        parts = [HOSTS_HEADING, f"Measured on {datetime.now(UTC):%Y-%m-%d} with `{self.command}`: {self.method}"]
        for connections in CONNECTIONS:
            parts += [
                f"### {connections} connection{'s' * (connections > 1)} there",
                _table(_requests(self.hosts, connections)).rstrip(),
            ]
        return "\n\n".join([*parts, "### To what each of these is held", _table(_targets(self.hosts))])

    def _engine(self) -> str:
        return self._section(ENGINE_HEADING, ENGINE, self.engine) if self.engine else ""

    def _bridge(self) -> str:
        return self._section(BRIDGE_HEADING, BRIDGE, self.bridge) if self.bridge else ""

    def _streams(self) -> str:
        if not self.streams:
            return ""
        told = f"Measured on {datetime.now(UTC):%Y-%m-%d} with `{self.command}`."
        return "\n".join([STREAMS_HEADING, "", STREAMS, told, "", _table(list(self.streams.rows()))])

    def _overload(self) -> str:
        if not self.overload:
            return ""
        told = (
            f"Measured on {datetime.now(UTC):%Y-%m-%d} with `{self.command}`; "
            f"the machine's load average was {self.overload.busy:.1f} before."
        )
        return "\n".join([OVERLOAD_HEADING, "", OVERLOAD, told, "", _table(list(self.overload.rows()))])

    def _section(
        self, heading: str, text: str, found: EngineReport | BridgeReport | BatchReport | ExecutorsReport
    ) -> str:
        told = f"Measured on {datetime.now(UTC):%Y-%m-%d} with `{self.command}`: {_over(found.rounds)}."
        return "\n".join([heading, "", text, told, *found.notes(), "", _table(list(found.rows()))])

    def _jobs(self) -> str:
        if not self.jobs:
            return ""
        told = f"Measured on {datetime.now(UTC):%Y-%m-%d} with `{self.command}`: {_over(self.jobs.rounds)}."
        tables = [_table(rows) for rows in (self.jobs.rows(), self.jobs.limit_rows())]
        if self.jobs.recovery:
            tables += [JOBS_RECOVERY, _table(self.jobs.recovery.rows())]
        if self.jobs.growth:
            tables += [JOBS_GROWTH, _table(self.jobs.growth.rows())]
        return "\n".join([JOBS_HEADING, "", JOBS, told, *self.jobs.notes(), "", *tables])

    def _parts(self) -> Iterable[str]:
        yield INTRODUCTION
        yield f"Measured on {datetime.now(UTC):%Y-%m-%d} with `{self.command}`: {self.method}\n"
        yield self._setting()
        if self.entries:
            for connections in CONNECTIONS:
                yield f"## {connections} connection{'s' * (connections > 1)}\n"
                yield _table(_requests(self.entries, connections))
            yield "## To what each row is held\n"
            yield _table(_targets(self.entries))
            yield "## Idle memory\n"
            yield _table(_memory(self.entries))
        yield from filter(None, (section for _, section in self._sections()))
        if self.imports:
            yield "## Import time\n\nA fresh interpreter each time, byte code compiled before.\n"
            yield _table([("what", "ms"), *((name, f"{took * 1000:.0f}") for name, took in self.imports.items())])
        if self.demonstrations:
            yield "## Steps side by side\n\nOn uvicorn, with the default settings; the client shares its cores.\n"
            yield _table([("what", "seconds"), *((name, f"{took:.3f}") for name, took in self.demonstrations.items())])
        yield READING

    def _setting(self) -> str:
        names = ("pipemount", "uvicorn", "uvloop", "httptools", "pydantic", "starlette", "fastapi")
        versions = ", ".join(f"{name} {_version(name)}" for name in names)
        peers = ", ".join(f"{e.contender.title} {e.version}" for e in self.entries if e.contender.peer and e.version)
        return (
            f"Python {platform.python_version()} on {platform.system()}, {os.cpu_count()} cores: one for the server, "
            f"one for the load generator ({GENERATOR}).\n{versions}{'; ' + peers if peers else ''}.\n"
            "Every server is one process without an access log, uvicorn with uvloop and httptools or gunicorn gthread "
            "with 8 threads, started once and kept for all rounds.\n"
        )


def _replaced(page: str, heading: str, section: str) -> str:
    """The page with a section in the place of the one there; before the reading, if there is none yet."""
    if heading not in page:
        before, reading, after = page.partition("## How to read it")
        return f"{before}{section}\n{reading}{after}"
    before, _, rest = page.partition(heading)
    _, following, after = rest.partition("\n## ")
    return f"{before}{section}{following}{after}"


def _requests(entries: list[Entry], connections: int) -> Iterable[tuple[str, ...]]:
    yield "", "requests/s", "p50 ms", "p99 ms", "CPU µs", "rate / raw", "raw / CPU"
    raw = next(entry for entry in entries if entry.contender.name == "raw")
    for entry in entries:
        if entry.reason:
            yield entry.contender.title, entry.reason, "", "", "", "", ""
            continue
        yield (
            entry.contender.title,
            f"{entry.median(connections, rate):,.0f}",
            f"{entry.median(connections, lambda load: load.p50) / 1000:.3f}",
            f"{entry.median(connections, lambda load: load.p99) / 1000:.3f}",
            f"{entry.median(connections, cpu):.1f}",
            f"{entry.ratio(raw, connections, rate):.2f}",
            f"{raw.ratio(entry, connections, cpu):.2f}",
        )


TARGETS = (
    ("ours_direct", "raw", 0.9),
    ("ours_middleware", "raw", 0.9),
    ("ours_wrapped", "raw", 0.9),
    ("ours_mounted", "raw_mounted", 0.9),
    ("ours_mounted_lazy", "raw_mounted", None),
    ("ours_included", "fastapi_async", None),
    ("ours_sync", "fastapi_def", 1.8),
    ("ours_django_wrapped", "raw", 0.9),
    ("ours_django", "django_hand", 0.9),
    ("ours_flask", "flask_hand", 0.9),
    ("ours_flask", "a2wsgi_flask", 2.0),
    ("ours_flask_beside", "a2wsgi_flask", 2.0),
    ("ours_django_wsgi", "django_hand_wsgi", None),
    ("ours_sklearn", "fastapi_sklearn", 0.8),
    ("ours_langgraph", "fastapi_langgraph", 0.8),
)


def _targets(entries: list[Entry]) -> Iterable[tuple[str, ...]]:
    yield "", "beside", "to reach", *(f"rate, {n}" for n in CONNECTIONS), *(f"CPU, {n}" for n in CONNECTIONS)
    present = {entry.contender.name: entry for entry in entries if not entry.reason}
    for name, base, aim in TARGETS:
        if name in present and base in present:
            ours, theirs = present[name], present[base]
            yield (
                ours.contender.title,
                theirs.contender.title,
                f"{aim}" if aim else "-",
                *(f"{ours.ratio(theirs, n, rate):.2f}" for n in CONNECTIONS),
                *(f"{theirs.ratio(ours, n, cpu):.2f}" for n in CONNECTIONS),
            )


def _memory(entries: list[Entry]) -> Iterable[tuple[str, ...]]:
    yield "", "MiB"
    for entry in entries:
        if not entry.reason:
            yield entry.contender.title, f"{entry.idle:.0f}"


def rate(load: Load) -> float:
    return load.rate


def cpu(load: Load) -> float:
    return load.cpu


def _over(rounds: int) -> str:
    return "one round" if rounds == 1 else f"medians of {rounds} rounds"


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    head, *rest = rows
    ruler = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ruler, *rest)) + "\n"


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return str(getattr(sys.modules.get(distribution), "__version__", "from this clone"))
