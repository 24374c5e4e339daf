"""``--against COMMIT``: the requests through us as we are, beside us as we were, in the same interleaved rounds."""

from __future__ import annotations

import io
import statistics
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path

from contenders import Contender
from load import Load
from measure import CONNECTIONS, Entry, measure
from peers import HERE

__all__ = ["measure_against"]


def measure_against(commit: str, contenders: Iterable[Contender], *, rounds: int, seconds: float) -> str:
    """A table: each of our contenders now and at ``commit``; Markdown.

    Args:
        commit: Whatever ``git archive`` takes.
        contenders: Those that are not ours are left out, but for ``raw``.
        rounds: Interleaved; a ratio is the median of those within the rounds.
        seconds: Per contender, round and load.
    """
    with tempfile.TemporaryDirectory(prefix="pipemount-before-") as folder:
        before = _source(commit, Path(folder))
        chosen = [one for one in contenders if one.group == "ours" or one.name == "raw"]
        pairs = [(one, one.at(before)) for one in chosen if one.group == "ours"]
        entries = measure(
            [*(one for one in chosen if one.group != "ours"), *(one for pair in pairs for one in pair)],
            rounds=rounds,
            seconds=seconds,
        )
    return _table(commit, [entry for entry in entries if entry.contender.group == "ours"])


def _source(commit: str, folder: Path) -> Path:
    """What ``src`` was at ``commit``, in ``folder``."""
    archive = subprocess.run(["git", "archive", commit, "src"], cwd=HERE.parent, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    return folder / "src"


def _table(commit: str, entries: list[Entry]) -> str:
    lines = [f"| now / {commit} | " + " | ".join(_heads()) + " |", "|---|" + "---:|" * len(_heads())]
    for now, then in zip(entries[::2], entries[1::2], strict=True):
        cells = [cell for connections in CONNECTIONS for cell in _cells(now, then, connections)]
        lines.append(f"| {now.contender.title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _heads() -> list[str]:
    return [f"{what}, {connections} connections" for connections in CONNECTIONS for what in ("rate", "CPU", "p99")]


def _cells(now: Entry, then: Entry, connections: int) -> list[str]:
    """Ratios within the rounds, with their spread: above 1 is more than before."""
    if now.reason or then.reason:
        return [now.reason or then.reason, "", ""]
    return [
        _spread([pick(a) / pick(b) for a, b in zip(now.loads[connections], then.loads[connections], strict=True)])
        for pick in (lambda load: load.rate, lambda load: load.cpu, _p99)
    ]


def _p99(load: Load) -> float:
    return load.p99


def _spread(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
