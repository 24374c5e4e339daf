"""As an included router: FastAPI's own routing, dependencies and OpenAPI document."""

from __future__ import annotations

from fastapi import FastAPI

from contenders.ours import pipelines

app = FastAPI()
app.include_router(pipelines().router(), prefix="/ai")
