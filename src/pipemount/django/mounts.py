"""Where pipelines are mounted, found by walking the URLconf: for the system checks and the management command."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import NamedTuple

from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver

from ..http.application import Application
from .view import PipelineView

__all__ = ["Mount", "find_mounts", "mounted_pipelines"]


class Mount(NamedTuple):
    """One ``include(pipelines.django_urls())``.

    Attributes:
        path: Of the mount, e.g. ``"ai/"``; with the placeholders that the patterns have.
        namespace: Of its URLs: what ``include()`` was told, else the one of ``django_urls()``.
        view: What answers there.
    """

    path: str
    namespace: str
    view: PipelineView


def find_mounts() -> tuple[Mount, ...]:
    """All mounts of the project, in the order of its patterns; none where it has no URLs at all."""
    return tuple(_walk(get_resolver(), "", "")) if getattr(settings, "ROOT_URLCONF", None) else ()


def mounted_pipelines() -> dict[str, Application]:
    """The mounted apps by their URL namespaces, each once; by their paths where several have the same namespace."""
    found: dict[str, Application] = {}
    for mount in find_mounts():
        if mount.view.pipelines not in found.values():
            found[mount.path.strip("/") if mount.namespace in found else mount.namespace] = mount.view.pipelines
    return found


def _walk(resolver: URLResolver, prefix: str, namespace: str) -> Iterator[Mount]:
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern, prefix + str(pattern.pattern), pattern.namespace or namespace)
        elif isinstance(pattern, URLPattern) and pattern.name is None:  # each mount has one such: for the rest
            view = inspect.unwrap(pattern.callback)
            if isinstance(view, PipelineView):
                yield Mount(prefix, namespace or view.name, view)
