"""URL patterns: one for each route, so that ``reverse()`` finds it, and one for everything else below the mount."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from django.urls import URLPattern, path, re_path

from ..http.application import Application
from ..http.routes import PARAMETER, Route
from .middleware import current_principal
from .users import Users
from .view import PipelineView

__all__ = ["Urls", "django_urls"]

Urls: TypeAlias = tuple[list[URLPattern], str]
"""What ``include()`` takes: the patterns and their namespace."""

REST = r"^(?P<rest>[\s\S]*)\Z"


def django_urls(
    pipelines: Application,
    before: Iterable[Callable[..., Any]] = (),
    *,
    name: str = "pipemount",
    principal: Callable[..., Any] | None = None,
    permissions: Mapping[str, str | Iterable[str]] | None = None,
) -> Urls:
    """The app for ``include()``; see ``PipelineApp.django_urls``."""
    if current_principal not in pipelines.users:
        pipelines.users.append(current_principal)
    view = PipelineView(pipelines, tuple(before), Users(principal, permissions), name)
    named = [  # Django tries one after the other: first those that have to be fast
        path(_pattern(route), view, name=route.name, kwargs={"rest": route.path.lstrip("/")})
        for route in sorted(pipelines.route_table, key=lambda route: route.endpoint != "invoke")
    ]
    # A slash at the end, unknown paths and other methods: all of them are answered by the app, none is redirected.
    return [*named, re_path(REST, view)], name


def _pattern(route: Route) -> str:
    return route.path.lstrip("/").replace(PARAMETER, "<job_id>")
