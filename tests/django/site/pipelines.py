from __future__ import annotations

import asyncio
import threading
from typing import Any

from django.db import connection

from pipemount import AuthKeys, PipelineApp, PipelineError, StepContext, pipeline, step

KEY = "correct-horse-battery-staple"


@step
def look(city: str, temperature: float) -> str:
    return f"The weather in {city} is {temperature} degrees Celsius."


@pipeline
def weather(city: str = "Oslo", temperature: float = 3.0) -> Any:
    """Tells the weather."""
    return look(city, temperature)


@step
def who(context: StepContext) -> str:
    caller = context.principal
    if caller is None:
        return "nobody"
    return f"{caller.name} of {caller.source} may {', '.join(sorted(caller.permissions))}"


@pipeline
def whoami() -> Any:
    return who()


@step
def count() -> int:
    from .models import Note

    return Note.objects.count()


@step
def count_in_background(notes: int) -> int:
    from .models import Note

    return notes + Note.objects.count()


@step
async def count_async(notes: int) -> int:
    from .models import Note

    return notes + await Note.objects.acount()


@pipeline
def counting() -> Any:
    return count()


@pipeline
def counting_async() -> Any:
    return count_async(count())


@step(affinity="request")
def write(text: str) -> bool:
    """Whether it is in a transaction."""
    from .models import Note

    Note.objects.create(text=text)
    return connection.in_atomic_block


@step
def end(atomic: bool, well: bool) -> bool:
    if not well:
        raise PipelineError("it does not go well", status=422)
    return atomic


@pipeline
def writing(text: str, well: bool = True) -> Any:
    return end(write(text), well)


@step
async def wait(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


@pipeline
def waiting(seconds: float = 0.0) -> Any:
    return wait(seconds)


WRITTEN = threading.Event()


@step
async def linger(atomic: bool) -> bool:
    WRITTEN.set()
    await asyncio.sleep(60)
    return atomic


@pipeline
def lingering(text: str) -> Any:
    return linger(write(text))


ALL = {
    "lingering": lingering,
    "weather": weather,
    "whoami": whoami,
    "counting": counting,
    "counting_async": counting_async,
    "writing": writing,
    "waiting": waiting,
}

pipelines = PipelineApp(weather)
several = PipelineApp(ALL)
keyed = PipelineApp(ALL, auth=AuthKeys({"robot": KEY}))
