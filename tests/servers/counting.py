"""A server whose runs tell a number at a time; for tests of whoever follows them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
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


@step
def say(texts: list[str]) -> Iterator[str]:
    yield from texts


@pipeline
def saying(texts: list[str]) -> Any:
    return say(texts)


app = PipelineApp(
    {"counting": counting, "saying": saying}, settings=Settings(max_concurrency=64, max_queue=1000, cleanup_timeout=1.0)
)
