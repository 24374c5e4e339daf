"""``PipelineApp``: the application with the line that each host's users write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .bridge import Dispatcher, WSGIBridge
from .http.application import Application

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from fastapi import APIRouter

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
        path("ai/", include(pipelines.django_urls()))                   # Django, in its URLconf

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

    @cached_property
    def wsgi(self) -> WSGIBridge:
        """The same answers as a WSGI callable, to mount or dispatch to."""
        return WSGIBridge(self)

    def wrap_wsgi(self, app: WSGIApplication, path: str) -> Dispatcher:
        """``app``, any WSGI callable, with these pipelines under ``path``."""
        self.observe_shutdown()
        return Dispatcher(app, self.wsgi, path)
