"""As an included router: FastAPI's own routing, dependencies and OpenAPI document."""

from __future__ import annotations

from contenders.ours import pipelines
from fastapi import FastAPI

app = FastAPI()
app.include_router(pipelines().router(), prefix="/ai")
