"""Import time, each in a fresh interpreter."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

from peers import HERE

__all__ = ["measure_imports"]

IMPORTS = {
    "pydantic alone": "from pydantic import BaseModel, TypeAdapter",
    "FastAPI": "from fastapi import FastAPI",
    "pipemount, to author steps": "from pipemount import pipeline, step",
    "pipemount, to serve them": "from pipemount import AuthKeys, PipelineApp, pipeline, step",
}
TIMED = "import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"


def measure_imports(rounds: int = 7) -> dict[str, float]:
    """Seconds by what is imported: medians of interleaved fresh interpreters, byte code already compiled."""
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent / "src")}
    found: dict[str, list[float]] = {name: [] for name in IMPORTS}
    for _ in range(rounds + 1):
        for name, statement in IMPORTS.items():
            command = [sys.executable, "-c", TIMED.format(statement=statement)]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            found[name].append(float(done.stdout))
    return {name: statistics.median(times[1:]) for name, times in found.items()}


if __name__ == "__main__":
    for what, took in measure_imports().items():
        print(f"{what:30} {took:.3f} s")
