"""The limit of a mount: the raw callable in FastAPI's ``app.mount``."""

from __future__ import annotations

from fastapi import FastAPI

from contenders.raw import app as raw

app = FastAPI()
app.mount("/ai", raw)
