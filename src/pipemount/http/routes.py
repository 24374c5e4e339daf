"""The table of routes: what is served where, and what it takes to call it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..errors import ConfigurationError

__all__ = ["DOCS_ASSETS", "Route", "build_routes", "check_name"]

PIPELINE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
RESERVED = frozenset({"docs", "health", "invoke", "info", "jobs", "metrics", "pipelines", "runs", "schema", "status"})
DOCS_ASSETS = ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png")


@dataclass(frozen=True, slots=True)
class Route:
    """One path of the app, relative to its mount.

    Attributes:
        path: Starts with ``/``, has no trailing slash (the index is ``/``), no placeholders.
        methods: As in ``Allow``; HEAD wherever GET is.
        endpoint: Which endpoint answers, e.g. ``"invoke"``.
        permission: What the caller's key must hold.
        pipeline: The pipeline's name in the app, or ``None`` for routes of the whole app.
        documented: Whether the OpenAPI document lists it; aliases are not listed.
    """

    path: str
    methods: tuple[str, ...]
    endpoint: str
    permission: str
    pipeline: str | None = None
    documented: bool = True


def check_name(name: str) -> str:
    """``name`` if it can stand in a path. Raises ``ConfigurationError``."""
    if not PIPELINE_NAME.fullmatch(name) or name in RESERVED:
        raise ConfigurationError(
            f"{name!r} cannot name a pipeline in a path; use letters, digits, '.', '_' and '-', "
            f"and none of: {', '.join(sorted(RESERVED))}"
        )
    return name


def build_routes(names: Sequence[str]) -> tuple[Route, ...]:
    """All routes of an app with these pipelines; one pipeline is served at the root as well."""
    return (*_app_routes(), *(route for name in names for route in _pipeline_routes(name, alone=len(names) == 1)))


def _app_routes() -> Iterator[Route]:
    for path, endpoint in (
        ("/", "index"),
        ("/health", "ready"),
        ("/health/live", "live"),
        ("/health/ready", "ready"),
        ("/openapi.json", "openapi"),
        ("/docs", "docs"),
        ("/pipelines", "pipelines"),
    ):
        yield Route(path, ("GET", "HEAD"), endpoint, "read")
    for name in DOCS_ASSETS:
        yield Route(f"/docs/{name}", ("GET", "HEAD"), "asset", "read", documented=False)


def _pipeline_routes(name: str, *, alone: bool) -> Iterator[Route]:
    roots = ("", f"/pipelines/{name}", f"/{name}") if alone else (f"/pipelines/{name}", f"/{name}")
    for root in roots:
        documented = root == roots[0]
        yield Route(f"{root}/invoke", ("POST",), "invoke", "invoke", name, documented)
        yield Route(f"{root}/info", ("GET", "HEAD"), "info", "read", name, documented)
        yield Route(f"{root}/schema", ("GET", "HEAD"), "schema", "read", name, documented)
