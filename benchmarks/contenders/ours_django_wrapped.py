"""Wrapped around a Django project."""

from __future__ import annotations

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.urls import URLPattern

import contenders.django_site  # noqa: F401  configures Django
from contenders.ours import pipelines

urlpatterns: list[URLPattern] = []
settings.ROOT_URLCONF = __name__
app = pipelines().wrap(get_asgi_application(), "/ai")
