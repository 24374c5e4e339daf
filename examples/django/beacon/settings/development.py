"""One machine, one person: pages tell of errors, and nothing has to be set."""

from __future__ import annotations

import os

from .common import *  # noqa: F403 - settings add to one another

DEBUG = True
SECRET_KEY = os.environ.get("BEACON_SECRET", "only for development, where everybody may know it")
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
