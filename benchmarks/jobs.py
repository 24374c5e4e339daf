"""Durable jobs, beside those of others: how many a second, and how long until one begins.

    scripts/benchmark jobs             # eight minutes
    scripts/benchmark jobs --quick     # one short round, to see that all is well
    python benchmarks/jobs.py --only ours_sqlite,huey --rounds 2

Each library runs in an environment of its own (benchmarks/peers/): one process submits, two work. All live for all
rounds, which are interleaved; what is told is the median over them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "src"))

from job_growth import GrowthReport, measure_growth
from job_limits import measure_limits
from peers import HERE, PeerUnavailableError, interpreter, version
from queues import QUEUES, Queue
from recovery import RecoveryReport, measure_recovery
from services import postgres, valkey

from pipemount.types import VERSION

__all__ = ["JobsReport", "measure_jobs"]

SECONDS = 2.0
"""For which jobs are submitted in a round, roughly."""

ONE_BY_ONE = 10
"""Jobs of a round that begin when nothing else is to do."""

MOST = 4000

BUSY = 1.0
"""Load average from which on figures are not to be trusted; what was installed just before leaves some."""

Found = dict[str, Any]


class Contestant:
    """A queue's process. ``reason`` tells why there is none."""

    def __init__(self, queue: Queue, services: Mapping[str, str], folder: Path) -> None:
        self.queue, self.reason, self.version = queue, "", "-"
        self.many: list[Found] = []
        self.single: list[Found] = []
        self.process: subprocess.Popen[str] | None = None
        try:
            python = interpreter(queue.peer)
        except PeerUnavailableError as error:
            self.reason = str(error)
            return
        self.version = version(python, queue.distribution) if queue.peer else VERSION
        folder.mkdir()
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(HERE), *([] if queue.peer else [str(HERE.parent / "src")])]),
            "PYTHONWARNINGS": "ignore",
            "BENCHMARK_FOLDER": str(folder),
            **{f"BENCHMARK_{name.upper()}": url for name, url in services.items()},
        }
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [str(python), str(HERE / "queue_driver.py"), queue.name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment,
                cwd=HERE,
            )
        self.many.append(self._answer())

    def round(self, seconds: float) -> None:
        """One round, of as many jobs as the one before tells that there can be."""
        if self.process is not None:
            jobs = max(20, min(MOST, 5 * self.many[-1]["jobs"], round(_rate(self.many[-1]) * seconds)))
            self.many.append(self._ask("many", jobs))
        if self.process is not None:
            self.single.append(self._ask("one by one", ONE_BY_ONE))

    def median(self, pick: Callable[[Found], float]) -> float:
        """Over the rounds; what warms up is left out."""
        return statistics.median(pick(found) for found in self.many[2:])

    def latency(self, what: str) -> float | None:
        """Milliseconds; the median of all single jobs."""
        found = [value for single in self.single for value in single[what]]
        return statistics.median(found) * 1000 if found else None

    def close(self) -> None:
        """End the process, which ends the workers."""
        if self.process is not None:
            self.process.communicate(timeout=60)

    def _ask(self, verb: str, jobs: int) -> Found:
        assert self.process is not None
        assert self.process.stdin is not None
        print(json.dumps({"do": verb, "jobs": jobs}), file=self.process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> Found:
        assert self.process is not None
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        answer: Found = json.loads(line) if line else {"reason": "ended by itself"}
        if "reason" in answer:
            self.reason = answer["reason"]
            self.close()
            self.process = None
        return answer


@dataclass
class JobsReport:
    """What was found.

    Attributes:
        contestants: The queues, ours first.
        limits: What the disk and the database can do at most, a second.
        recovery: How long the jobs of a killed worker wait.
        growth: What the verbs cost when there are many jobs.
        rounds: How many medians are over.
        busy: The machine's load average before.
    """

    contestants: list[Contestant] = field(default_factory=list)
    limits: Mapping[str, float] = field(default_factory=dict)
    recovery: RecoveryReport = field(default_factory=RecoveryReport)
    growth: GrowthReport = field(default_factory=GrowthReport)
    rounds: int = 0
    busy: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.contestants)

    def rows(self) -> Iterable[tuple[str, ...]]:
        """One queue a row."""
        yield (
            *("", "jobs/s", "ours on SQLite", "submitted/s", "submit p50 ms", "p99 ms"),
            *("alone: submit p50 ms", "begun after ms", "first event ms", "CPU ms a job", "kept"),
        )
        present = [one for one in self.contestants if not one.reason]
        ours = next((one for one in present if one.queue.name == "ours_sqlite"), None)
        for one in present:
            rate = one.median(_rate)
            submit, begun, event = (one.latency(what) for what in ("submit", "begun", "event"))
            yield (
                one.queue.title,
                f"{rate:,.0f}",
                "" if ours is None else f"{rate / ours.median(_rate):.2f} ×",
                f"{one.median(lambda found: found['jobs'] / found['submitted']):,.0f}",
                f"{one.median(lambda found: _quantile(found['submit'], 0.5)) * 1000:.1f}",
                f"{one.median(lambda found: _quantile(found['submit'], 0.99)) * 1000:.1f}",
                *("-" if found is None else f"{found:.1f}" for found in (submit, begun, event)),
                f"{one.median(lambda found: found['cpu'] / found['jobs']) * 1000:.2f}",
                one.queue.keeps,
            )

    def limit_rows(self) -> Iterable[tuple[str, ...]]:
        """What nothing can be faster than, on this disk."""
        yield "the limit", "a second"
        for what, found in self.limits.items():
            yield what, f"{found:,.0f}"

    def notes(self) -> Iterable[str]:
        """The versions, what is not there and why, and how busy the machine was."""
        yield (
            ", ".join(
                f"{name} {version}"
                for name, version in {one.queue.distribution: one.version for one in self.contestants}.items()
            )
            + "."
        )
        for one in self.contestants:
            if one.reason:
                yield f"{one.queue.title} is not in the table: {one.reason}."
        if self.busy > BUSY:
            yield f"The machine was busy (a load of {self.busy:.1f} before the run): compare rows, not figures."


