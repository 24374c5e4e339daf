"""Beacon for ASGI servers: ``uvicorn beacon.asgi:application``."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "beacon.settings.production")

application = get_asgi_application()
