"""What the shop is told: defaults, what ``KETTLE_ENV`` adds, every ``KETTLE_…`` variable, and then the caller."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from flask import Flask

__all__ = ["configure"]

DEFAULTS: Mapping[str, Any] = {
    "SQLALCHEMY_DATABASE_URI": "sqlite:///kettle.sqlite3",
    "SESSION_COOKIE_NAME": "kettle",
    "SESSION_COOKIE_SAMESITE": "Lax",
    "REMEMBER_COOKIE_SAMESITE": "Lax",
    "REMEMBER_COOKIE_HTTPONLY": True,
    "PASSWORD_METHOD": "scrypt",
    "MAX_CONTENT_LENGTH": 1_000_000,
    "PIPELINES": True,
}

DEVELOPMENT: Mapping[str, Any] = {"SECRET_KEY": "for development alone"}

PRODUCTION: Mapping[str, Any] = {
    "SESSION_COOKIE_SECURE": True,
    "REMEMBER_COOKIE_SECURE": True,
    "PREFERRED_URL_SCHEME": "https",
}

ENVIRONMENTS = {"development": DEVELOPMENT, "production": PRODUCTION}
OFF = {"0", "off", "no", "false"}


def configure(app: Flask, given: Mapping[str, Any]) -> None:
    """Fill ``app.config``. Raises ``RuntimeError`` if something is missing that must not have a default."""
    name = os.environ.get("KETTLE_ENV", "development")
    if name not in ENVIRONMENTS:
        raise RuntimeError(f"KETTLE_ENV={name!r}: choose of {', '.join(ENVIRONMENTS)}")
    app.config.from_mapping(DEFAULTS)
    app.config.from_mapping(ENVIRONMENTS[name])
    app.config.from_prefixed_env("KETTLE")
    if "KETTLE_DATABASE" in os.environ:
        app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["KETTLE_DATABASE"]
    app.config.from_mapping(given)
    app.config["PIPELINES"] = str(app.config["PIPELINES"]).lower() not in OFF
    if not app.config.get("SECRET_KEY"):
        raise RuntimeError("set KETTLE_SECRET_KEY: it signs the sessions, and all processes must have the same one")
