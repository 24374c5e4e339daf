"""The table of routes: what is served where, and what it takes to call it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

from ..errors import ConfigurationError
from ..types import JsonObject

__all__ = [
    "DOCS_ASSETS",
    "PARAMETER",
    "SOCKET",
    "Route",
    "as_template",
    "build_routes",
    "build_sockets",
    "check_name",
    "opened",
]

PIPELINE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
RESERVED = frozenset(
    {"batch", "docs", "health", "invoke", "info", "jobs", "metrics", "pipelines", "runs", "schema", "status"}
    | {"stream", "submit", "tokens"}
)
PARAMETER = "{job_id}"
SOCKET = ("WEBSOCKET",)
"""Stands for the method where there is none."""

DOCS_ASSETS = ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png")


@dataclass(frozen=True, slots=True)
class Route:
    """One path of the app, relative to its mount.

    Attributes:
        path: Starts with ``/``, has no trailing slash (the index is ``/``). The second segment may be ``{job_id}``.
        methods: As in ``Allow``; HEAD wherever GET is.
        endpoint: Which endpoint answers, e.g. ``"invoke"``.
        permission: What the caller's key must hold; ``None`` where none is needed.
        pipeline: The pipeline's name in the app, or ``None`` for routes of the whole app.
        documented: Whether the OpenAPI document lists it; aliases are not listed.
        usual: The path that it has where settings do not give it another; empty if it is that one.
        openapi: The operation object of an endpoint of the author's own.
    """

    path: str
    methods: tuple[str, ...]
    endpoint: str
    permission: str | None
    pipeline: str | None = None
    documented: bool = True
    usual: str = ""
    openapi: JsonObject | None = field(default=None, hash=False, compare=False)

    @property
    def known_as(self) -> str:
        """The path that tells what it is, whatever path settings give it."""
        return self.usual or self.path

    @property
    def name(self) -> str:
        """What a host calls it when it builds URLs: the endpoint, behind the pipeline's name unless the app has one.

        Routes that answer the same have names of their own, so that each can be told by name.
        """
        segments = self.known_as.strip("/").split("/")
        if self.endpoint == "custom":
            return "custom_" + re.sub(r"[^A-Za-z0-9]+", "_", self.path.strip("/"))
        if self.endpoint == "asset":
            return "docs_" + segments[-1].replace("-", "_").replace(".", "_")
        if self.known_as == "/health":
            return "health"
        if self.known_as == f"/stream/{PARAMETER}":
            return "stream"
        if self.pipeline is None or len(segments) == 1:
            return self.endpoint
        own = f"{self.pipeline.replace('.', '_')}_{self.endpoint}"
        return own if segments[0] == "pipelines" else f"{own}_short"


def as_template(path: str) -> tuple[str, str]:
    """A path as that of a route with a parameter, with what stands there: ``/jobs/7`` as ``/jobs/{job_id}``, ``7``.

    Nothing is no value: ``/jobs`` stays what it is.
    """
    head, _, rest = path[1:].partition("/")
    value, slash, tail = rest.partition("/")
    return (f"/{head}/{PARAMETER}{slash}{tail}", value) if value else (path, "")


def check_name(name: str) -> str:
    """``name`` if it can stand in a path. Raises ``ConfigurationError``."""
    if not PIPELINE_NAME.fullmatch(name) or name in RESERVED:
        raise ConfigurationError(
            f"{name!r} cannot name a pipeline in a path; use letters, digits, '.', '_' and '-', "
            f"and none of: {', '.join(sorted(RESERVED))}"
        )
    return name


def build_routes(names: Sequence[str], open_routes: Sequence[str] = (), metrics: str = "read") -> tuple[Route, ...]:
    """All routes of an app with these pipelines, each at its usual path; one pipeline is served at the root as well.

    Args:
        names: Of the pipelines.
        open_routes: As for ``opened``.
        metrics: The permission that ``/metrics`` takes; ``"off"`` where there are to be none.

    Raises:
        ConfigurationError: An open route is none of the app's.
    """
    own = [route for name in names for route in _pipeline_routes(name, alone=len(names) == 1)]
    operations = [] if metrics == "off" else [Route("/metrics", ("GET", "HEAD"), "metrics", metrics)]
    return opened((*_app_routes(), *operations, *own), open_routes)


def opened(routes: Sequence[Route], open_routes: Collection[str], also: Collection[str] = ()) -> tuple[Route, ...]:
    """``routes``, of which some take no permission.

    Args:
        routes: Of an app.
        open_routes: Their paths. What else answers the same is as open: a route's other paths, and what the docs page
            is made of.
        also: Paths that may be named though there is no such route.

    Raises:
        ConfigurationError: An open route is none of the app's.
    """
    known = {path for route in routes for path in (route.path, route.known_as)}
    if unknown := sorted(set(open_routes) - known - set(also)):
        documented = ", ".join(route.path for route in routes if route.documented)
        raise ConfigurationError(f"open_routes has {', '.join(map(repr, unknown))}; the app's routes are: {documented}")
    open_answers = {_answer(route) for route in routes if {route.path, route.known_as} & set(open_routes)}
    return tuple(replace(route, permission=None) if _answer(route) in open_answers else route for route in routes)


def _answer(route: Route) -> tuple[str, str | None]:
    """What routes have in common that answer the same."""
    if route.endpoint == "custom":
        return route.path, None
    return "docs" if route.endpoint == "asset" else route.endpoint, route.pipeline


def build_sockets(names: Sequence[str]) -> tuple[Route, ...]:
    """Where WebSockets are: the app's own serves all pipelines, each of the others one."""
    own = [
        Route(f"{root}/{name}/stream", SOCKET, "socket", None, name) for root in ("/pipelines", "") for name in names
    ]
    return (Route("/stream", SOCKET, "socket", None), *own)


