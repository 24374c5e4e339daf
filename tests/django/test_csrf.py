"""Cross-site request forgery: what a cookie could vouch for needs the token in the header."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from tests.django.asking import JSON, Asked, only
from tests.django.site.pipelines import KEY

pytestmark = pytest.mark.django_db(transaction=True)

PATH = "/several/whoami/invoke"
NOTHING: dict[str, Any] = {"parameters": {}}
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=x"
PARTS = b'--x\r\nContent-Disposition: form-data; name="city"\r\n\r\nOslo\r\n--x--\r\n'
BODIES = [(NOTHING, JSON, 200), ("city=Oslo", FORM, 415), (PARTS, MULTIPART, 415)]
"""What is sent, and the answer once the token is right: forms are not read yet, and are not empty for that."""


@pytest.fixture(params=["wsgi", "asgi"])
def member(request: pytest.FixtureRequest) -> Asked:
    """A browser with a login and the token's cookie; nothing is forgiven."""
    asked = Asked(request.param, enforce_csrf_checks=True)
    asked.login(User.objects.create_user("ann"))
    return asked


def token(asked: Asked) -> str:
    text: str = asked("GET", "/token/").content.decode()
    return text


def refused(reply: Any, reason: str) -> bool:
    problem = reply.json()
    assert reply["content-type"] == "application/problem+json"
    assert (reply.status_code, problem["code"]) == (403, "csrf-failed")
    assert "header" in problem["detail"]
    return reason in problem["detail"]


@pytest.mark.parametrize(("data", "content_type", "status"), BODIES, ids=["json", "form", "multipart"])
def test_with_and_without_the_token(member: Asked, data: Any, content_type: str, status: int) -> None:
    sent = token(member)
    assert refused(member("POST", PATH, data, content_type), "CSRF token missing")
    assert refused(member("POST", PATH, data, content_type, headers={"x-csrftoken": "a" * 32}), "incorrect")
    reply = member("POST", PATH, data, content_type, headers={"x-csrftoken": sent})
    assert reply.status_code == status, reply.content


def test_without_the_cookie_of_the_token(member: Asked) -> None:
    assert refused(member("POST", PATH, NOTHING), "CSRF cookie not set")


def test_the_refusal_has_the_requests_id(member: Asked) -> None:
    assert member("POST", PATH, NOTHING, headers={"x-request-id": "r-1"})["x-request-id"] == "r-1"
    assert "x-request-id" not in member("POST", PATH, NOTHING, headers={"x-request-id": "r\u00e9"})


def test_reading_needs_no_token(member: Asked) -> None:
    assert member("GET", "/several/whoami/info").status_code == 200


def test_nothing_runs_before_the_token_is_checked(member: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipemount.django.users.Users.principal", None)
    monkeypatch.setattr("pipemount.django.users.Users.aprincipal", None)
    assert refused(member("POST", PATH, NOTHING), "CSRF")


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
def test_a_foreign_origin_is_refused_even_with_the_token(member: Asked, origin: str) -> None:
    headers = {"origin": origin, "x-csrftoken": token(member)}
    assert refused(member("POST", PATH, NOTHING, headers=headers), "Origin checking failed")


@pytest.mark.parametrize("trusted", ["https://app.example", "https://*.example"])
def test_a_trusted_origin_passes_with_the_token(member: Asked, settings: Any, trusted: str) -> None:
    settings.CSRF_TRUSTED_ORIGINS = [trusted]
    headers = {"origin": "https://app.example"}
    assert refused(member("POST", PATH, NOTHING, headers=headers), "CSRF cookie not set")
    headers["x-csrftoken"] = token(member)
    assert only(member("POST", PATH, NOTHING, headers=headers)).startswith("ann")


def test_our_own_origin_passes_with_the_token(member: Asked) -> None:
    headers = {"origin": "http://testserver", "x-csrftoken": token(member)}
    assert only(member("POST", PATH, NOTHING, headers=headers)).startswith("ann")


def test_over_https_the_referrer_counts(member: Asked) -> None:
    sent = token(member)
    reply = member("POST", PATH, NOTHING, headers={"x-csrftoken": sent}, secure=True)
    assert refused(reply, "no Referer")


def test_a_token_kept_in_the_session(member: Asked, settings: Any) -> None:
    settings.CSRF_USE_SESSIONS = True
    sent = token(member)
    assert refused(member("POST", PATH, NOTHING), "CSRF token missing")
    assert only(member("POST", PATH, NOTHING, headers={"x-csrftoken": sent})).startswith("ann")


def test_a_header_of_another_name(member: Asked, settings: Any) -> None:
    settings.CSRF_HEADER_NAME = "HTTP_X_XSRF_TOKEN"
    sent = token(member)
    reply = member("POST", PATH, NOTHING, headers={"x-csrftoken": sent})
    assert refused(reply, "CSRF token missing")
    assert "X-Xsrf-Token" in reply.json()["detail"]
    assert only(member("POST", PATH, NOTHING, headers={"x-xsrf-token": sent})).startswith("ann")


def test_a_key_needs_no_token(member: Asked) -> None:
    path = "/keyed/open/whoami/invoke"
    assert refused(member("POST", path, NOTHING), "CSRF")
    for headers in ({"authorization": f"Bearer {KEY}"}, {"x-api-key": KEY}):
        reply = member("POST", path, NOTHING, headers={**headers, "origin": "https://app.example"})
        assert only(reply).startswith("robot of key")


def test_where_there_are_no_keys_a_header_is_none(member: Asked) -> None:
    assert refused(member("POST", PATH, NOTHING, headers={"authorization": f"Bearer {KEY}"}), "CSRF")


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_without_a_cookie_there_is_nothing_to_forge(kind: str) -> None:
    assert only(Asked(kind, enforce_csrf_checks=True)("POST", PATH, NOTHING)) == "nobody"


def test_a_user_named_by_the_server_needs_the_token() -> None:
    asked = Asked("wsgi", enforce_csrf_checks=True)
    assert refused(asked("POST", PATH, NOTHING, REMOTE_USER="ann"), "CSRF")


def test_test_clients_are_forgiven_unless_they_ask(ask: Asked) -> None:
    ask.login(User.objects.create_user("ann"))
    assert only(ask("POST", PATH, NOTHING)).startswith("ann")
