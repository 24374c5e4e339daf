"""Apps for browsers: runs that go on until a page says otherwise, and pages that follow them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route

from pipemount import AuthKeys, PipelineApp, Settings, pipeline, step

KEY = "the key of ada, which is long enough"

enough = asyncio.Event()


@step
async def wait(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


@pipeline
def waiting(seconds: float = 0.0) -> Any:
    return wait(seconds)


@step
async def numbers() -> AsyncIterator[int]:
    for number in count():
        if enough.is_set():
            return
        yield number
        await asyncio.sleep(0.02)


@pipeline
def counting() -> Any:
    return numbers()


open_to_all = PipelineApp(waiting, settings=Settings(cleanup_timeout=0.5))
locked = PipelineApp(
    counting, auth=AuthKeys({"ada": KEY}), settings=Settings(max_stream_age=0.4, stream_retry=0.02, cleanup_timeout=0.5)
)

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
function follow(url, job_id, told = []) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url), after = told.length ? told.at(-1)[0] : 0;
    socket.onopen = () => socket.send(JSON.stringify({type: "subscribe", job_id, after}));
    socket.onmessage = message => {
      const said = JSON.parse(message.data);
      if (said.type === "event") told.push([said.event.sequence, said.event.kind]);
      if (said.type === "ended") { socket.close(1000); resolve(told); }
    };
    socket.onclose = ({code}) => code === 1012 ? resolve(follow(url, job_id, told)) : reject(`closed with ${code}`);
  });
}
function listen(url, opens) {
  return new Promise(resolve => {
    const source = new EventSource(url), told = [];
    let opened = 0;
    source.onopen = () => { if (++opened === opens) fetch("/enough", {method: "POST"}); };
    for (const kind of ["run_started", "step_started", "delta", "step_completed", "run_completed"])
      source.addEventListener(kind, ({lastEventId, data}) => told.push([Number(lastEventId), kind, JSON.parse(data)]));
    source.onerror = () => { if (source.readyState === EventSource.CLOSED) resolve({told, opened}); };
  });
}
</script>"""


async def page(request: Request) -> HTMLResponse:
    return HTMLResponse(PAGE)


async def say_enough(request: Request) -> HTMLResponse:
    enough.set()
    return HTMLResponse("")


own: Any = open_to_all.lifespan.around(locked.lifespan)
app = Starlette(
    routes=[
        Route("/page", page),
        Route("/enough", say_enough, methods=["POST"]),
        Mount("/ai", open_to_all),
        Mount("/locked", locked),
    ],
    lifespan=own,
)
