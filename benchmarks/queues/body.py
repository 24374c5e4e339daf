"""What every job does: it writes down that it has begun, and when."""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path

__all__ = ["ENTRY", "FOLDER", "POSTGRES", "VALKEY", "do", "done"]

FOLDER = Path(os.environ.get("BENCHMARK_FOLDER", "."))
POSTGRES = os.environ.get("BENCHMARK_POSTGRES", "")
VALKEY = os.environ.get("BENCHMARK_VALKEY", "")
ENTRY = struct.Struct("=Qdq")
"""The job's number, the time of the system's monotonic clock, and the process."""

_LOG = FOLDER / "begun"
_opened: dict[int, int] = {}


def do(number: int) -> int:
    """The work. One write that the kernel makes whole, whoever else writes."""
    log = _opened.get(os.getpid())
    if log is None:
        log = _opened[os.getpid()] = os.open(_LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(log, ENTRY.pack(number, time.monotonic(), os.getpid()))
    return number + 1


def done(after: int = 0) -> list[tuple[int, float, int]]:
    """What was written down behind the first ``after`` entries."""
    if not _LOG.exists():
        return []
    with _LOG.open("rb") as log:
        log.seek(after * ENTRY.size)
        found = log.read()
    whole = len(found) - len(found) % ENTRY.size  # a write across two pages can be seen half
    return list(ENTRY.iter_unpack(found[:whole]))
