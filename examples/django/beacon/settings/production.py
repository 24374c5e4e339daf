"""Behind HTTPS; refuses to start without ``BEACON_SECRET`` and ``BEACON_HOSTS``."""

from __future__ import annotations

import os

from .common import *  # noqa: F403 - settings add to one another
from .common import FOLDER

DEBUG = False
SECRET_KEY = os.environ["BEACON_SECRET"]
ALLOWED_HOSTS = os.environ["BEACON_HOSTS"].split(",")
CSRF_TRUSTED_ORIGINS = [f"https://{host}" for host in ALLOWED_HOSTS]
STATIC_ROOT = os.environ.get("BEACON_STATIC", FOLDER / "static")

SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
SECURE_SSL_REDIRECT = True
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")  # the proxy in front sets it, and drops what clients send
SECURE_HSTS_SECONDS = 365 * 24 * 3600
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
