"""From what ``serve`` was told to an ASGI application; in a worker process, again."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .exits import CommandError
from .targets import load

if TYPE_CHECKING:
    from ..auth.keys import AuthKeys
    from ..types import ASGIApp, JsonObject

__all__ = ["VARIABLE", "as_app", "create", "describe_places"]

VARIABLE = "PIPEMOUNT_SERVE"


def create() -> ASGIApp:
    """The application of a worker process: the parent left the order in the environment."""
    return as_app(json.loads(os.environ[VARIABLE]))


def as_app(order: JsonObject) -> ASGIApp:
    """The application that ``order["target"]`` names, or one made around the pipeline that it names."""
    from ..app import PipelineApp

    found, auth = load(order["target"]), _auth(order)
    if not is_asgi(found):
        app: ASGIApp = PipelineApp(found, auth=auth)
        return app
    if auth is not None:
        raise CommandError(f"{order['target']!r} is an app and brings its own keys: PipelineApp(…, auth=AuthKeys(…))")
    served: ASGIApp = found
    return served


def _auth(order: JsonObject) -> AuthKeys | None:
    from ..auth.keys import AuthKeys

    if order["key_env"] is not None:
        return AuthKeys.from_env(order["key_env"])
    if order["key_file"] is not None:
        return AuthKeys.from_file(order["key_file"])
    return AuthKeys(order["keys"]) if order["keys"] else None


def is_asgi(found: Any) -> bool:
    """Whether ``found`` is called as ``(scope, receive, send)``."""
    try:
        parameters = tuple(inspect.signature(found).parameters)
    except (TypeError, ValueError):
        return False
    return parameters == ("scope", "receive", "send")


def describe_places(app: Any, url: str) -> Iterator[str]:
    """Where the app, its pages, and the pipelines mounted in it can be found."""
    from ..http.application import Application

    yield f"  url        {url}"
    docs = "/docs" if isinstance(app, Application) else getattr(app, "docs_url", None)
    if docs:
        yield f"  docs       {url}{docs}"
    for route in getattr(app, "routes", ()):
        if isinstance(getattr(route, "app", None), Application):
            yield f"  pipelines  {url}{route.path}"
            yield f"    docs     {url}{route.path}/docs"
