"""Pipelines of the apps whose jobs engines carry in tests; where things are stands in the environment."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

from pipemount import PipelineApp, Settings, get_step_context, pipeline, step

__all__ = ["BROKER", "FOLDER", "OPTIONS", "made"]

FOLDER = Path(os.environ["CARRIED_FOLDER"])
BROKER = os.environ["CARRIED_BROKER"]
OPTIONS: dict[str, Any] = {
    "store": os.environ["CARRIED_STORE"],
    "resend_after": float(os.environ.get("CARRIED_RESEND", "1")),
}
"""What an app says of its jobs, whatever carries them."""


def note(line: str) -> None:
    """One line more in a file that all processes write: of less than a page, so never one in another."""
    with (FOLDER / "begun").open("a") as begun:
        begun.write(f"{line}\n")


@step
async def count(name: str, total: int, pause: float) -> str:
    note(name)
    for number in range(total):
        get_step_context().emit(number)
        await asyncio.sleep(pause)
    return name


@step
def refuse_to_end(name: str, seconds: float) -> str:
    (FOLDER / f"{name}.pid").write_text(str(os.getpid()))
    note(name)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.01)
    return name


@step
def kill_once(name: str) -> str:
    """The first time the process does not survive it."""
    if _is_first(name):
        os.kill(os.getpid(), signal.SIGKILL)
    return name


@step
async def wait_once(name: str) -> str:
    """The first time it waits for the end of the process."""
    get_step_context().emit(name)
    if _is_first(name):
        await asyncio.Event().wait()
    return name


def _is_first(name: str) -> bool:
    found = not (FOLDER / name).exists()
    (FOLDER / name).touch()
    note(name)
    return found


@pipeline
def counting(name: str, total: int = 1, pause: float = 0.0) -> Any:
    return count(name, total, pause)


@pipeline
def stubborn(name: str, seconds: float) -> Any:
    return refuse_to_end(name, seconds)


@pipeline
def killing(name: str) -> Any:
    return kill_once(name)


@pipeline
def waiting(name: str) -> Any:
    return wait_once(name)


PIPELINES = {"counting": counting, "stubborn": stubborn, "killing": killing, "waiting": waiting}
KNOWN = os.environ.get("CARRIED_PIPELINES", " ".join(PIPELINES)).split()


def made(jobs: Any) -> PipelineApp:
    """An app of those pipelines that this process is to know."""
    known = {name: PIPELINES[name] for name in KNOWN}
    return PipelineApp(known, jobs=jobs, settings=Settings(job_lease=4.0, job_heartbeat=1.0))
