"""``python -m pipemount.testing.hosts``: all clauses on all pairs; ``--write PAGE`` writes the table down."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from .clause import CLAUSES
from .outcomes import Outcome, run_all
from .pairs import pairs
from .table import cells, render

__all__ = ["main"]


def main() -> int:
    """The exit status: 1 if a clause does not hold."""
    options = _options()
    chosen = [pair for pair in pairs() if options.only in pair.name]
    clauses = [CLAUSES[name] for name in options.clause]
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        outcomes = run_all(chosen, Path(folder), clauses, jobs=options.jobs, tell=_tell)
    if options.write:
        kept = cells(options.write.read_text()) if options.write.exists() else {}
        options.write.write_text(render(outcomes, pairs(), kept))
    failed = sum(bool(outcome.failure) for outcome in outcomes)
    print(f"{len(chosen)} pairs, {len(outcomes)} times a clause, {failed} failed, {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m pipemount.testing.hosts", description=__doc__)
    parser.add_argument("--write", type=Path, metavar="PAGE", help="bring the table of this page up to date")
    parser.add_argument("--only", default="", metavar="TEXT", help="pairs whose name has this text, e.g. 'Flask'")
    parser.add_argument("--clause", action="append", default=[], choices=CLAUSES, help="this clause; may be repeated")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="pairs at the same time")
    return parser.parse_args()


def _tell(outcome: Outcome) -> None:
    if outcome.failure:
        print(f"FAILED {outcome.pair.name}: {outcome.clause.says}\n{outcome.failure}\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
