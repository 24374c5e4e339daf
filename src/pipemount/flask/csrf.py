"""Tokens against cross-site requests: a page of the host proves with a header that a post comes from it.

With Flask-WTF's ``CSRFProtect`` they are that extension's. Without it they are our own, signed with the host's
``SECRET_KEY`` and bound to the session of the browser.
"""

from __future__ import annotations

import hmac
import secrets
import sys
from typing import Any

from flask import Blueprint, Flask, Request, current_app, session
from itsdangerous import BadData, URLSafeTimedSerializer

__all__ = ["exempt", "is_checked", "new_token"]

HEADER = "X-CSRFToken"
SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
SESSION_KEY = SALT = "pipemount-csrf"


def new_token() -> str:
    """A token for the page that is being made, to be sent back in ``X-CSRFToken``; ``pipemount_csrf_token`` there."""
    if (wtf := _flask_wtf(current_app)) is not None:
        theirs: str = wtf.generate_csrf()
        return theirs
    if SESSION_KEY not in session:
        session[SESSION_KEY] = secrets.token_urlsafe(16)
    return str(_serializer(current_app).dumps(session[SESSION_KEY]))


def is_checked(app: Flask, request: Request) -> bool:
    """Whether ``request`` carries a token of its session, which takes a cookie, and a method that needs one."""
    if request.method in SAFE or "HTTP_COOKIE" not in request.environ:
        return False
    if (wtf := _flask_wtf(app)) is not None:
        return any(_satisfies(wtf, request.headers.get(name)) for name in app.config["WTF_CSRF_HEADERS"])
    token = request.headers.get(HEADER)
    if token is None or SESSION_KEY not in session:
        return False
    return hmac.compare_digest(_signed(app, token), session[SESSION_KEY])


def exempt(app: Flask, blueprint: Blueprint) -> None:
    """Keeps Flask-WTF from refusing requests to ``blueprint``: those with a key need no token.

    Called ahead of the ``before_request`` functions of each request, as the extension may be set up after us.
    """
    if _flask_wtf(app) is not None:
        app.extensions["csrf"].exempt(blueprint)


def _flask_wtf(app: Flask) -> Any:
    """The module with the extension's functions, where the host has set it up."""
    if (found := app.extensions.get("csrf")) is None:
        return None
    module = sys.modules.get("flask_wtf.csrf")
    return module if module is not None and isinstance(found, module.CSRFProtect) else None


def _satisfies(wtf: Any, token: str | None) -> bool:
    if token is None:
        return False
    try:
        wtf.validate_csrf(token)
    except ValueError:  # WTForms' ValidationError
        return False
    return True


def _signed(app: Flask, token: str) -> str:
    """What ``token`` was made of, or nothing if it was not made here, or longer ago than a session lives."""
    try:
        found = _serializer(app).loads(token, max_age=int(app.permanent_session_lifetime.total_seconds()))
    except BadData:
        return ""
    return str(found)


def _serializer(app: Flask) -> URLSafeTimedSerializer:
    """Signs with the host's newest key, and knows those that it has replaced."""
    keys = [*(app.config.get("SECRET_KEY_FALLBACKS") or ()), app.secret_key]
    return URLSafeTimedSerializer([key for key in keys if key], salt=SALT)
