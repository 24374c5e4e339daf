"""Mounted, started and stopped by the host's lifespan: runs live on the host's loop."""

from __future__ import annotations

from fastapi import FastAPI

from contenders.ours import pipelines

ours = pipelines()
app = FastAPI(lifespan=ours.lifespan)
app.mount("/ai", ours)
