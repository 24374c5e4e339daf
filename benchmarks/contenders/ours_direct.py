"""Served directly: uvicorn's application is ours."""

from __future__ import annotations

from contenders.ours import pipelines

app = pipelines()
