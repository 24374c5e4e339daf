"""The engine alone, beside the engines of others on the same graphs: no HTTP, no keys.

    python benchmarks/engine.py                 # three rounds, about two minutes
    python benchmarks/engine.py --only langgraph --rounds 1

Each library runs in an environment of its own (benchmarks/peers/), in one process that lives for all rounds; the rounds
are interleaved, and what is told is the median over them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "src"))

from engines import CASES, ENGINES, Case, Engine
from peers import HERE, PeerUnavailableError, interpreter, version

from pipemount.types import VERSION

__all__ = ["EngineReport", "measure_engine"]

SLOW = 1.0
"""Seconds: what takes longer than this for one run is measured once."""

PAIR = ("two", "branch")
"""Measured one right after the other, for their difference."""

ROWS = [
    *([case] for case in CASES if case.name not in PAIR),
    [case for case in CASES if case.name in PAIR],
]

PATIENCE = 30.0
"""Seconds that an engine may take with a case until it is left out."""


class Contestant:
    """An engine's process. ``reason`` tells why there is none."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.reason, self.version = engine, "", "-"
        self.found: dict[str, list[float]] = {}
        self.refused: dict[str, str] = {}
        self.process: subprocess.Popen[str] | None = None
        try:
            python = interpreter(engine.peer)
        except PeerUnavailableError as error:
            self.reason = str(error)
            return
        self.version = version(python, engine.distribution) if engine.peer else VERSION
        environment = os.environ | ({} if engine.peer else {"PYTHONPATH": _own_path()})
        command = [str(python), "-W", "ignore", str(HERE / "engine_worker.py"), engine.name]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env=environment
        )

    def measure(self, case: Case, seconds: float) -> None:
        """One round of one case, unless it was refused or took too long before."""
        if self.process is None or case.name in self.refused:
            return
        if (self.found.get(case.name) or [0.0])[-1] > SLOW * 1e6:
            return
        began = time.monotonic()
        answer = self._ask({"case": case.name, "seconds": seconds, "expected": case.expected})
        if "took" in answer:
            self.found.setdefault(case.name, []).append(answer["took"])
        else:
            self.refused[case.name] = answer.get("reason", "")
        if time.monotonic() - began > PATIENCE:
            self.refused[case.name] = "takes too long"

    def median(self, case: Case) -> float | None:
        """Microseconds, by what the case divides them by."""
        found = self.found.get(case.name)
        return statistics.median(found) / case.share if found else None

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            assert self.process.stdin is not None
            self.process.stdin.close()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.terminate()
                self.process.wait(20)

    def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self.process is not None
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            print(json.dumps(order), file=self.process.stdin, flush=True)
            answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        except (OSError, ValueError):
            self.process.wait(20)
            self.process, self.reason = None, "ended by itself"
            return {}
        return answer


@dataclass
class EngineReport:
    """What was found.

    Attributes:
        contestants: The engines, ours first.
        cases: The rows.
        rounds: How many medians are over.
    """

    contestants: list[Contestant] = field(default_factory=list)
    cases: Sequence[Case] = CASES
    rounds: int = 0

    def __bool__(self) -> bool:
        return bool(self.contestants)

    def rows(self) -> Iterable[tuple[str, ...]]:
        """Microseconds; beside those of a peer how many times ours they are."""
        present = [one for one in self.contestants if not one.reason]
        yield "µs", *(one.engine.title for one in present)
        for case in self.cases:
            yield case.title, *(_cell(one.median(case), present[0].median(case)) for one in present)
        yield "a branch: what it adds", *(self._branch(one) for one in present)
        yield "10,000 steps, by step, beside 10", *(self._growth(one) for one in present)

    def notes(self) -> Iterable[str]:
        """The versions, and what is not there and why."""
        yield ", ".join(f"{one.engine.title} {one.version}" for one in self.contestants if not one.reason) + "."
        for one in self.contestants:
            if one.reason:
                yield f"{one.engine.title} is not in the table: {one.reason}."
            for case, reason in one.refused.items():
                if reason:
                    yield f"{one.engine.title}, {_title(case)}: {reason}."

    def _branch(self, one: Contestant) -> str:
        pairs = zip(one.found.get("two", ()), one.found.get("branch", ()), strict=False)
        added = [branch - two for two, branch in pairs]
        return f"{statistics.median(added):,.1f}" if added else "-"

    def _growth(self, one: Contestant) -> str:
        cases = {case.name: one.median(case) for case in self.cases}
        longest, shortest = cases.get("chain_10000"), cases.get("chain_10")
        return "-" if longest is None or shortest is None else f"{longest / shortest:.2f} ×"


def measure_engine(*, rounds: int = 3, seconds: float = 0.1, only: str = "") -> EngineReport:
    """Every case in every engine, in interleaved rounds."""
    asked = {name.strip() for name in only.split(",") if name.strip()}
    if unknown := asked - {engine.name for engine in ENGINES}:
        raise SystemExit(f"no engine {', '.join(unknown)}; there are: {', '.join(e.name for e in ENGINES)}")
    contestants = [Contestant(engine) for engine in ENGINES if not asked or engine.name in asked | {"ours"}]
    try:
        for turn in range(rounds):
            for cases in ROWS:
                print(f"engine, round {turn + 1} of {rounds}: {cases[0].title}", file=sys.stderr, flush=True)
                for one in contestants:
                    for case in cases:
                        one.measure(case, seconds)
    finally:
        for one in contestants:
            one.close()
    return EngineReport(contestants, CASES, rounds)


def _cell(took: float | None, ours: float | None) -> str:
    if took is None:
        return "-"
    if ours is None or took == ours:
        return f"{took:,.1f}"
    return f"{took:,.1f} ({took / ours:,.0f} ×)" if took / ours >= 10 else f"{took:,.1f} ({took / ours:.1f} ×)"


def _title(case: str) -> str:
    return next(known.title for known in CASES if known.name == case)


def _own_path() -> str:
    return os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(Path(HERE).parent / "src")])


def main() -> None:
    parser = argparse.ArgumentParser(description="The engine beside those of others.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.1, help="per case, engine and round")
    parser.add_argument("--only", default="", metavar="NAMES", help="of: " + ", ".join(e.name for e in ENGINES))
    options = parser.parse_args()
    found = measure_engine(rounds=options.rounds, seconds=options.seconds, only=options.only)
    rows = list(found.rows())
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    for name, *cells in rows:
        print(name.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)))
    print(*found.notes(), sep="\n")


if __name__ == "__main__":
    main()