def measure_jobs(*, rounds: int = 3, seconds: float = SECONDS, only: str = "", more: bool = True) -> JobsReport:
    """Every queue, in interleaved rounds; with ``more`` recovery, and what the verbs cost when there are many jobs."""
    asked = {name.strip() for name in only.split(",") if name.strip()}
    if unknown := asked - {queue.name for queue in QUEUES}:
        raise SystemExit(f"no queue {', '.join(unknown)}; there are: {', '.join(queue.name for queue in QUEUES)}")
    queues = [queue for queue in QUEUES if not asked or queue.name in asked]
    report = JobsReport(rounds=rounds, busy=os.getloadavg()[0])
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=".benchmark-", dir=HERE.parent)))
        if not asked:
            report.limits = measure_limits(folder)
        services = _services({queue.needs for queue in queues if queue.needs}, stack)
        for queue in queues:
            one = Contestant(queue, services, folder / queue.name)
            stack.callback(one.close)
            report.contestants.append(one)
        for turn in range(rounds + 1):  # the first one warms up
            for one in report.contestants if turn % 2 else reversed(report.contestants):
                print(f"jobs, round {turn} of {rounds}: {one.queue.title}", file=sys.stderr, flush=True)
                one.round(seconds if turn else seconds / 4)
    if more:
        report.recovery, report.growth = measure_recovery(), measure_growth()
    return report


def _services(needed: set[str], stack: ExitStack) -> dict[str, str]:
    known = {"postgres": postgres, "valkey": valkey}
    return {name: stack.enter_context(known[name]()) for name in sorted(needed)}


def _rate(found: Found) -> float:
    """Jobs a second, from the first that is submitted to the end of the last."""
    return float(found["jobs"]) / float(found["ended"])


def _quantile(values: list[float], part: float) -> float:
    return sorted(values)[int(len(values) * part)]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="Durable jobs beside those of others.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="per queue and round, roughly")
    parser.add_argument("--only", default="", metavar="NAMES", help="of: " + ", ".join(queue.name for queue in QUEUES))
    parser.add_argument("--alone", action="store_true", help="without recovery and the costs at 1,000,000 jobs")
    options = parser.parse_args()
    more = not (options.alone or options.only)
    found = measure_jobs(rounds=options.rounds, seconds=options.seconds, only=options.only, more=more)
    for rows in (found.rows(), found.limit_rows(), found.recovery.rows(), found.growth.rows()):
        print(*(" | ".join(row) for row in rows), sep="\n", end="\n\n")
    print(*found.notes(), sep="\n")


if __name__ == "__main__":
    main()
