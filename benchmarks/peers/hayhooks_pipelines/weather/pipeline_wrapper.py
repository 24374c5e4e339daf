"""The weather as a Haystack pipeline of one component."""

from __future__ import annotations

from hayhooks import BasePipelineWrapper
from haystack import Pipeline, component
from work import Parameters, answer, process_weather, process_weather_sync


@component
class Weather:
    """The step; Haystack wants a sync and an async form."""

    @component.output_types(analysis=str)
    def run(self, city: str, temperature: float) -> dict[str, str]:
        """Run in a thread."""
        return {"analysis": process_weather_sync(city, temperature)}

    @component.output_types(analysis=str)
    async def run_async(self, city: str, temperature: float) -> dict[str, str]:
        """Run on the loop."""
        return {"analysis": await process_weather(city, temperature)}


class PipelineWrapper(BasePipelineWrapper):
    """What Hayhooks deploys."""

    def setup(self) -> None:
        """Build the pipeline once."""
        self.pipeline = Pipeline()
        self.pipeline.add_component("weather", Weather())

    async def run_api_async(self, parameters: Parameters) -> dict:
        """Run it and answer as the others do; Hayhooks hands a validated model over as a dictionary."""
        inputs = {"weather": dict(parameters)}
        outputs = await self.pipeline.run_async(inputs)
        return answer(Parameters.model_construct(**parameters), outputs["weather"]["analysis"])
