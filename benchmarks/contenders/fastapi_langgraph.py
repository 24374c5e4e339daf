"""A LangGraph graph behind FastAPI by hand: validated in, awaited, validated out."""

from __future__ import annotations

from fastapi import FastAPI
from work import Answer, Envelope, answer

from contenders.langgraph_work import graph

app = FastAPI()


@app.post("/invoke")
async def invoke(envelope: Envelope) -> Answer:
    """Run the graph on the loop."""
    parameters = envelope.parameters
    outputs = await graph.ainvoke({"city": parameters.city, "temperature": parameters.temperature})
    return Answer(**answer(parameters, outputs["weather_analysis"]))
