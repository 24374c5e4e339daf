"""The pipeline's own API under ``ai/``, and the page's view."""

from __future__ import annotations

from django.urls import include, path

from .pipelines import pipelines
from .views import triage_new

MAY = {"invoke": "triage.run_triage", "read": "triage.run_triage"}

urlpatterns = [
    path("ai/", include(pipelines.django_urls(permissions=MAY))),
    path("triage/", triage_new, name="triage_new"),
]
