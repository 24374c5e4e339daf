"""Asks a Django product through Django's own test clients, as its tests do; run as a program."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from ..clause import same
from ..serve import app
from ..setup import KEY

__all__ = ["main"]

INVOKE: dict[str, Any] = {
    "path": "/ai/greet/invoke",
    "data": {"parameters": {"name": "Ada"}},
    "content_type": "application/json",
}
RECITE: dict[str, Any] = INVOKE | {
    "path": "/ai/recite/invoke?mode=stream",
    "data": {"parameters": {"parts": 10}},
}
KEYED: dict[str, Any] = {"headers": {"X-API-Key": KEY}}


def check(response: Any) -> None:
    """Holds an answer to being the pipeline's."""
    same("status", response.status_code, 200)
    same("outputs", json.loads(response.content)["outputs"], {"greeting": "Hello, Ada!"})


def check_told(told: bytes) -> None:
    """Holds the events of a recital to being all that there are."""
    same("parts", told.count(b"event: delta\n"), 10)
    same("ends", told.count(b"event: run_completed\n"), 1)


def ask() -> None:
    """Through ``django.test.Client``."""
    from django.contrib.auth.models import User
    from django.test import Client

    client = Client()
    check(client.post(**INVOKE, **KEYED))
    same("without a key", client.post(**INVOKE).status_code, 401)
    client.force_login(User.objects.get(username="ada"))
    check(client.post(**INVOKE))
    stream: Any = client.post(**RECITE, **KEYED)
    check_told(b"".join(stream.streaming_content))


async def ask_async() -> None:
    """Through ``django.test.AsyncClient``."""
    from django.contrib.auth.models import User
    from django.test import AsyncClient

    client = AsyncClient()
    check(await client.post(**INVOKE, **KEYED))
    same("without a key", (await client.post(**INVOKE)).status_code, 401)
    await client.aforce_login(await User.objects.aget(username="ada"))
    check(await client.post(**INVOKE))
    stream: Any = await client.post(**RECITE, **KEYED)
    check_told(b"".join([part async for part in stream.streaming_content]))


def main() -> None:
    """Both; the product was set up when ``serve`` was imported."""
    same("product", app is not None, True)
    ask()
    print("sync")
    asyncio.run(ask_async())
    print("async")


if __name__ == "__main__":
    main()
