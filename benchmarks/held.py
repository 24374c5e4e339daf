"""The product whose worker is killed: a job that does not end the first time, until all may."""

from __future__ import annotations

import asyncio
import os

from queues.body import FOLDER, do, done

from pipemount import Local, PipelineApp, Settings, pipeline, step

__all__ = ["pipelines"]

STORE = os.environ["BENCHMARK_STORE"]


@step
async def work(number: int) -> int:
    """Note that it begins; whoever begins it first stays with it until he is killed, or all may end."""
    before = sum(1 for each, _, _ in done() if each == number)
    do(number)
    while not (before or (FOLDER / "all-may-end").exists()):
        await asyncio.sleep(0.1)
    return before


@pipeline
def hold(number: int) -> int:
    """Of one step."""
    return work(number)


pipelines = PipelineApp(
    hold,
    settings=Settings(job_lease=5.0, job_heartbeat=1.0),
    jobs=Local(STORE, runner="external", app="held:pipelines"),
)
