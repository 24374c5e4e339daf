"""The wall clock of processes that have this folder on their path: off by as many seconds as the file ``CLOCK`` says.

As of a machine whose clock is set while its processes run. ``time.monotonic`` goes on, as it does there.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

CLOCK = Path(os.environ["CLOCK"])

real, real_ns = time.time, time.time_ns


def shift() -> float:
    return float(CLOCK.read_text())


time.time = lambda: real() + shift()
time.time_ns = lambda: real_ns() + int(shift() * 1e9)
