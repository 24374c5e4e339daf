"""A project whose tasks, and the jobs that these carry, are in files."""

import os
from importlib.util import find_spec
from pathlib import Path

FOLDER = Path(os.environ["CARRIED_FOLDER"])

SECRET_KEY = "of these tests"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "tests.django_tasks.site.urls"
USE_TZ = True
INSTALLED_APPS = ["django_tasks_db", *(["django_tasks"] if find_spec("django.tasks") is None else [])]
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER / "site.db", "OPTIONS": {"timeout": 30}}
}
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": ["default", "pipelines"]}}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "INFO"},
}
