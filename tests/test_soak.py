"""A million invocations leave nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")

MOST = 2 * 1024 * 1024


def soak(warm_up: int, times: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.support.soak", str(warm_up), str(times)]
    unwatched = {
        name: value for name, value in os.environ.items() if not name.startswith("COV")
    }  # it takes time and memory
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1], env=unwatched
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("warm_up", "times"),
    [(10_000, 100_000), pytest.param(100_000, 1_000_000, marks=[pytest.mark.full, pytest.mark.timeout(1800)])],
)
def test_memory_tasks_and_descriptors_stay_as_they_were(warm_up: int, times: int) -> None:
    found = soak(warm_up, times)

    assert found["grown"] <= MOST
    assert found["after"] == found["before"]
