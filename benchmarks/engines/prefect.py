"""Prefect's flows and tasks, against a server of its own that the library starts on loopback."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from typing import Any

os.environ.update(
    DO_NOT_TRACK="1",
    PREFECT_HOME=tempfile.mkdtemp(prefix="prefect-"),
    PREFECT_LOGGING_LEVEL="CRITICAL",
    PREFECT_LOGGING_TO_API_ENABLED="false",
    PREFECT_SERVER_ALLOW_EPHEMERAL_MODE="true",
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
)

import asyncio

from prefect import flow, task


@task
async def one(value: int) -> int:
    return value + 1


@task
def sync_one(value: int) -> int:
    return value + 1


@flow
async def three_async(value: int) -> int:
    return await one(await one(await one(value)))


@flow
async def side_by_side(value: int) -> list[int]:
    return list(await asyncio.gather(one(value), one(value), one(value)))


@flow
def three_sync(value: int) -> int:
    return sync_one(sync_one(sync_one(value)))


@flow
async def two(value: int) -> int:
    return await one(await one(value))


@flow
async def branch(value: int) -> int:
    value = await one(value)
    return await one(value) if value > 0 else value


@flow
async def ten(value: int) -> int:
    for _ in range(10):
        value = await one(value)
    return value


def build(thing: Any) -> Callable[[], Any]:
    async def run() -> Any:
        return await thing(1)

    return run


CASES: dict[str, Callable[[], Callable[[], Any]]] = {
    "three_async": lambda: build(three_async),
    "side_by_side": lambda: build(side_by_side),
    "three_sync": lambda: lambda: three_sync(1),
    "two": lambda: build(two),
    "branch": lambda: build(branch),
    "chain_10": lambda: build(ten),
}
