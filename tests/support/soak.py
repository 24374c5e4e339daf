"""Invocations without end, over the ASGI interface and nothing else; run as a process of its own.

Prints, as JSON, the resident memory before and after, and the tasks, threads and descriptors that are left over.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

from pipemount import PipelineApp, pipeline, step
from pipemount.types import Message

BODY = b'{"parameters":{"city":"Oslo","temperature":3.5}}'
PAGE = os.sysconf("SC_PAGE_SIZE")


@step
async def describe(city: str, temperature: float) -> str:
    return f"{city}: {temperature:.1f}"


@step
async def count(text: str) -> int:
    await asyncio.sleep(0)
    return len(text)


@pipeline
def report(city: str, temperature: float) -> dict[str, Any]:
    text = describe(city, temperature)
    return {"text": text, "length": count(text)}


class Driver:
    """One request after the other, as a server would hand them over."""

    def __init__(self, app: PipelineApp) -> None:
        self._app, self._statuses = app, [0, 0]
        self._message: Message = {"type": "http.request", "body": BODY, "more_body": False}

    async def invoke(self, times: int) -> None:
        for _ in range(times):
            self._unread = True
            await self._app(self._scope(), self._receive, self._send)

    def _scope(self) -> dict[str, Any]:
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]
        return {
            "type": "http",
            "method": "POST",
            "path": "/invoke",
            "root_path": "",
            "query_string": b"",
            "scheme": "http",
            "http_version": "1.1",
            "headers": headers,
        }

    async def _receive(self) -> Message:
        if self._unread:
            self._unread = False
            return self._message
        await asyncio.Event().wait()
        raise AssertionError

    async def _send(self, message: Message) -> None:
        if message.get("status", 200) != 200:
            raise AssertionError(message)


def resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def left_over() -> dict[str, int]:
    return {
        "tasks": len(asyncio.all_tasks()),
        "threads": threading.active_count(),
        "descriptors": sum(1 for _ in Path("/proc/self/fd").iterdir()),
    }


async def main(warm_up: int, times: int) -> dict[str, Any]:
    app = PipelineApp(report)
    async with app.lifespan(None):
        driver = Driver(app)
        await driver.invoke(warm_up)
        before, memory = left_over(), resident()
        await driver.invoke(times)
        return {"grown": resident() - memory, "before": before, "after": left_over()}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(*map(int, sys.argv[1:])))))
