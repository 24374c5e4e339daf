"""Pipelines that the project's own views run, on behalf of whoever is logged in."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from tests.django.asking import Asked

from pipemount.django.middleware import current_principal

pytestmark = pytest.mark.django_db(transaction=True)

ACTING = "pipemount.django.middleware.acting_user"


@pytest.mark.parametrize("path", ["/mine/", "/async/mine/"])
def test_with_the_middleware_the_user_is_the_principal(ask: Asked, settings: Any, path: str) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, ACTING]
    asked = Asked(ask.kind)
    assert asked("GET", path).content == b"nobody"
    asked.login(User.objects.create_user("ann"))
    assert asked("GET", path).content == b"ann of django may cancel, invoke, read"
    assert current_principal() is None


def test_without_it_nobody_is(ask: Asked) -> None:
    ask.login(User.objects.create_user("ann"))
    assert ask("GET", "/mine/").content == b"nobody"


def test_a_page_that_runs_nothing_asks_for_nobody(settings: Any) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, ACTING]
    assert "vary" not in Asked("wsgi")("GET", "/page/")
