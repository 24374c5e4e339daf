"""A model that judges many rows at once, the same without that, and one async step: for batches of each."""

from __future__ import annotations

from typing import Any

from contenders.sklearn_work import model
from pipemount import PipelineApp, Settings, pipeline, step
from pipemount import compile as compile_pipeline


class OneByOne:
    """A compiled pipeline that runs one call at a time, as most do."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled

    def __getattr__(self, name: str) -> Any:
        if name == "run_batch":
            raise AttributeError(name)
        return getattr(self._compiled, name)


@step
async def process_weather(city: str, temperature: float) -> str:
    return f"The weather in {city} is {temperature} degrees Celsius."


@pipeline
def weather(city: str = "Paris", temperature: float = 25.0) -> Any:
    return process_weather(city, temperature)


app = PipelineApp(
    {"at-once": compile_pipeline(model), "one-by-one": OneByOne(compile_pipeline(model)), "weather": weather},
    settings=Settings(max_batch=1000),
)