def _app_routes() -> Iterator[Route]:
    for path, endpoint in (
        ("/", "index"),
        ("/health", "ready"),
        ("/health/live", "live"),
        ("/health/ready", "ready"),
        ("/openapi.json", "openapi"),
        ("/docs", "docs"),
        ("/pipelines", "pipelines"),
        ("/status", "status"),
    ):
        yield Route(path, ("GET", "HEAD"), endpoint, "read")
    yield Route(f"/jobs/{PARAMETER}/events", ("GET", "HEAD"), "events", "read")
    yield Route(f"/stream/{PARAMETER}", ("GET", "HEAD"), "events", "read", documented=False)
    yield Route("/tokens", ("POST",), "tokens", "read")
    yield Route("/jobs", ("GET", "HEAD"), "jobs", "read")
    yield Route(f"/jobs/{PARAMETER}", ("GET", "HEAD"), "job", "read")
    yield Route(f"/jobs/{PARAMETER}", ("DELETE",), "delete", "cancel")
    yield Route(f"/jobs/{PARAMETER}/cancel", ("POST",), "cancel", "cancel")
    yield Route(f"/jobs/{PARAMETER}/resume", ("POST",), "resume", "invoke")
    yield Route(f"/jobs/{PARAMETER}/retry", ("POST",), "retry", "invoke")
    for name in DOCS_ASSETS:
        yield Route(f"/docs/{name}", ("GET", "HEAD"), "asset", "read", documented=False)


def _pipeline_routes(name: str, *, alone: bool) -> Iterator[Route]:
    roots = ("", f"/pipelines/{name}", f"/{name}") if alone else (f"/pipelines/{name}", f"/{name}")
    for root in roots:
        documented = root == roots[0]
        yield Route(f"{root}/invoke", ("POST",), "invoke", "invoke", name, documented)
        yield Route(f"{root}/submit", ("POST",), "submit", "invoke", name, documented)
        yield Route(f"{root}/batch", ("POST",), "batch", "invoke", name, documented)
        yield Route(f"{root}/info", ("GET", "HEAD"), "info", "read", name, documented)
        yield Route(f"{root}/schema", ("GET", "HEAD"), "schema", "read", name, documented)
