"""Advice about one specimen: a pipeline that reads the product's table and writes its answer word by word."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from pipemount import PipelineError, StepContext, pipeline, step

from .assistant import WORDS, Topic
from .database import Specimen, connect, find_specimen
from .settings import Settings

__all__ = ["advice"]

KNOWN: dict[Topic, str] = {
    "water": "Put a finger into the soil before you water it. If the soil is dry as deep as the nail, give it a can of "
    "rain water in the evening, at the roots and not over the leaves; if it is wet, leave it alone for two days.",
    "light": "Count the hours of sun that its place has on a clear day. With six or more it flowers well; with fewer "
    "than three, move it in autumn, or cut back what stands to the south of it.",
    "planting": "Lift it in autumn, on a day without frost. Divide the roots with a sharp spade, keep what is firm, "
    "and set each part as deep as it stood before, an arm's length from the next one.",
}
UNKNOWN = f"I know about {', '.join(KNOWN)} only; please ask the gardener who has the bed."
LAST = "Write down what you did and when, so that whoever has the bed next year can see what came of it."


class Writer:
    """Stands where your language model would: it says what its prompt says, a word at a time, and takes its time.

    Args:
        pace: Seconds for a word.
    """

    def __init__(self, pace: float) -> None:
        self.pace = pace

    async def write(self, prompt: str) -> AsyncIterator[str]:
        """The words, as they come."""
        for index, word in enumerate(prompt.split(" ")):
            await asyncio.sleep(self.pace)
            yield f" {word}" if index else word


@dataclass(frozen=True, slots=True)
class Desk:
    """What every run needs: where the specimens are, and who writes."""

    database: Path
    writer: Writer


def open_desk() -> Desk:
    """At the start of the server."""
    settings = Settings.from_env()
    return Desk(settings.database, Writer(settings.pace))


@step
def look_up(specimen: int, context: StepContext) -> Specimen:
    """The specimen, as the product's table has it now."""
    desk: Desk = context.pipeline_state
    with closing(connect(desk.database)) as connection:
        found = find_specimen(connection, specimen)
    if found is None:
        raise PipelineError(f"no specimen has the number {specimen}", status=404, code="no-specimen")
    return found


@step
def plan(found: Specimen, question: str) -> list[str]:
    """What the model is told to write: a prompt for each paragraph."""
    asked = question.lower()
    topic = next((topic for topic, words in WORDS.items() if any(word in asked for word in words)), None)
    return [
        f"You ask about {found.label}, {found.species}, in the bed {found.bed}.",
        f"The desk has noted: {found.note}" if found.note else "The desk has noted nothing more about it.",
        KNOWN[topic] if topic else UNKNOWN,
        LAST,
    ]


@step
async def write(prompts: list[str], context: StepContext) -> AsyncIterator[str]:
    """Have the model write them. Whoever follows the run reads each word when it comes."""
    desk: Desk = context.pipeline_state
    for done, prompt in enumerate(prompts):
        context.progress(done, len(prompts))
        if done:
            yield "\n\n"
        async for word in desk.writer.write(prompt):
            yield word
    context.progress(len(prompts), len(prompts))


@step
def bind(words: list[str]) -> Annotated[str, "answer"]:
    """The whole answer, for those who have not followed it."""
    return "".join(words)


@pipeline(on_init=open_desk)
def advice(
    specimen: int, question: Annotated[str, Field(min_length=3, max_length=500, description="In your own words")]
) -> str:
    """Answer a question about one specimen of the garden."""
    answer: str = bind(write(plan(look_up(specimen), question)))
    return answer
