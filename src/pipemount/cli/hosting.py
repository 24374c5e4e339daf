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
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - told apart, not listened on


def create() -> ASGIApp:
    """The application of a worker process: the parent left the order in the environment."""
    return as_app(json.loads(os.environ[VARIABLE]))


def as_app(order: JsonObject) -> ASGIApp:
    """The application that ``order["target"]`` names, or one made around the pipeline that it names."""
    from ..app import PipelineApp

    found, auth = load(order["target"]), _auth(order)
    if auth is not None and is_asgi(found):
        raise CommandError(f"{order['target']!r} is an app and brings its own keys: PipelineApp(…, auth=AuthKeys(…))")
    app: ASGIApp = found if is_asgi(found) else PipelineApp(found, auth=auth)
    _restrict(app, order)
    return app


def _restrict(app: ASGIApp, order: JsonObject) -> None:
    """Without keys a browser on this machine must not be led to the app by another name (DNS rebinding)."""
    from ..http.application import Application

    given = tuple(order.get("allowed_hosts", ()))
    if not isinstance(app, Application):
        if given:
            raise CommandError(f"--allowed-host is for pipelines; {order['target']!r} has a list of its own, or none")
    elif given or (app.auth is None and not app.settings.allowed_hosts):
        app.allow_hosts(given or _names(order.get("host", "")))


def _names(host: str) -> tuple[str, ...]:
    """The names of this machine for itself, and that of the address that is listened on."""
    own = f"[{host}]" if ":" in host else host
    return tuple(dict.fromkeys((*LOOPBACK, *([own] if own and host not in EVERYWHERE else []))))


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
    from ..http.describe import place

    yield f"  url        {url}"
    ours = isinstance(app, Application)
    docs = place(app.route_table, "/docs") if ours else getattr(app, "docs_url", None)
    if docs:
        yield f"  docs       {url}{docs}"
    for route in getattr(app, "routes", ()):
        if isinstance(getattr(route, "app", None), Application):
            yield f"  pipelines  {url}{route.path}"
            if docs := place(route.app.route_table, "/docs"):
                yield f"    docs     {url}{route.path}{docs}"
