"""Which page is where."""

from __future__ import annotations

from django.apps import apps
from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path

from .assets import asset

urlpatterns = [
    path("", include("desk.urls")),
    path("login/", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
    path("static/<path:name>", asset),
]

if apps.is_installed("triage"):
    urlpatterns += [path("", include("triage.urls"))]
