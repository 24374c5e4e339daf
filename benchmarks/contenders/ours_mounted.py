"""Mounted, started and stopped by the host's lifespan: runs live on the host's loop."""

from __future__ import annotations

from contenders.ours import pipelines
from fastapi import FastAPI

ours = pipelines()
app = FastAPI(lifespan=ours.lifespan)
app.mount("/ai", ours)
