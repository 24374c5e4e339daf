"""For the tests: a database file of their own, so that every thread sees it, and passwords that are hashed fast."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from .common import *  # noqa: F403 - settings add to one another
from .common import DATABASES

DEBUG = False
SECRET_KEY = "only for tests"
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "testserver"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
FOLDER = Path(tempfile.mkdtemp(prefix="beacon-"))
DATABASES["default"]["TEST"] = {"NAME": FOLDER / "tests.sqlite3"}
TRIAGE_JOBS = f"sqlite:///{FOLDER / 'jobs.sqlite3'}"
os.environ["BEACON_KEYS"] = "tests:a key that only the tests know"
