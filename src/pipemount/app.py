"""``PipelineApp``: the application with the line that each host's users write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .bridge import Dispatcher, WSGIBridge
from .http.application import Application

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from fastapi import APIRouter
    from flask import Flask

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

    @cached_property
    def wsgi(self) -> WSGIBridge:
        """The same answers as a WSGI callable, to mount or dispatch to."""
        return WSGIBridge(self)

    def wrap_wsgi(self, app: WSGIApplication, path: str) -> Dispatcher:
        """``app``, any WSGI callable, with these pipelines under ``path``."""
        self.observe_shutdown()
        return Dispatcher(app, self.wsgi, path)
