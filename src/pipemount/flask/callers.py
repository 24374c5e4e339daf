"""Who calls: the host's current user, as the principal of a run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from flask import Flask, g
from werkzeug.local import LocalProxy

from ..http.handover import as_principal
from ..types import Principal

__all__ = ["current_principal"]


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
