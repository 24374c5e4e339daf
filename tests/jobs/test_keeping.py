"""Jobs whose finished steps are not run again, and jobs that wait for an answer: with a database and real processes."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.jobs import asking
from tests.jobs.twenty_steps import STEPS

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("where", ["here", pytest.param("alone", marks=pytest.mark.full)])
def test_a_job_that_is_killed_after_each_of_its_steps_runs_each_once(tmp_path: Path, where: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.jobs.twenty_steps", where, str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        timeout=280,
        check=True,
    )
    jobs = json.loads(done.stdout)
    ran = [tuple(map(int, line.split())) for line in (tmp_path / "steps").read_text().splitlines()]
    assert sorted(ran) == [(job, number) for job in range(1, STEPS + 1) for number in range(STEPS)]
    assert len(jobs) == STEPS
    for job in jobs:
        killed_after = job["job"]
        assert (job["status"], job["outputs"]) == ("succeeded", {"output": 190})
        assert (job["attempt"], job["crashes"]) == (2, 1)
        events = job["events"]
        assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
        ended = [event for event in events if event["kind"] == "step_completed"]
        again = [event["step"] for event in ended if event["data"].get("recovered")]
        assert len(again) == killed_after
        assert [event["kind"] for event in events].count("run_completed") == 1


async def test_a_job_that_asks_outlives_its_process_and_is_answered_in_another(tmp_path: Path) -> None:
    database = str(tmp_path / "jobs.db")
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.jobs.asking", database, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert program.stdout is not None
        job_id = (await asyncio.wait_for(program.stdout.readline(), 60)).decode().strip()
    finally:
        program.kill()
        await program.wait()
    app = asking.make(database)
    async with app.lifespan(None):
        job = await app.get(job_id)
        assert (job.status, job.question and job.question["reason"], job.crashes) == ("suspended", "publish?", 0)
        await app.resume(job_id, True)
        events = [event async for event in app.events(job_id)]
        job = await app.get(job_id)
    assert (job.status, job.outputs, job.attempt) == ("succeeded", {"output": True}, 1)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert asking.RUNS == ["approve"], "what had ended in the other process was not run again"
