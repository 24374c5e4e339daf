"""Reads streams of an app in this process, part by part."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from pipemount import PipelineApp

from .events import EventReader, Told

__all__ = ["Following", "begun", "following"]


class Following:
    """A reader of a stream; ``next`` is the next event that it is told."""

    def __init__(self, response: httpx.Response) -> None:
        self.response, self.reader = response, EventReader()
        self.job_id = response.headers["x-run-id"]
        self._parts = response.aiter_bytes()
        self._told: list[Told] = []

    async def next(self) -> Told | None:
        while not self._told:
            part = await anext(self._parts, None)
            if part is None:
                return None
            self._told += self.reader.feed(part)
        return self._told.pop(0)

    async def until(self, kind: str) -> Told:
        while (told := await self.next()) is not None:
            if told.type == kind:
                return told
        raise AssertionError(f"the stream ended without {kind}")

    async def rest(self) -> list[Told]:
        found = []
        while (told := await self.next()) is not None:
            found.append(told)
        return found


@asynccontextmanager
async def begun(app: PipelineApp, target: str = "/invoke?mode=stream", **parameters: Any) -> AsyncIterator[Following]:
    body = {"parameters": parameters}
    async with app.client() as client, client.stream("POST", target, json=body) as response:
        assert response.status_code == 200, await response.aread()
        yield Following(response)


@asynccontextmanager
async def following(app: PipelineApp, job_id: str, target: str = "", **headers: str) -> AsyncIterator[Following]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with (
        app.client() as client,
        client.stream("GET", target or f"/jobs/{job_id}/events", headers=named) as response,
    ):
        assert response.status_code == 200, await response.aread()
        yield Following(response)
