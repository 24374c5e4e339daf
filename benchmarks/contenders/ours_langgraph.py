"""The same graph, mounted in FastAPI with its lifespan."""

from __future__ import annotations

from fastapi import FastAPI

from contenders.langgraph_work import graph
from contenders.ours import pipelines

ours = pipelines(graph)
app = FastAPI(lifespan=ours.lifespan)
app.mount("/ai", ours)
