"""A server whose runs tell a number at a time; for tests of whoever follows them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from pipemount import PipelineApp, Settings, pipeline, step


@step
async def count(number: int, pause: float) -> AsyncIterator[int]:
    for each in range(number):
        await asyncio.sleep(pause)
        yield each


@pipeline
def counting(number: int, pause: float = 0.005) -> Any:
    return count(number, pause)


app = PipelineApp(counting, settings=Settings(max_concurrency=64, max_queue=1000))
