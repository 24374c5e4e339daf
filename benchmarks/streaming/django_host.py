"""The pipelines in Django's URLs, under WSGI."""

from __future__ import annotations

import contenders.django_site  # noqa: F401  configures Django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import include, path

from streaming.talk import pipelines

urlpatterns = [path("", include(pipelines.django_urls()))]
settings.ROOT_URLCONF = __name__
app = get_wsgi_application()
