"""What the processes of these tests perform: run with this folder on the path, and a database in the current one."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from pipemount import Local, PipelineApp, Settings, get_step_context, pipeline, step


def note(text: str) -> None:
    """One line, whichever processes write."""
    with Path("notes.txt").open("a") as notes:
        notes.write(text + "\n")


@step
async def count(name: str, steps: int, seconds: float) -> str:
    note(f"begun {name} {os.getpid()}")
    for number in range(steps):
        get_step_context().emit(number)
        await asyncio.sleep(seconds)
    return name


@pipeline
def counting(name: str, steps: int = 3, seconds: float = 0.01) -> Any:
    return count(name, steps, seconds)


@step
async def stay(name: str) -> str:
    """Until it is let go."""
    note(f"begun {name} {os.getpid()}")
    while not Path(f"{name}.go").exists():
        await asyncio.sleep(0.01)
    return name


@pipeline
def staying(name: str) -> Any:
    return stay(name)


@step
def die(name: str) -> str:
    note(f"poison {name} {os.getpid()}")
    while not Path("go").exists():
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)
    return name


@pipeline
def poison(name: str) -> Any:
    return die(name)


@step
def fork(name: str) -> str:
    note(f"begun {name} {os.getpid()}")
    child = os.fork()
    if child == 0:
        while not Path("leave").exists():
            time.sleep(0.01)
        os._exit(0)
    note(f"child {name} {child}")
    return name


@pipeline
def forking(name: str) -> Any:
    return fork(name)


if (
    Path(sys.argv[0]).name == "inside.py" and Path("hold").exists()
):  # a process for one job, that does not come to begin
    note(f"held it {os.getpid()}")
    while Path("hold").exists():
        time.sleep(0.01)

PIPELINES = {"counting": counting, "staying": staying, "poison": poison, "forking": forking}
LEASE = float(os.environ.get("LEASE", "30"))
SETTINGS = Settings(cleanup_timeout=1.0, job_lease=LEASE, job_heartbeat=LEASE / 3)
DATABASE = os.environ.get("DATABASE", "sqlite:///jobs.db")

pipelines = PipelineApp(PIPELINES, settings=SETTINGS, jobs=Local(DATABASE))
web = PipelineApp(PIPELINES, settings=SETTINGS, jobs=Local(DATABASE, runner="external"))
application = pipelines.wsgi
