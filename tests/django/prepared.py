"""Makes Django ready, whichever test asks first: it takes its settings once in a process."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

import django
from django.conf import settings

if not settings.configured:
    folder = tempfile.mkdtemp(prefix="pipemount-django-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["SITE_FOLDER"] = folder
    from tests.django.site import settings as site

    settings.configure(**{name: value for name, value in vars(site).items() if name.isupper()})
    django.setup()
