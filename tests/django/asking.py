"""Asking the site by Django's own test clients, the sync one and the async one."""

from __future__ import annotations

import asyncio
from typing import Any

from django.contrib.auth.models import User
from django.test import AsyncClient, Client

__all__ = ["JSON", "OSLO", "Asked", "only"]

JSON = "application/json"
OSLO = {"parameters": {"city": "Oslo", "temperature": 3.0}}


class Asked:
    """One client of either kind, asked in the same words.

    Args:
        kind: ``wsgi`` or ``asgi``.
        **options: Of the client, e.g. ``enforce_csrf_checks``.
    """

    def __init__(self, kind: str, **options: Any) -> None:
        self.kind = kind
        self.client: Any = (Client if kind == "wsgi" else AsyncClient)(**options)

    def __call__(self, method: str, path: str, data: Any = None, content_type: str = JSON, **options: Any) -> Any:
        if data is not None:
            options |= {"data": data, "content_type": content_type}
        ask = getattr(self.client, method.lower())
        if self.kind == "wsgi":
            return ask(path, **options)
        return asyncio.run(self._await(ask, path, options))

    def login(self, user: User) -> None:
        self.client.force_login(user)

    @staticmethod
    async def _await(ask: Any, path: str, options: dict[str, Any]) -> Any:
        response = await ask(path, **options)
        if response.streaming:
            response.received = [part async for part in response.streaming_content]
        return response


def only(reply: Any) -> Any:
    """The one output of an invocation."""
    assert reply.status_code == 200, reply.content
    [value] = reply.json()["outputs"].values()
    return value
