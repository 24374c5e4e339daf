"""Included in Django's URLs, under WSGI."""

from __future__ import annotations

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import include, path

import contenders.django_site  # noqa: F401  configures Django
from contenders.ours import pipelines, weather_sync

urlpatterns = [path("ai/", include(pipelines(weather_sync).django_urls()))]
settings.ROOT_URLCONF = __name__
app = get_wsgi_application()
