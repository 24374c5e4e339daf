"""As FastAPI's middleware: the host's own stack is passed by."""

from __future__ import annotations

from fastapi import FastAPI

from contenders.ours import pipelines
from pipemount import PipelineMiddleware

app = FastAPI()
app.add_middleware(PipelineMiddleware, pipelines=pipelines(), path="/ai")
