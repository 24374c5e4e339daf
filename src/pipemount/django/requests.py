"""From a Django request to an ASGI scope."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from ..bridge.scope import build_scope
from ..http.paths import child_scope
from ..types import Scope

__all__ = ["make_scope"]


def make_scope(request: HttpRequest, rest: str) -> Scope:
    """The scope of ``request`` for an app whose mount left ``rest`` of the path.

    Its root path is the whole of what comes before: the script's name, the prefixes of all includes, ours.
    """
    given: Scope | None = getattr(request, "scope", None)
    base = _full_path(request).removesuffix(rest).rstrip("/")
    scope = child_scope(build_scope(_environ(request)) if given is None else given, base, "/" + rest.lstrip("/"))
    scope["method"] = request.method  # which a middleware of the project may have changed
    if isinstance(scope["query_string"], str):  # by Django's AsyncClient
        scope["query_string"] = scope["query_string"].encode("latin-1")
    return scope


def _environ(request: HttpRequest) -> dict[str, Any]:
    """As the server gave it: Django puts decoded text in the place of both parts of the path."""
    own = {name: request.META.get(name, "").encode().decode("latin-1") for name in ("SCRIPT_NAME", "PATH_INFO")}
    return {**request.META, **own}


def _full_path(request: HttpRequest) -> str:
    """The path with the script's name in front, which servers may leave out of an ASGI scope's path."""
    script = getattr(request, "script_name", "").rstrip("/")
    below = request.path == script or request.path.startswith(script + "/")
    return request.path if below else script + request.path
