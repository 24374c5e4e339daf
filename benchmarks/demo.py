"""The applications of the demonstrations: blocking steps in a host with an endpoint of its own."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import FastAPI
from work import KEY

from pipemount import AuthKeys, PipelineApp, pipeline, step

BLOCKED = 0.5
SIDE_BY_SIDE = 0.4


@step
def block(value: int) -> Annotated[int, "value"]:
    """Hold a thread for half a second."""
    time.sleep(BLOCKED)
    return value


@step
def pause(value: int) -> int:
    """Hold a thread for 0.4 s."""
    time.sleep(SIDE_BY_SIDE)
    return value


@pipeline
def blocking(value: int) -> int:
    """One blocking step."""
    return block(value)


@pipeline
def three(value: int) -> dict[str, int]:
    """Three steps that do not need each other."""
    return {"a": pause(value, id="a"), "b": pause(value, id="b"), "c": pause(value, id="c")}


ours = PipelineApp({"blocking": blocking, "three": three}, auth=AuthKeys([KEY]))
app = FastAPI(lifespan=ours.lifespan)
app.mount("/ai", ours)


@app.get("/host")
def host() -> dict[str, bool]:
    """The host's own sync endpoint: it needs one of FastAPI's 40 threads."""
    return {"ok": True}


@app.post("/by-hand")
def by_hand() -> dict[str, bool]:
    """The same blocking work without us, in FastAPI's own threads."""
    time.sleep(BLOCKED)
    return {"ok": True}
