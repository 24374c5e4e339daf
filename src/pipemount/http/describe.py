"""What the app says about itself: pure functions from the compiled pipelines to JSON values.

``base`` is the path of the mount as the caller sees it, not encoded; every link starts with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from ..adapters.protocol import CompiledPipeline, overrides_of
from ..drawing.layout import drawn
from ..settings import Settings
from ..types import JsonObject
from .routes import PARAMETER, Route
from .wire import WireJsonSchema

__all__ = ["description", "index", "info", "link", "pipelines", "place", "schema", "template"]


def link(base: str, path: str) -> str:
    """The URL, from the host's root on, of ``path`` under the mount (RFC 3986, section 3.3)."""
    return quote(base + path, safe="/:@!$&'()*+,;=-._~", errors="replace")


def template(base: str, path: str) -> str:
    """``link``, in which parameters stay what they are: a URI template (RFC 6570)."""
    return link(base, "") + path if PARAMETER in path else link(base, path)


def index(routes: Sequence[Route], base: str) -> JsonObject:
    """What ``GET /`` answers to a client that is no browser; aliases are left out."""
    methods: dict[str, list[str]] = {}
    for route in routes:
        if route.documented:
            methods.setdefault(route.path, []).extend(route.methods)
    return {
        "pipelines": list(dict.fromkeys(route.pipeline for route in routes if route.pipeline)),
        "routes": [{"path": path, "methods": found, "url": template(base, path)} for path, found in methods.items()],
    }


def pipelines(compiled: Mapping[str, CompiledPipeline], routes: Sequence[Route], base: str) -> JsonObject:
    """What ``GET /pipelines`` answers."""
    return {
        "pipelines": [
            {
                "name": name,
                "description": pipeline.info.doc,
                "fingerprint": pipeline.info.fingerprint,
                "urls": _urls(name, routes, base),
            }
            for name, pipeline in compiled.items()
        ]
    }


def schema(compiled: CompiledPipeline) -> JsonObject:
    """What ``GET …/schema`` answers: JSON Schemas of the inputs, the outputs, and a request's ``steps``."""
    overrides = overrides_of(compiled)
    return {
        "input": compiled.input.json_schema(),
        "output": _output_schema(compiled),
        "steps": overrides.json_schema() if overrides else {"type": "object", "maxProperties": 0},
    }


def info(
    name: str,
    compiled: CompiledPipeline,
    *,
    routes: Sequence[Route],
    settings: Settings,
    schemes: Sequence[str],
    base: str,
    jobs: JsonObject,
) -> JsonObject:
    """What ``GET …/info`` answers.

    Args:
        name: The pipeline's name in the app.
        compiled: The pipeline.
        routes: Of the app.
        settings: Of the app.
        schemes: How a key may be presented; empty where none is needed.
        base: The mount.
        jobs: How the app keeps them.
    """
    return {
        **description(compiled),
        "name": name,
        "version": settings.version,
        "auth": {"enabled": bool(schemes), "schemes": list(schemes)},
        "jobs": jobs,
        "urls": _urls(name, routes, base),
    }


def description(compiled: CompiledPipeline) -> JsonObject:
    """What a pipeline says of itself wherever it is served, and where it is not."""
    about = compiled.info
    return {
        "name": about.name,
        "description": about.doc,
        "fingerprint": about.fingerprint,
        "framework": {"name": about.framework, "version": about.framework_version},
        "capabilities": sorted(compiled.capabilities),
        "input_schema": compiled.input.json_schema(),
        "output_schema": _output_schema(compiled),
        "graph": drawn(compiled.graph),
    }


def _output_schema(compiled: CompiledPipeline) -> JsonObject:
    return compiled.output.adapter.json_schema(mode=compiled.output.mode, schema_generator=WireJsonSchema)


APP_URLS = ("index", "health", "openapi", "docs", "pipelines", "status")


def place(routes: Sequence[Route], known_as: str) -> str | None:
    """The path of the route that is known as this path, or ``None`` where there is no such route."""
    return next((route.path for route in routes if route.known_as == known_as), None)


def _urls(name: str, routes: Sequence[Route], base: str) -> dict[str, str]:
    own = f"/pipelines/{name}/"
    urls = {route.endpoint: link(base, route.path) for route in routes if route.known_as.startswith(own)}
    for endpoint in APP_URLS:
        path = {"index": "/", "openapi": "/openapi.json"}.get(endpoint, f"/{endpoint}")
        if (found := place(routes, path)) is not None:
            urls[endpoint] = link(base, found)
    return urls
