"""A program whose job asks: ``python -m tests.jobs.asking DATABASE`` tells the id when it is suspended, and stays."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from pipemount import Local, PipelineApp, Settings, StepContext, pipeline, step

RUNS: list[str] = []


@step
def draft(topic: str) -> str:
    RUNS.append("draft")
    return f"About {topic}."


@step
async def approve(text: str, context: StepContext) -> bool:
    RUNS.append("approve")
    answer: bool = context.suspend("publish?", bool)
    return answer


@pipeline
def publishing(topic: str) -> Any:
    return approve(draft(topic))


def make(database: str) -> PipelineApp:
    return PipelineApp(publishing, jobs=Local(f"sqlite:///{database}"), settings=Settings(cleanup_timeout=1))


async def ask(database: str) -> None:
    app = make(database)
    async with app.lifespan(None):
        job = await app.submit(topic="rain")
        while (await app.get(job)).status != "suspended":
            await asyncio.sleep(0.01)
        print(job.id, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(ask(sys.argv[1]))
