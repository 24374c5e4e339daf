"""A host with three apps in it, for a real server: one around it, one mounted in it, and one in a host inside it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Mount, Route

from pipemount import PipelineApp, pipeline, step

NOTES = Path(os.environ["SEVERAL_NOTES"])


def note(what: str) -> None:
    with NOTES.open("a") as notes:
        notes.write(f"{what}\n")


@step
def answer(state: Any) -> Any:
    return state


def app_named(name: str) -> PipelineApp:
    def load() -> str:
        note(f"init {name}")
        return name

    def unload(state: str) -> None:
        note(f"cleanup {state}")

    @pipeline(on_init=load, on_cleanup=unload)
    def tell(word: str) -> Any:
        return answer(word)

    return PipelineApp(tell)


outer, middle, inner = app_named("outer"), app_named("middle"), app_named("inner")


async def ticker(request: Request) -> StreamingResponse:
    async def beats() -> Any:
        async for _ in middle.ticks(0.05):
            yield ": beat\n\n"
        yield "event: end\nretry: 1000\n\n"

    return StreamingResponse(beats(), media_type="text/event-stream")


own: Any = inner.lifespan
nested = Starlette(lifespan=own, routes=[Mount("/ai", inner)])
both: Any = middle.lifespan.around(own)
host = Starlette(
    lifespan=both,
    routes=[Route("/ticker", ticker), Mount("/ai", middle), Mount("/nested", nested), Mount("/again", outer)],
)
app = outer.wrap(outer.wrap(host, "/first"), "/second")
