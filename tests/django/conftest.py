"""Django keeps its settings once for the process: they are those of ``tests.django.site`` wherever its tests run."""

from __future__ import annotations

import pytest
import tests.django.prepared  # noqa: F401  # before what needs it

from tests.django.asking import Asked  # isort: skip


@pytest.fixture(params=["wsgi", "asgi"])
def ask(request: pytest.FixtureRequest) -> Asked:
    """A client, without a login."""
    return Asked(request.param)
