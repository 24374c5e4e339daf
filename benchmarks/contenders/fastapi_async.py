"""What FastAPI's tutorial shows: a model in, a model out."""

from __future__ import annotations

from fastapi import FastAPI
from work import Answer, Envelope, answer, process_weather

app = FastAPI()


@app.post("/invoke")
async def invoke(envelope: Envelope) -> Answer:
    """Run the step on the loop."""
    parameters = envelope.parameters
    analysis = await process_weather(parameters.city, parameters.temperature)
    return Answer(**answer(parameters, analysis))
