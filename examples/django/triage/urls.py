"""The pipeline's own API under ``ai/``, and the pages' views."""

from __future__ import annotations

from django.urls import include, path

from .pipelines import pipelines
from .views import triage_cancel, triage_new, triage_one, triage_retry, triages

MAY = {"invoke": "triage.run_triage", "read": "triage.run_triage"}

urlpatterns = [
    path("ai/", include(pipelines.django_urls(permissions=MAY))),
    path("triage/", triage_new, name="triage_new"),
    path("triage/<int:number>/", triage_one, name="triage_one"),
    path("triages/", triages, name="triages"),
    path("triages/<job>/cancel/", triage_cancel, name="triage_cancel"),
    path("triages/<job>/retry/", triage_retry, name="triage_retry"),
]
