"""What all settings share."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).parents[2]

# ---------------------------------------------------------------------------------------- the product

INSTALLED_APPS = [
    "desk",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.http.ConditionalGetMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "beacon.urls"
WSGI_APPLICATION = "beacon.wsgi.application"
ASGI_APPLICATION = "beacon.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

DATABASE = Path(os.environ.get("BEACON_DATABASE", FOLDER / "beacon.sqlite3")).absolute()
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATABASE,
        # Several workers write: a transaction takes its lock when it begins and waits for it; readers wait for nobody.
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20, "init_command": "PRAGMA journal_mode=WAL;"},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "tickets"
LOGOUT_REDIRECT_URL = "login"

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "loggers": {"triage": {"handlers": ["console"], "level": "INFO"}},
}

# -------------------------------------------------------------------------- the pipeline that moved in

# Without it the desk is what it was before.
if os.environ.get("BEACON_PIPELINES", "on") != "off":
    INSTALLED_APPS = ["triage", *INSTALLED_APPS, "pipemount.django"]
    MIDDLEWARE = [*MIDDLEWARE, "pipemount.django.middleware.acting_user"]
    # The check asks for a lifespan, so that on_init runs when the server starts. Triage learns in milliseconds: the
    # first request can wait for that, and one line in urls.py serves both WSGI and ASGI.
    SILENCED_SYSTEM_CHECKS = ["pipemount.W004"]
    # Where a triage is kept from the moment in which it is asked for: a file beside the database, or a PostgreSQL.
    TRIAGE_JOBS = os.environ.get("BEACON_JOBS", f"sqlite:///{DATABASE.with_name('jobs.sqlite3')}")
