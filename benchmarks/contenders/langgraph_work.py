"""The weather as a compiled LangGraph graph of two nodes, for who serves it by hand and for us."""

from __future__ import annotations

from typing import Any, NotRequired

from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict


class Question(TypedDict):
    """What callers send."""

    city: NotRequired[str]
    temperature: NotRequired[float]


class Answer(TypedDict):
    """What they get."""

    weather_analysis: str


class State(Question, Answer):
    """What the nodes share."""

    place: str


async def look_up(state: State) -> dict[str, Any]:
    """Fill in what was not sent."""
    return {"place": state.get("city", "Paris"), "temperature": state.get("temperature", 25.0)}


async def process_weather(state: State) -> dict[str, Any]:
    """Say it in a sentence."""
    return {"weather_analysis": f"The weather in {state['place']} is {state['temperature']} degrees Celsius."}


graph = (
    StateGraph(State, input_schema=Question, output_schema=Answer)
    .add_sequence([look_up, process_weather])
    .add_edge(START, "look_up")
    .compile(name="weather")
)
