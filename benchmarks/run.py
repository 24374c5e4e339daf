"""``scripts/benchmark``: measures us beside the raw limit, what is written by hand, and the peers.

Writes docs/performance.md. Takes about a quarter of an hour; leave the machine alone meanwhile. With ``--only`` or
``--quick`` the page is left as it is and the tables are printed. ``--parts engine`` takes two minutes, ``--parts
batch`` one, ``--parts jobs`` and ``--parts executors`` eight each, ``--parts bridge`` half a one; ``--write`` then
puts their sections into the page.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "src"))

from against import measure_against
from batch import BatchReport, measure_batch
from bridge import BridgeReport, measure_bridge
from concurrency import demonstrate
from contenders import CONTENDERS, HOSTS, select
from engine import EngineReport, measure_engine
from executors import ExecutorsReport, measure_executors
from jobs import JobsReport, measure_jobs
from measure import measure
from overload import OverloadReport, measure_overload
from report import Report
from servers import CORES
from startup import measure_imports
from streams import StreamsReport, measure_streams

PARTS = (
    "requests",
    "hosts",
    "engine",
    "bridge",
    "streams",
    "overload",
    "batch",
    "jobs",
    "executors",
    "imports",
    "demonstrations",
)
SECTIONS = {"hosts", "engine", "bridge", "streams", "overload", "batch", "jobs", "executors"}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/benchmark", description="Measure pipemount beside its peers.")
    parser.add_argument("part", nargs="*", default=[], help="as --parts")
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds (default 7)")
    parser.add_argument("--seconds", type=float, default=3.0, help="per contender, round and load (default 3)")
    parser.add_argument("--only", default="", metavar="NAMES", help="of: " + ", ".join(c.name for c in CONTENDERS))
    parser.add_argument("--parts", default=",".join(PARTS), help="of: " + ", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="one short round, to see that all is well")
    parser.add_argument(
        "--write",
        action="store_true",
        help=f"with parts of {', '.join(sorted(SECTIONS))}: put their sections into the page",
    )
    parser.add_argument("--against", metavar="COMMIT", help="only this: requests now beside those of an earlier commit")
    options = parser.parse_args()
    if options.part:
        options.parts = ",".join(options.part)
    if options.quick:
        options.rounds, options.seconds = 1, 1.0
    return options


def _options_of_part(options: argparse.Namespace) -> dict[str, Any]:
    return {"rounds": 1, "seconds": 0.05} if options.quick else {}


def _streams(options: argparse.Namespace) -> StreamsReport:
    return measure_streams(count=1000, silence=2.0) if options.quick else measure_streams()


def _overload(options: argparse.Namespace) -> OverloadReport:
    return measure_overload(seconds=2.0) if options.quick else measure_overload()


def _jobs(options: argparse.Namespace) -> JobsReport:
    return measure_jobs(rounds=1, seconds=0.5, more=False) if options.quick else measure_jobs()


def _executors(options: argparse.Namespace) -> ExecutorsReport:
    return measure_executors(rounds=1, items=100) if options.quick else measure_executors()


def main() -> None:
    options = parse()
    contenders = select(options.only)
    if len(CORES) < 2:
        print("warning: one core only; server and load generator disturb each other", file=sys.stderr)
    if options.against:
        print(measure_against(options.against, contenders, rounds=options.rounds, seconds=options.seconds))
        return
    parts = options.parts.split(",")
    report = Report(
        command=shlex.join(["scripts/benchmark", *sys.argv[1:]]),
        method=f"medians of {options.rounds} interleaved rounds of {options.seconds:g} s after a warm-up.",
        imports=measure_imports() if "imports" in parts else {},
        engine=measure_engine(**_options_of_part(options)) if "engine" in parts else EngineReport(),
        bridge=measure_bridge(**_options_of_part(options)) if "bridge" in parts else BridgeReport(),
        streams=_streams(options) if "streams" in parts else StreamsReport(),
        overload=_overload(options) if "overload" in parts else OverloadReport(),
        batch=measure_batch(**_options_of_part(options)) if "batch" in parts else BatchReport(),
        jobs=_jobs(options) if "jobs" in parts else JobsReport(),
        executors=_executors(options) if "executors" in parts else ExecutorsReport(),
        demonstrations=demonstrate() if "demonstrations" in parts else {},
        entries=measure(contenders, rounds=options.rounds, seconds=options.seconds) if "requests" in parts else [],
        hosts=measure(HOSTS, rounds=options.rounds, seconds=options.seconds) if "hosts" in parts else [],
    )
    if options.write and set(parts) <= SECTIONS:
        report.write_sections()
        print(f"wrote the section of {' and '.join(parts)} in docs/performance.md")
    elif options.quick or options.only or set(parts) != set(PARTS):
        page = Path(tempfile.mkstemp(prefix="performance-", suffix=".md")[1])
        report.write(page)
        print(f"\n{page.read_text()}\nA part of a run: docs/performance.md is left as it is; this is {page}")
    else:
        report.write()
        print("wrote docs/performance.md")


if __name__ == "__main__":
    main()
