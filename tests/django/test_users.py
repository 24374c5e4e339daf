"""Login, permissions and who calls, through the project's own middleware and decorators."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.test import RequestFactory
from tests.django.asking import Asked, only
from tests.django.site.pipelines import KEY, several

from pipemount import Principal
from pipemount.django.users import Users
from pipemount.errors import ConfigurationError

pytestmark = pytest.mark.django_db(transaction=True)

NOTHING: dict[str, Any] = {"parameters": {}}
USUAL = "of django may cancel, invoke, read"


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann")


def allow(user: User, codename: str) -> None:
    user.user_permissions.add(Permission.objects.get(codename=codename))


def test_the_user_who_is_logged_in_is_the_principal(ask: Asked, ann: User) -> None:
    assert only(ask("POST", "/several/whoami/invoke", NOTHING)) == "nobody"
    ask.login(ann)
    assert only(ask("POST", "/several/whoami/invoke", NOTHING)) == f"ann {USUAL}"


def test_a_superuser_is_an_admin(ask: Asked) -> None:
    ask.login(User.objects.create_superuser("root"))
    assert only(ask("POST", "/several/whoami/invoke", NOTHING)) == "root of django may admin, cancel, invoke, read"


def test_an_inactive_superuser_has_what_django_gives_and_no_more(rf: RequestFactory) -> None:
    request = rf.get("/")
    request.user = User.objects.create_superuser("former", is_active=False)
    assert not request.user.has_perm("site.run_notes")
    assert "invoke" not in permissions(Users(None, {"invoke": "site.run_notes"}), request)
    assert "admin" not in permissions(Users(None, {"invoke": "site.run_notes"}), request)
    assert permissions(Users(None, None), request) == {"cancel", "invoke", "read"}


def test_without_the_middleware_for_users_nobody_calls(ask: Asked, settings: Any) -> None:
    settings.MIDDLEWARE = []
    assert only(Asked(ask.kind)("POST", "/several/whoami/invoke", NOTHING)) == "nobody"


def test_another_user_whom_a_middleware_put_there(ask: Asked, ann: User, settings: Any) -> None:
    User.objects.create_user("other")
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "tests.django.site.middleware.impersonates"]
    asked = Asked(ask.kind)
    asked.login(ann)
    assert only(asked("POST", "/several/whoami/invoke", NOTHING)) == f"other {USUAL}"


@pytest.mark.parametrize("path", ["/members/", "/members/whoami/invoke", "/members/docs", "/members/not/here"])
def test_login_required_holds_for_every_route(ask: Asked, ann: User, path: str) -> None:
    method = "POST" if path.endswith("invoke") else "GET"
    data = NOTHING if method == "POST" else None
    refused = ask(method, path, data)
    assert (refused.status_code, refused["location"]) == (302, f"/login/?next={path}")
    ask.login(ann)
    assert ask(method, path, data).status_code in (200, 404)


def test_decorators_of_either_kind_in_their_order(ask: Asked, ann: User) -> None:
    refused = ask("GET", "/staff/info")
    assert (refused.status_code, refused.content, refused["x-marks"]) == (403, b"staff only", "outer ")
    ann.is_staff = True
    ann.save()
    ask.login(ann)
    reply = ask("POST", "/staff/whoami/invoke", NOTHING)
    assert only(reply) == f"ann {USUAL}"
    assert reply["x-marks"] == "outer inner"


def test_permissions_of_django_stand_for_ours(ask: Asked, ann: User) -> None:
    refused = ask("POST", "/may/whoami/invoke", NOTHING)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert "log in" in refused.json()["detail"]
    ask.login(ann)
    assert ask("POST", "/may/whoami/invoke", NOTHING).status_code == 403
    assert ask("GET", "/may/whoami/info").status_code == 200
    allow(ann, "run_notes")
    assert only(ask("POST", "/may/whoami/invoke", NOTHING)) == "ann of django may cancel, invoke, read"


def test_what_is_not_named_follows_invoke_or_takes_a_login(rf: RequestFactory, ann: User) -> None:
    users = Users(None, {"invoke": ("site.run_notes", "site.view_note")})
    request = rf.get("/")
    request.user = ann
    allow(ann, "run_notes")
    assert permissions(users, request) == {"read"}
    allow(ann, "view_note")
    request.user = User.objects.get(pk=ann.pk)
    assert permissions(users, request) == {"invoke", "read", "cancel"}


def permissions(users: Users, request: Any) -> set[str]:
    principal = users.principal(request)
    assert principal is not None
    return set(principal.permissions)


def test_an_admin_may_be_named(rf: RequestFactory, ann: User) -> None:
    request = rf.get("/")
    request.user = ann
    allow(ann, "run_notes")
    assert permissions(Users(None, {"admin": "site.run_notes"}), request) == {"admin", "read", "invoke", "cancel"}


@pytest.mark.parametrize("mount", ["named", "named-async"])
def test_the_project_says_who_calls(ask: Asked, ann: User, mount: str) -> None:
    refused = ask("POST", f"/{mount}/whoami/invoke", NOTHING)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    path = f"/{mount}/whoami/invoke"
    assert only(ask("POST", path, NOTHING, headers={"x-name": "ann"})) == f"ann {USUAL}"
    assert only(ask("POST", path, NOTHING, headers={"x-name": "bob"})) == f"bob {USUAL}"


async def test_what_the_project_says_and_permissions_together(rf: RequestFactory) -> None:
    async def find(request: Any) -> User:
        return await User.objects.acreate_user("eve")

    principal = await Users(find, {"invoke": "site.run_notes"}).aprincipal(rf.get("/"))
    assert principal is not None
    assert (principal.name, principal.permissions) == ("eve", frozenset({"read"}))


def test_a_principal_is_taken_as_it_is(rf: RequestFactory) -> None:
    given = Principal("x", frozenset({"read"}))
    assert Users(lambda request: given, None).principal(rf.get("/")) is given


def test_who_is_not_logged_in_is_nobody(rf: RequestFactory) -> None:
    request = rf.get("/")
    request.user = AnonymousUser()
    assert Users(None, None).principal(request) is None


def test_the_user_handed_over_is_no_stand_in(rf: RequestFactory, ann: User) -> None:
    from django.utils.functional import SimpleLazyObject

    request = rf.get("/")
    request.user = SimpleLazyObject(lambda: ann)  # type: ignore[assignment]  # as Django's middleware does
    principal = Users(None, None).principal(request)
    assert principal is not None
    assert principal.user is ann


def test_keys_go_on_beside_logins(ask: Asked, ann: User) -> None:
    path = "/keyed/guarded/whoami/invoke"
    unknown = ask("POST", path, NOTHING)
    assert (unknown.status_code, "www-authenticate" in unknown) == (401, True)
    by_key = ask("POST", path, NOTHING, headers={"authorization": f"Bearer {KEY}"})
    assert only(by_key) == "robot of key may cancel, invoke, read"
    ask.login(ann)
    assert ask("GET", "/keyed/guarded/whoami/info").status_code == 403
    allow(ann, "view_note")
    assert ask("GET", "/keyed/guarded/whoami/info").status_code == 200


def test_permissions_that_there_are_not() -> None:
    with pytest.raises(ConfigurationError, match="permissions names run; choose of"):
        several.django_urls(permissions={"run": "site.run_notes"})
    with pytest.raises(ConfigurationError, match="'run_notes' is no permission of Django"):
        several.django_urls(permissions={"invoke": "run_notes"})


@pytest.mark.parametrize("headers", [{"authorization": f"Bearer {KEY}"}, {"x-api-key": KEY}])
def test_no_user_is_looked_up_for_who_presents_a_key(
    ask: Asked, ann: User, headers: Any, django_assert_num_queries: Any
) -> None:
    ask.login(ann)
    with django_assert_num_queries(0):
        assert only(ask("POST", "/keyed/open/whoami/invoke", NOTHING, headers=headers)).startswith("robot of key")
