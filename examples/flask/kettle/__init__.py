"""Kettle, a shop for tea: ``flask --app kettle run``, ``gunicorn "kettle:create_app()"``."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from flask import Flask, Response

from . import account, basket, catalogue, checkout, commands, desk, money, orders, sign_in
from .config import configure
from .extensions import csrf, db, login_manager

__all__ = ["create_app"]

BLUEPRINTS = (catalogue, sign_in, basket, checkout, orders, account, desk)


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """The shop; ``config`` wins over the environment."""
    app = Flask(__name__)
    configure(app, config or {})
    for extension in (db, login_manager, csrf):
        extension.init_app(app)
    for module in BLUEPRINTS:
        app.register_blueprint(module.blueprint)
    app.register_error_handler(403, sign_in.forbidden)
    app.register_error_handler(404, catalogue.not_found)
    app.add_template_filter(money.in_euros)
    app.after_request(_keep_to_ourselves)
    app.logger.setLevel(logging.INFO)
    commands.add_to(app)
    if app.config["PIPELINES"]:
        from . import pipelines

        pipelines.move_in(app)
    return app


def _keep_to_ourselves(response: Response) -> Response:
    """Pages load nothing from elsewhere, and are shown in nobody's frame."""
    response.headers.setdefault("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'")
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    return response
