"""``pipemount worker``, as far as it goes wrong; what it performs is shown in ``tests/jobs/test_workers.py``."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Pipemount

APPS = """
from pipemount import Local, PipelineApp, pipeline, step

@step
def echo(a: int) -> int:
    return a

@pipeline
def echoing(a: int):
    return echo(a)

plain = PipelineApp(echoing)
durable = PipelineApp(echoing, jobs=Local("sqlite:///jobs.db"))
"""


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("offers:echoing", "is no PipelineApp"),
        ("offers:plain", "Local('sqlite:///jobs.db')"),
        ("offers:none", "has no 'none'"),
    ],
)
def test_what_has_no_jobs_to_perform(project: Path, pipemount: Pipemount, target: str, why: str) -> None:
    (project / "offers.py").write_text(APPS)
    result = pipemount("worker", target)
    assert result.exit_code != 0
    assert why in " ".join(result.output.split())


def test_a_queue_that_can_have_no_jobs(project: Path, pipemount: Pipemount) -> None:
    """Such as that of a variable that is not set: the worker would wait for ever."""
    (project / "offers.py").write_text(APPS)
    result = pipemount("worker", "offers:durable", "--queue", "")
    assert (result.exit_code, result.stderr) == (1, "error: queue='': give it a name, of 200 letters at most\n")
