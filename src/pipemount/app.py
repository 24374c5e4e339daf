"""``PipelineApp``: the application with the line that each host's users write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .bridge import Dispatcher, WSGIBridge
from .http.application import Application
from .types import JsonObject

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from fastapi import APIRouter
    from flask import Flask

    from .django.routing import Urls

__all__ = ["PipelineApp"]


class PipelineApp(Application):
    """Pipelines as one object that an application already there can take in.

    ::

        pipelines = PipelineApp(weather, auth=AuthKeys.from_env("PIPELINE_KEYS"))

        app.mount("/ai", pipelines)                                     # Starlette, FastAPI
        app.include_router(pipelines.router(), prefix="/ai")            # FastAPI, with its own login
        app.add_middleware(PipelineMiddleware, pipelines=pipelines, path="/ai")
        app = pipelines.wrap(app, "/ai")                                # any ASGI application
        app = pipelines.wrap_wsgi(app, "/ai")                           # any WSGI application
        path("ai/", include(pipelines.django_urls([login_required])))   # Django, in its URLconf
        pipelines.init_app(app, prefix="/ai", before=[login_required])  # Flask

    See ``Application`` for the arguments and for what it answers.
    """

    def router(self, *, principal: Any = None, **options: Any) -> APIRouter:
        """The routes as a FastAPI router, so that the host's dependencies, login and OpenAPI document hold.

        Args:
            principal: A FastAPI dependency whose value is handed to steps as ``context.principal``.
            **options: As for ``fastapi.APIRouter``.
        """
        from .fastapi import router

        return router(self, principal=principal, **options)

    def django_urls(
        self,
        before: Iterable[Callable[..., Any]] = (),
        *,
        name: str = "pipemount",
        principal: Callable[..., Any] | None = None,
        permissions: Mapping[str, str | Iterable[str]] | None = None,
    ) -> Urls:
        """The routes for Django's ``include()``, under WSGI and ASGI, behind the project's middleware and login.

        Args:
            before: View decorators, the outermost first: ``[login_required]``.
            name: The namespace: ``reverse("pipemount:invoke")``. Give each of several mounts its own.
            principal: Called with the request, gives who calls: a ``Principal``, a user, or ``None`` for nobody, who is
                refused. May be a coroutine function. By default ``request.user`` if logged in; superusers are admins.
            permissions: Django's permissions for ours: ``{"invoke": "desk.run_triage", "read": "desk.view_ticket"}``.
                Who is not logged in is refused then. ``cancel`` takes what ``invoke`` takes unless it is named.
        """
        from .django.routing import django_urls

        self.observe_shutdown()
        return django_urls(self, before, name=name, principal=principal, permissions=permissions)

    def init_app(
        self,
        app: Flask,
        prefix: str = "/ai",
        before: Sequence[Callable[[Any], Any]] = (),
        *,
        name: str = "pipemount",
        principal: Callable[[], Any] | None = None,
        g: Sequence[str] = (),
    ) -> None:
        """The routes as a blueprint of a Flask application, so that its login, hooks and error handlers hold.

        Args:
            app: The application; each that a factory makes may be given.
            prefix: Where the routes are; ``""`` for the root. It may have variables, as Flask's rules do.
            before: Decorators of views, the outermost first, for every route: ``[login_required]``.
            name: The blueprint's: ``url_for("pipemount.invoke")``. A second app in one host needs another.
            principal: Says, in the request, who asks: a ``Principal``, a user object, or ``None`` for nobody, who is
                refused then. Without it it is Flask-Login's current user, or ``g.user``.
            g: Names in ``flask.g`` that steps find in theirs.
        """
        from .flask import mount

        mount(self, app, prefix, before, name=name, principal=principal, g=g)

    def merge_openapi(
        self, document: Mapping[str, Any], prefix: str = "/ai", *, security: Sequence[Mapping[str, Any]] = ()
    ) -> JsonObject:
        """``document``, the host's OpenAPI document, with these pipelines in it; for hosts that make one themselves.

        Args:
            document: A dict; it is not changed. What is in it keeps its names.
            prefix: Of the mount, as callers see it.
            security: What the host asks of callers, of which any may stand for a key: ``[{"cookieAuth": []}]``.
        """
        from .http.merging import merged
        from .http.openapi import build_openapi

        schemes = self.auth.accept if self.auth else ()
        ours = build_openapi(self.pipelines, self.route_table, settings=self.settings, schemes=schemes, base=prefix)
        return merged(document, ours, prefix, security)

    @cached_property
    def wsgi(self) -> WSGIBridge:
        """The same answers as a WSGI callable, to mount or dispatch to."""
        return WSGIBridge(self)

    def wrap_wsgi(self, app: WSGIApplication, path: str) -> Dispatcher:
        """``app``, any WSGI callable, with these pipelines under ``path``."""
        self.observe_shutdown()
        return Dispatcher(app, self.wsgi, path)
