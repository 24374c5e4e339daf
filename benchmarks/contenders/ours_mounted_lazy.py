"""Mounted with no further line: runs live on a loop thread of our own, each request is handed over."""

from __future__ import annotations

from contenders.ours import pipelines
from fastapi import FastAPI

app = FastAPI()
app.mount("/ai", pipelines())
