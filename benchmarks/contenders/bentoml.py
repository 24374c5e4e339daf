"""BentoML: a service with one async API, its own ASGI application."""

from __future__ import annotations

from typing import Any

import bentoml
from work import Parameters, answer, process_weather


@bentoml.service(metrics={"enabled": True}, logging={"access": {"enabled": False}})
class Weather:
    """The weather service."""

    @bentoml.api(route="/invoke")
    async def invoke(self, parameters: Parameters) -> dict[str, Any]:
        """Validate, run, answer."""
        return answer(parameters, await process_weather(parameters.city, parameters.temperature))


app = Weather.to_asgi()
