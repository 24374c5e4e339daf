"""``PipelineMiddleware``: pipelines in front of any ASGI host, under a path of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from ..errors import ConfigurationError
from ..types import ASGIApp, Receive, Scope, Send
from .lifespan import Lifespan, answer_lifespan, host_lifespan
from .paths import locate

__all__ = ["LifespanMiddleware", "PipelineMiddleware", "Pipelines"]

STATE_KEY = "pipemount"


class Pipelines(Protocol):
    """What is put in front of the host: an ASGI app with a lifespan, i.e. a ``PipelineApp``."""

    @property
    def lifespan(self) -> Lifespan:
        """Starts and stops the pipelines."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers requests."""


class LifespanMiddleware:
    """Runs the lifespans of ``pipelines`` and ``app``; all else is the app's.

    The pipelines start before the host and stop after it.

    Args:
        app: The host, any ASGI application; it need not have a lifespan.
        pipelines: A ``PipelineApp``.
    """

    def __init__(self, app: ASGIApp, *, pipelines: Pipelines) -> None:
        self.app, self.pipelines = app, pipelines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Routes one scope."""
        if scope["type"] == "lifespan":
            await answer_lifespan(self._both(scope), receive, send)
        else:
            await self.app(scope, receive, send)

    @asynccontextmanager
    async def _both(self, scope: Scope) -> AsyncIterator[None]:
        async with self.pipelines.lifespan(self.app), host_lifespan(self.app, scope):
            yield


class PipelineMiddleware(LifespanMiddleware):
    """Serves ``pipelines`` under ``path`` and everything else from ``app``; runs the lifespans of both.

    The pipelines start before the host and stop after it. The lifespan's ``state`` is the host's; it gets one key,
    ``"pipemount"``, with the pipelines by their path.

    Args:
        app: The host, any ASGI application; it need not have a lifespan.
        pipelines: A ``PipelineApp``.
        path: Where it answers, below the host's own root path, e.g. ``"/ai"``; matched by whole segments.
    """

    def __init__(self, app: ASGIApp, *, pipelines: Pipelines, path: str) -> None:
        super().__init__(app, pipelines=pipelines)
        self.path = "/" + path.strip("/")
        if self.path == "/":
            raise ConfigurationError(f"PipelineMiddleware(path={path!r}): name a segment, as '/' would hide the host")
        self._below = self.path + "/"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Routes one scope; on the way through to the host nothing is copied."""
        if scope["type"] == "lifespan":
            if (state := scope.get("state")) is not None:
                state.setdefault(STATE_KEY, {})[self.path] = self.pipelines
            await super().__call__(scope, receive, send)
            return
        base, rest = locate(scope) if scope.get("root_path") else ("", scope["path"])
        if rest.startswith(self._below) or rest == self.path:
            child = {**scope, "root_path": base + self.path, "path": base + rest}
            await self.pipelines(child, receive, send)
        else:
            await self.app(scope, receive, send)
