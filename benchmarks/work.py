"""The work that every contender does, and the envelope it travels in: the same bytes in, the same shape out."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

BODY = b'{"parameters":{"city":"Oslo","temperature":3.0}}'
KEY = "benchmark-0123456789abcdef0123456789abcdef"
EXPECTED = "The weather in Oslo is 3.0 degrees Celsius."


class Parameters(BaseModel):
    """The pipeline's two parameters, as a team writes them by hand."""

    model_config = ConfigDict(extra="forbid")

    city: str = "Paris"
    temperature: float = 25.0


class Envelope(BaseModel):
    """A request; the by-hand contenders leave the optional members out."""

    parameters: Parameters


class Answer(BaseModel):
    """The invocation response, as a team declares it by hand."""

    success: bool
    outputs: dict[str, str]
    execution_time: float
    metadata: dict[str, Any]
    error: str | None


async def process_weather(city: str = "Paris", temperature: float = 25.0) -> str:
    """The weather pipeline's one step."""
    return f"The weather in {city} is {temperature} degrees Celsius."


def process_weather_sync(city: str = "Paris", temperature: float = 25.0) -> str:
    """The same for contenders that call a plain function in a thread."""
    return f"The weather in {city} is {temperature} degrees Celsius."


def answer(parameters: Parameters, analysis: str) -> dict[str, Any]:
    """The invocation response with constants where a product would keep books."""
    return {
        "success": True,
        "outputs": {"weather_analysis": analysis},
        "execution_time": 0.0001,
        "metadata": {
            "deployment_id": "00000000-0000-4000-8000-000000000000",
            "deployment_name": "weather",
            "snapshot_id": "00000000-0000-4000-8000-000000000000",
            "snapshot_name": None,
            "pipeline_name": "weather",
            "run_id": "00000000-0000-4000-8000-000000000000",
            "run_index": 1,
            "run_name": "weather-00000000-0000-4000-8000-000000000000",
            "parameters_used": {"city": parameters.city, "temperature": parameters.temperature},
        },
        "error": None,
    }
