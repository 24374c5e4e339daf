"""Where the app is mounted, and which of its own paths was asked for.

ASGI says that ``path`` includes ``root_path``; servers and frameworks differ:

- uvicorn and Starlette's ``Mount`` include it,
- hypercorn, granian and daphne leave their ``--root-path`` out of ``path``,
- Litestar strips its mount from ``path`` and tells nobody but ``raw_path``,
- Channels leaves the unmatched part in ``path_remaining``.

``locate`` reads all of them. It does not redirect, and it knows nothing of routes.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from ..types import Scope

__all__ = ["child_scope", "locate"]

# What a host leaves in the scope for itself: inherited, ``router`` would make ``url_for`` use the host's routes.
HOST_KEYS = frozenset(
    {"app", "app_root_path", "endpoint", "path_params", "path_remaining", "route", "router", "url_route"}
)
HOST_PREFIXES = ("fastapi", "litestar")


def locate(scope: Scope) -> tuple[str, str]:
    """``(base, rest)``: the app's own root as the caller sees it, and the path below it.

    ``base`` has no trailing slash and is empty at the root of the server; links are built from it.
    ``rest`` has no trailing slash either, unless it is ``/``. Both are unquoted.

    Example:
        >>> locate({"type": "http", "root_path": "/ai", "path": "/ai/invoke/"})
        ('/ai', '/invoke')
    """
    path: str = scope["path"]
    root: str = scope.get("root_path") or ""
    rest = path[len(root) :] if root else path
    # Unquoting never lengthens: a raw path that is not longer than the path shows no mount in front of it.
    if (
        rest.startswith("/")
        and len(scope.get("raw_path") or b"") <= len(path)
        and "path_remaining" not in scope
        and (not root or (path.startswith(root) and _is_plain(root)))
    ):
        return root, rest if rest[-1] != "/" else rest.rstrip("/") or "/"
    return _locate_below(scope, root.rstrip("/"), path)


def child_scope(scope: Scope, base: str, rest: str) -> dict[str, Any]:
    """A copy of ``scope`` for an app that is mounted at ``base``, without what the host left for itself."""
    child = {key: value for key, value in scope.items() if key not in HOST_KEYS and not key.startswith(HOST_PREFIXES)}
    child["root_path"] = base
    child["path"] = base + rest
    return child


def _is_plain(root: str) -> bool:
    return root[0] == "/" and root[-1] != "/" and root[1] != "/"


def _locate_below(scope: Scope, root: str, path: str) -> tuple[str, str]:
    if root and not root.startswith("/"):
        root = "/" + root
    rest = _rest(scope, root, path)
    if _hides_a_slash(scope, rest):
        rest = "/" + rest[1:].replace("/", "%2F")
    tail = "" if rest == "/" else rest
    full = _full_path(scope, path.rstrip("/"))
    if not (full.startswith("/") and rest.startswith("/") and full.endswith(tail)):
        return _one_slash(root), rest
    shown = full[: len(full) - len(tail)]
    missing = root[: len(root) - len(_overlap(root, shown))]
    return _one_slash(missing + shown), rest


def _rest(scope: Scope, root: str, path: str) -> str:
    remaining: str | None = scope.get("path_remaining")
    if remaining is not None:
        return "/" + remaining.strip("/")
    return path[len(_overlap(root, path)) :].rstrip("/") or "/"


def _hides_a_slash(scope: Scope, rest: str) -> bool:
    """Whether a slash in ``rest`` came as ``%2F``: data in a segment, which no route has (RFC 3986, 2.2)."""
    raw: bytes = (scope.get("raw_path") or b"").partition(b"?")[0]
    return b"%2f" in raw.lower() and not raw.rstrip(b"/").endswith(rest.rstrip("/").encode())


def _full_path(scope: Scope, path: str) -> str:
    """The path as the server received it, if ``path`` is the end of it; else ``path`` (a host rewrote it)."""
    raw: bytes = scope.get("raw_path") or b""
    full = unquote(raw.partition(b"?")[0].decode("latin-1")).rstrip("/")
    return full if full.startswith("/") and full.endswith(path) else path


def _overlap(root: str, path: str) -> str:
    """The longest suffix of ``root`` that starts with a slash and that whole segments of ``path`` start with."""
    start = root.find("/")
    while start >= 0:
        suffix = root[start:]
        if path.startswith(suffix) and path[len(suffix) : len(suffix) + 1] in ("", "/"):
            return suffix
        start = root.find("/", start + 1)
    return ""


def _one_slash(base: str) -> str:
    """``base`` with one slash in front: a link to ``//evil.example`` would lead to another host."""
    return "/" + base.lstrip("/") if base.startswith("//") else base
