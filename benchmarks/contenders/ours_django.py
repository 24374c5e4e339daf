"""Included in Django's URLs, behind its middleware; started and stopped with the server."""

from __future__ import annotations

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.urls import include, path

import contenders.django_site  # noqa: F401  configures Django
from contenders.ours import pipelines

served = pipelines()
urlpatterns = [path("ai/", include(served.django_urls()))]
settings.ROOT_URLCONF = __name__
app = served.wrap(get_asgi_application())
