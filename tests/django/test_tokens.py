"""Signed tokens that the project's own views give out, and what they open."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from tests.django.asking import Asked

pytestmark = pytest.mark.django_db(transaction=True)

ACTING = "pipemount.django.middleware.acting_user"


def submitted(ask: Asked) -> str:
    answer = ask("POST", "/several/weather/submit", {"parameters": {}})
    assert answer.status_code == 202, answer.content
    return str(answer.json()["job_id"])


@pytest.mark.parametrize("path", ["/link/", "/async/link/"])
def test_a_view_gives_its_user_links(ask: Asked, settings: Any, path: str) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, ACTING]
    ann, bob, anybody = Asked(ask.kind), Asked(ask.kind), Asked(ask.kind)
    ann.login(User.objects.create_user("ann"))
    bob.login(User.objects.create_user("bob"))
    job_id = submitted(ann)
    links = ann("GET", f"{path}{job_id}/").json()
    assert anybody("GET", f"/several/jobs/{job_id}").status_code == 404
    opened = anybody("GET", "/several" + links["job"])
    assert (opened.status_code, opened.json()["job_id"]) == (200, job_id)
    assert (opened["cache-control"], opened["referrer-policy"]) == ("no-store", "no-referrer")
    assert bob("GET", "/several" + links["job"]).status_code == 200  # who has it, and not who is logged in
    of_bob = bob("GET", f"{path}{job_id}/").json()  # a view that does not look whose job it is
    assert anybody("GET", "/several" + of_bob["job"]).status_code == 404


def test_a_token_to_cancel_needs_no_login_and_no_csrf_token(ask: Asked, settings: Any) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, ACTING]
    ann, anybody = Asked(ask.kind), Asked(ask.kind, enforce_csrf_checks=True)
    ann.login(User.objects.create_user("ann"))
    answer = ann("POST", "/several/waiting/submit", {"parameters": {"seconds": 600}})
    job_id = answer.json()["job_id"]
    cancel = ann("GET", f"/link/{job_id}/?permission=cancel").json()["cancel"]
    assert anybody("GET", "/several" + cancel).status_code == 405
    assert ann("GET", f"/several/jobs/{job_id}").json()["cancel_requested"] is False
    assert anybody("POST", "/several" + cancel).json()["job_id"] == job_id
    assert ann("GET", f"/several/jobs/{job_id}").json()["reason"] == "cancelled on request of ann"


def test_what_the_project_signs_of_itself(ask: Asked) -> None:
    """Without the middleware, as in a task that sends e-mails: the app vouches, whoever began the job."""
    ann, anybody = Asked(ask.kind), Asked(ask.kind)
    ann.login(User.objects.create_user("ann"))
    job_id = submitted(ann)
    links = anybody("GET", f"/link/{job_id}/").json()
    assert anybody("GET", "/several" + links["job"]).json()["job_id"] == job_id


def test_a_token_is_no_way_around_a_login(ask: Asked) -> None:
    """Beside the routes that take one, ``login_required`` is asked, and what is no token is refused."""
    for path in ("/members/jobs/x?token=wrong", "/members/jobs/x/events?token=wrong"):
        assert ask("GET", path).status_code in (302, 401)
    assert ask("GET", "/members/jobs?token=wrong").status_code == 302
    assert ask("POST", "/members/weather/invoke?token=wrong", {"parameters": {}}).status_code == 302
    assert ask("GET", "/may/jobs?token=wrong").status_code == 403
