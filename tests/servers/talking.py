"""An app for real servers: runs that wait, and a page that opens a WebSocket to wherever it is told."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route

from pipemount import PipelineApp, Settings, pipeline, step


@step
async def wait(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


@pipeline
def waiting(seconds: float = 0.0) -> Any:
    return wait(seconds)


pipelines = PipelineApp(waiting, settings=Settings(cleanup_timeout=0.5))

PAGE = """<!doctype html><title>page</title><script>
function say(url) {
  return new Promise(resolve => {
    const socket = new WebSocket(url), told = [];
    socket.onopen = () => socket.send(JSON.stringify({type: "invoke", parameters: {}}));
    socket.onmessage = message => {
      told.push(JSON.parse(message.data).type);
      if (told.at(-1) === "ended") socket.close(1000);
    };
    socket.onclose = () => resolve(told);
  });
}
</script>"""


async def page(request: Request) -> HTMLResponse:
    return HTMLResponse(PAGE)


own: Any = pipelines.lifespan
app = Starlette(routes=[Route("/page", page), Mount("/ai", pipelines)], lifespan=own)
