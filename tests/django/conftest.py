"""Django keeps its settings once for the process: they are those of ``tests.django.site`` wherever its tests run."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

import django
import pytest
from django.conf import settings

if not settings.configured:
    folder = tempfile.mkdtemp(prefix="pipemount-django-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["SITE_FOLDER"] = folder
    from tests.django.site import settings as site

    settings.configure(**{name: value for name, value in vars(site).items() if name.isupper()})
    django.setup()

from tests.django.asking import Asked


@pytest.fixture(params=["wsgi", "asgi"])
def ask(request: pytest.FixtureRequest) -> Asked:
    """A client, without a login."""
    return Asked(request.param)
