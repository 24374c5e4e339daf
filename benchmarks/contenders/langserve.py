"""LangServe: the step as a ``RunnableLambda``, its routes added to FastAPI as its README shows."""

from __future__ import annotations

from fastapi import FastAPI
from langchain_core.runnables import RunnableLambda
from langserve import add_routes
from work import Parameters, process_weather


async def weather(parameters: dict[str, object]) -> str:
    """LangServe hands the validated input over as a dictionary."""
    return await process_weather(**parameters)


app = FastAPI()
add_routes(
    app, RunnableLambda(weather).with_types(input_type=Parameters, output_type=str), enabled_endpoints=["invoke"]
)
