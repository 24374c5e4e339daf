"""Flask: as a blueprint behind the host's login, and dispatched to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any

import flask
from flask_login import LoginManager, UserMixin, login_user
from flask_sqlalchemy import SQLAlchemy

from ....inprocess import pipeline
from ....pipelines.steps import step
from ..host import Host, form
from ..product import Product
from ..setup import KEY, Setup

__all__ = ["FlaskHost"]

MEETING = threading.Barrier(4, timeout=20)
database: Any = SQLAlchemy()


class FlaskHost(Host):
    """Flask, with Flask-Login and Flask-SQLAlchemy."""

    name, kind, requires = "Flask", "wsgi", ("flask", "flask_login", "flask_sqlalchemy")
    everywhere = True

    def pipelines(self, setup: Setup) -> Mapping[str, Any]:
        return {"seen": seen, "sessions": sessions}

    @form(login=True, users=True, at_root=True, shares_root=True)
    def init_app(self, product: Product) -> Any:
        app = make(product)
        product.pipelines.init_app(app, prefix=product.mount, before=[login], g=["trace_id"])
        return app

    @form(name="wrap_wsgi")
    def wrap(self, product: Product) -> Any:
        app = make(product)
        app.wsgi_app = product.pipelines.wrap_wsgi(app.wsgi_app, product.mount)  # type: ignore[method-assign]  # its way
        return app


def login(view: Callable[..., Any]) -> Callable[..., Any]:
    """Whoever does not say otherwise is Ada; a stranger is sent away."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if flask.request.headers.get("X-User", "ada") != "ada":
            return "log in", 401
        return view(*args, **kwargs)

    return guarded


def make(product: Product) -> flask.Flask:
    """The host."""
    app = flask.Flask("product")
    app.secret_key = KEY
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{Path(product.setup.folder) / 'database'}"
    database.init_app(app)
    manager = LoginManager(app)
    manager.user_loader(_User)
    app.before_request(_trace)
    app.add_url_rule("/sign-in", "sign-in", _sign_in, methods=["POST"])
    for page in product.pages:
        app.add_url_rule(page.path, page.path, page.answer)
    return app


class _User(UserMixin):  # type: ignore[misc]  # shipped without types
    def __init__(self, name: str) -> None:
        self.id = self.username = name


def _trace() -> None:
    flask.g.trace_id = flask.request.headers.get("X-Trace", "")


def _sign_in() -> Any:
    login_user(_User("ada"))
    return flask.jsonify(token=None)


@step
def look() -> dict[str, str]:
    """What of the request a step sees."""
    return {"trace_id": flask.g.get("trace_id", "none"), "app": flask.current_app.name}


@pipeline
def seen() -> Any:
    """Looks around."""
    return look()


@step
def open_session(number: int) -> int:
    """The identity of this step's SQLAlchemy session, while three others have theirs."""
    session = database.session()
    session.execute(database.text("select 1"))
    MEETING.wait()
    return id(session)


@pipeline
def sessions() -> Any:
    """Four steps side by side."""
    return {f"session_{number}": open_session(number) for number in range(4)}
