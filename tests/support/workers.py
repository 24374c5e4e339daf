"""Processes around the apps of ``tests/jobs/desks.py``, in a folder that they share: workers, and a web process."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipemount.jobs.models import ENDED
from pipemount.testing.hosts.process import serving

from .servers import Server, wait_until

__all__ = ["begun", "desks", "ended", "everybody", "kinds", "notes", "record", "said", "submit", "website", "worker"]

HERE = str(Path(__file__).parents[1] / "jobs")


@contextmanager
def worker(folder: Path, *words: str, env: Mapping[str, str] | None = None) -> Iterator[Server]:
    """One that performs jobs; ``words`` of its command line, variables of its environment."""
    command = [sys.executable, "-m", "pipemount.cli", "worker", "desks:pipelines", *words]
    with serving(command, folder=folder, env=desks(env), wait=False) as process:
        wait_until(lambda: "performing" in process.log or process.process.poll() is not None)
        assert process.process.poll() is None, process.log
        yield process


def desks(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment in which the apps are found; what is on ``PYTHONPATH`` in ``env`` comes first."""
    own = dict(env or {})
    places = [own.get("PYTHONPATH", HERE), HERE, *(str(Path(entry).resolve()) for entry in sys.path)]
    return {**own, "PYTHONPATH": os.pathsep.join(places)}


@contextmanager
def website(folder: Path, target: str = "web", env: Mapping[str, str] | None = None) -> Iterator[Server]:
    """One that serves; by default it performs no jobs."""
    command = [sys.executable, "-m", "uvicorn", f"desks:{target}", "--port", "{port}", "--log-level", "warning"]
    with serving(command, folder=folder, env=desks(env)) as server:
        yield server


def submit(server: Server, pipeline: str = "counting", **inputs: Any) -> str:
    """The id of a job that was accepted."""
    reply = server.post(f"/pipelines/{pipeline}/submit", {"parameters": inputs})
    assert reply.status == 202, reply.body
    return str(reply.json()["job_id"])


def record(server: Server, job_id: str) -> dict[str, Any]:
    """A job as it is now."""
    found: dict[str, Any] = server.get(f"/jobs/{job_id}").json()
    return found


def ended(server: Server, job_id: str, timeout: float = 60.0) -> dict[str, Any]:
    """A job once it has ended."""
    wait_until(lambda: record(server, job_id)["status"] in ENDED, timeout)
    return record(server, job_id)


def kinds(server: Server, job_id: str) -> list[str]:
    """Of all events of a job that has ended, which are numbered without a gap."""
    told = server.get(f"/jobs/{job_id}/events").body.decode()
    events = [json.loads(line[6:]) for line in told.splitlines() if line.startswith("data: ")]
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    return [event["kind"] for event in events]


def said(server: Server, job_id: str) -> list[Any]:
    """What the steps of a job that has ended have emitted, in order."""
    told = server.get(f"/jobs/{job_id}/events").body.decode()
    events = [json.loads(line[6:]) for line in told.splitlines() if line.startswith("data: ")]
    return [event["data"]["value"] for event in events if event["kind"] == "data"]


def notes(folder: Path) -> list[str]:
    """What jobs have noted when they began."""
    found = folder / "notes.txt"
    return found.read_text().splitlines() if found.exists() else []


def begun(folder: Path, name: str) -> list[int]:
    """The processes that have begun a job, in order."""
    return [int(line.split()[2]) for line in notes(folder) if line.split()[1] == name]


def everybody(folder: Path) -> set[int]:
    """The processes that have begun anything."""
    return {int(line.split()[2]) for line in notes(folder)}
