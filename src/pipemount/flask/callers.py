"""Who calls: the host's current user, as the principal of a run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flask import Flask, current_app, g, has_request_context
from werkzeug.local import LocalProxy

from ..http.handover import as_principal
from ..types import Principal
from .mounted import mounted_in

if TYPE_CHECKING:
    from ..http.application import Application

__all__ = ["CurrentUser", "current_principal"]


def current_principal(app: Flask, ask: Callable[[], Any] | None = None) -> Principal | None:
    """The user of this request; ``None`` where nobody is logged in.

    Args:
        app: The host.
        ask: Tells the user or the ``Principal``; without it, it is Flask-Login's current user where that is set up,
            and otherwise ``g.user``.

    The user is looked up here and now, in the thread of the request: proxies mean nothing elsewhere.
    """
    user = _known_to(app) if ask is None else ask()
    if isinstance(user, LocalProxy):
        user = user._get_current_object()
    if user is None or not getattr(user, "is_authenticated", True):
        return None
    return as_principal(user, "flask")


def _known_to(app: Flask) -> Any:
    flask_login = sys.modules.get("flask_login")
    manager = getattr(app, "login_manager", None)
    if flask_login is not None and isinstance(manager, flask_login.LoginManager):
        return flask_login.current_user
    return g.get("user")


class CurrentUser:
    """For the team's own code: whoever sent the request in which it runs ``pipelines``."""

    def __init__(self, pipelines: Application) -> None:
        self._pipelines = pipelines

    @classmethod
    def among(cls, pipelines: Application) -> None:
        """Adds one to those that ``pipelines`` asks, unless it is there."""
        if not any(isinstance(each, cls) for each in pipelines.users):
            pipelines.users.append(cls(pipelines))

    def __call__(self) -> Principal | None:
        """As for a request to the pipelines themselves."""
        if not has_request_context():
            return None
        host: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # of the proxy
        own = (mounted.principal for mounted in mounted_in(host).values() if mounted.pipelines is self._pipelines)
        return current_principal(host, next(own, None))
