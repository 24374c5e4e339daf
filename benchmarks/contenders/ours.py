"""Our pipelines, with everything on that a product has: keys, limits, run ids, generated schemas."""

from __future__ import annotations

from typing import Annotated

from work import KEY

from pipemount import AuthKeys, PipelineApp, pipeline, step


@step
async def process_weather(city: str, temperature: float) -> Annotated[str, "weather_analysis"]:
    """Runs on the loop."""
    return f"The weather in {city} is {temperature} degrees Celsius."


@step
def process_weather_sync(city: str, temperature: float) -> Annotated[str, "weather_analysis"]:
    """Runs in the app's threads."""
    return f"The weather in {city} is {temperature} degrees Celsius."


@pipeline
def weather(city: str = "Paris", temperature: float = 25.0) -> str:
    """The weather pipeline."""
    return process_weather(city, temperature)


@pipeline(name="weather")
def weather_sync(city: str = "Paris", temperature: float = 25.0) -> str:
    """The weather pipeline with a sync step."""
    return process_weather_sync(city, temperature)


def pipelines(served: object = weather) -> PipelineApp:
    """The app as each contender hosts it."""
    return PipelineApp(served, auth=AuthKeys([KEY]))
