"""Beacon for WSGI servers: ``gunicorn beacon.wsgi``."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "beacon.settings.production")

application = get_wsgi_application()
