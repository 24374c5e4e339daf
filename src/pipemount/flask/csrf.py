"""Tokens against cross-site requests: a page of the host proves with a header that a post comes from it.

With Flask-WTF's ``CSRFProtect`` they are that extension's. Without it they are our own, signed with the host's
``SECRET_KEY`` and bound to the session of the browser.
"""

from __future__ import annotations

import hmac
import secrets
import sys
from typing import Any

from flask import Blueprint, current_app, request, session
from itsdangerous import BadData, URLSafeTimedSerializer

__all__ = ["exempt", "is_checked", "new_token"]

HEADER = "X-CSRFToken"
SESSION_KEY = SALT = "pipemount-csrf"


def new_token() -> str:
    """A token for the page that is being made, to be sent back in ``X-CSRFToken``; ``pipemount_csrf_token`` there."""
    if (wtf := _flask_wtf()) is not None:
        theirs: str = wtf.generate_csrf()
        return theirs
    if SESSION_KEY not in session:
        session[SESSION_KEY] = secrets.token_urlsafe(16)
    ours = _serializer().dumps(session[SESSION_KEY])
    return ours if isinstance(ours, str) else ours.decode("ascii")


def is_checked() -> bool:
    """Whether this request carries a token, and a valid one."""
    if (wtf := _flask_wtf()) is not None:
        return any(_satisfies(wtf, request.headers.get(name)) for name in current_app.config["WTF_CSRF_HEADERS"])
    token = request.headers.get(HEADER)
    return token is not None and SESSION_KEY in session and hmac.compare_digest(_signed(token), session[SESSION_KEY])


def exempt(blueprint: Blueprint) -> None:
    """Keeps Flask-WTF from refusing requests to ``blueprint``: those with a key need no token.

    Called before the ``before_request`` functions of each request, as the extension may be set up after us.
    """
    if _flask_wtf() is not None:
        current_app.extensions["csrf"].exempt(blueprint)


def _satisfies(wtf: Any, token: str | None) -> bool:
    if token is None:
        return False
    try:
        wtf.validate_csrf(token)
    except ValueError:
        return False
    return True


def _flask_wtf() -> Any:
    """The module with the extension's functions, where the host has set it up."""
    module = sys.modules.get("flask_wtf.csrf")
    if module is not None and isinstance(current_app.extensions.get("csrf"), module.CSRFProtect):
        return module
    return None


def _signed(token: str) -> str:
    age = current_app.permanent_session_lifetime
    try:
        return str(_serializer().loads(token, max_age=int(age.total_seconds())))
    except BadData:
        return ""


def _serializer() -> URLSafeTimedSerializer:
    keys = [*(current_app.config.get("SECRET_KEY_FALLBACKS") or ()), current_app.secret_key]
    return URLSafeTimedSerializer([key for key in keys if key], salt=SALT)
