"""The same with ``def``: FastAPI runs it in its thread pool."""

from __future__ import annotations

from fastapi import FastAPI
from work import Answer, Envelope, answer, process_weather_sync

app = FastAPI()


@app.post("/invoke")
def invoke(envelope: Envelope) -> Answer:
    """Run the step in a thread."""
    parameters = envelope.parameters
    analysis = process_weather_sync(parameters.city, parameters.temperature)
    return Answer(**answer(parameters, analysis))
