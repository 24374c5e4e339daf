"""Mounted with no further line: runs live on a loop thread of our own, each request is handed over."""

from __future__ import annotations

from fastapi import FastAPI

from contenders.ours import pipelines

app = FastAPI()
app.mount("/ai", pipelines())
