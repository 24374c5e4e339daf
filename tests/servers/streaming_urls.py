"""The URLs of the Django project in ``streaming``."""

from django.urls import include, path
from tests.servers.streaming import pipelines

urlpatterns = [path("", include(pipelines.django_urls()))]
