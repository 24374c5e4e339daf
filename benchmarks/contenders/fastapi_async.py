"""What FastAPI's tutorial shows: a model in, a model out."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from work import Envelope, answer, process_weather


class Answer(BaseModel):
    """The invocation response, declared so that the host's document shows it."""

    success: bool
    outputs: dict[str, str]
    execution_time: float
    metadata: dict[str, Any]
    error: str | None


app = FastAPI()


@app.post("/invoke")
async def invoke(envelope: Envelope) -> Answer:
    """Run the step on the loop."""
    parameters = envelope.parameters
    analysis = await process_weather(parameters.city, parameters.temperature)
    return Answer(**answer(parameters, analysis))
