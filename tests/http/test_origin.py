"""Posts from other origins with a login's cookies, and what hosts hand over."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from flask_login import UserMixin
from starlette.authentication import BaseUser, SimpleUser
from tests.support.asgi import Answer, post

from pipemount import AuthKeys, PipelineApp, Principal, Settings, pipeline, step
from pipemount.http.handover import as_principal, hand_over, handed_over
from pipemount.types import Receive, Scope, Send

KEY = "secret-secret-secret"
COOKIE = {"cookie": "session=abc", "host": "shop.example"}
FOREIGN = {**COOKIE, "origin": "https://evil.example"}
ran: list[str] = []


@step
def note(text: str) -> str:
    ran.append(text)
    return text


@pipeline
def noting(text: str = "ran") -> Any:
    return note(text)


async def ask(
    headers: dict[str, str],
    *,
    auth: Any = None,
    trusted: tuple[str, ...] = (),
    open_routes: tuple[str, ...] = (),
    **handover: Any,
) -> Answer:
    app = PipelineApp(noting, auth=auth, settings=Settings(trusted_origins=trusted, open_routes=open_routes))

    async def host(scope: Scope, receive: Receive, send: Send) -> None:
        scope = dict(scope)
        if handover:
            hand_over(scope, **handover)
        await app(scope, receive, send)

    ran.clear()
    answer = await post(host, "/invoke", {"parameters": {}}, headers=headers)
    await app.lifecycle.aclose()
    return answer


@pytest.mark.parametrize(
    "headers",
    [
        FOREIGN,
        {**COOKIE, "origin": "null"},
        {**COOKIE, "origin": "http://[broken"},
        {**COOKIE, "origin": "https://shop.example.evil.example"},
        {**COOKIE, "origin": "https://shop.example:444"},
        {**COOKIE, "sec-fetch-site": "cross-site"},
        {**COOKIE, "sec-fetch-site": "same-site"},
        {**COOKIE, "origin": "http://shop.example", "sec-fetch-site": "cross-site"},  # its page came without TLS
        {"cookie": "session=abc", "origin": "https://shop.example"},  # no Host header to compare with
    ],
)
async def test_a_foreign_post_with_cookies_is_refused_before_anything_runs(headers: dict[str, str]) -> None:
    answer = await ask(headers)
    assert (answer.status, answer.json()["code"]) == (403, "cross-origin")
    assert ran == []


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example", "host": "shop.example"},  # no cookie: nobody's login is misused
        COOKIE,  # no browser says this
        {**COOKIE, "origin": "https://shop.example"},
        {**COOKIE, "origin": "https://SHOP.example:443"},
        {**COOKIE, "origin": "http://shop.example"},
        {**COOKIE, "sec-fetch-site": "same-origin"},
        {**COOKIE, "sec-fetch-site": "none"},
    ],
)
async def test_a_post_of_the_apps_own_pages_passes(headers: dict[str, str]) -> None:
    assert (await ask(headers)).status == 200
    assert ran == ["ran"]


async def test_what_makes_up_for_a_foreign_origin() -> None:
    assert (await ask(FOREIGN, trusted=("https://evil.example",))).status == 200
    assert (await ask(FOREIGN, token_checked=True)).status == 200
    keys = AuthKeys({"mobile": KEY})
    assert (await ask({**FOREIGN, "x-api-key": KEY}, auth=keys)).status == 200
    assert (await ask({**FOREIGN, "x-api-key": "wrong"}, auth=keys)).status == 401
    assert (await ask(FOREIGN, principal=Principal("ada", frozenset({"invoke"})), auth=keys)).status == 403


async def test_c1_a_user_whom_no_header_shows_is_held_to_the_origin_too() -> None:
    """Whom the host knows by a certificate, an address, or what a proxy says of him."""
    ada = Principal("ada", frozenset({"invoke"}))
    foreign = {"host": "shop.example", "origin": "https://evil.example"}
    refused = await ask(foreign, principal=ada)
    assert (refused.status, refused.json()["code"], ran) == (403, "cross-origin", [])
    assert (await ask({**foreign, "origin": "https://shop.example"}, principal=ada)).status == 200
    assert (await ask(foreign, principal=ada, token_checked=True)).status == 200


async def test_c1_an_open_route_is_no_way_to_act_with_somebody_s_login() -> None:
    ada = Principal("ada", frozenset({"invoke"}))
    for keys in (None, AuthKeys({"mobile": KEY})):
        refused = await ask(FOREIGN, auth=keys, open_routes=("/invoke",), principal=ada)
        assert (refused.status, refused.json()["code"], ran) == (403, "cross-origin", [])
        own = {**COOKIE, "origin": "https://shop.example"}
        assert (await ask(own, auth=keys, open_routes=("/invoke",), principal=ada)).status == 200
        assert (await ask(FOREIGN, auth=keys, open_routes=("/invoke",))).status == 200  # as nobody


async def test_a_password_that_the_browser_repeats_by_itself_is_no_key() -> None:
    """As of a site that a proxy guards: browsers send it along with the cookies, wherever a post is from."""
    for scheme in ("Basic c3RhZ2U6c3RhZ2U=", "negotiate abc", ""):
        refused = await ask({**FOREIGN, "authorization": scheme}, principal=Principal("ada"))
        assert (refused.status, ran) == (403, [])
    for deliberate in ({"authorization": "Bearer abc"}, {"x-api-key": "abc"}):  # the host knows what it is
        assert (await ask({**FOREIGN, **deliberate}, principal=Principal("ada", frozenset({"invoke"})))).status == 200


async def test_c1_a_key_that_the_browser_repeats_by_itself_is_a_login_like_a_cookie() -> None:
    keys = AuthKeys({"mobile": KEY})
    basic = {"authorization": "Basic " + b64encode(f"mobile:{KEY}".encode()).decode(), "host": "shop.example"}
    for foreign in ({"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "same-site"}):
        refused = await ask({**basic, **foreign}, auth=keys)
        assert (refused.status, refused.json()["code"], ran) == (403, "cross-origin", [])
        wrong = await ask({**basic, **foreign, "authorization": "Basic eDp4"}, auth=keys)
        assert (wrong.status, ran) == (401, [])
        deliberate = {"authorization": f"Bearer {KEY}", "host": "shop.example", **foreign}
        assert (await ask(deliberate, auth=keys)).status == 200
    for own in ({}, {"origin": "https://shop.example"}, {"sec-fetch-site": "same-origin"}):
        assert (await ask({**basic, **own}, auth=keys)).status == 200
    assert (await ask({**basic, "origin": "https://evil.example"}, auth=keys, token_checked=True)).status == 200
    trusted = await ask({**basic, "origin": "https://app.example"}, auth=keys, trusted=("https://app.example",))
    assert trusted.status == 200


async def test_a_guarded_app_takes_users_and_keys_and_nobody_else() -> None:
    keys = AuthKeys({"mobile": KEY})
    ada = Principal("ada", frozenset({"invoke"}), "django")
    assert (await ask({}, guarded=True)).json()["detail"].startswith("log in first")
    assert (await ask({}, guarded=True)).status == 403
    assert (await ask({}, guarded=True, auth=keys)).status == 401
    assert (await ask({"x-api-key": KEY}, guarded=True, auth=keys)).status == 200
    assert (await ask({}, guarded=True, principal=ada)).status == 200
    lacking = await ask({}, guarded=True, principal=Principal("bob", frozenset({"read"})))
    assert (lacking.status, lacking.json()["permission"]) == (403, "invoke")


class User:
    def __init__(self, **names: Any) -> None:
        vars(self).update(names)


class Member(UserMixin):  # type: ignore[misc]  # the library has no types
    def __init__(self, key: str) -> None:
        self.key = key

    def get_id(self) -> str:
        return self.key


@pytest.mark.parametrize(
    ("user", "name"),
    [
        ("ada", "ada"),
        (7, "7"),
        (User(username="ada", name="Ada Lovelace"), "ada"),
        (User(name=None, id=7), "7"),
        (User(name="Ada Lovelace", id=7), "7"),
        (User(display_name="Ada Lovelace", identity="ada"), "ada"),
        (User(display_name="Ada", name="Ada Lovelace"), "Ada"),
        (User(username="", id=UUID(int=7)), str(UUID(int=7))),
        (User(secret="x"), "User"),
        (SimpleUser("ada"), "ada"),
        (BaseUser(), "BaseUser"),
        (Member("7"), "7"),
        (UserMixin(), "UserMixin"),
        ({"sub": "auth0|7", "name": "Ada Lovelace"}, "auth0|7"),
    ],
)
def test_a_hosts_user_becomes_a_principal(user: Any, name: str) -> None:
    principal = as_principal(user, "flask")
    assert principal is not None
    assert (principal.name, principal.source, principal.user) == (name, "flask", user)
    assert principal.permissions == {"invoke", "read", "cancel"}


def test_a_principal_stays_and_nobody_stays_nobody() -> None:
    ada = Principal("ada")
    assert as_principal(ada, "flask") is ada
    assert as_principal(None, "flask") is None
    assert handed_over({"type": "http"}).principal is None


@pytest.mark.parametrize("spelling", [str.title, str.upper])
async def test_names_in_capitals_hide_nothing(spelling: Callable[[str], str]) -> None:
    """Servers give names in lower case (ASGI HTTP specification, 2.3); who does not has no other rules."""
    answer = await ask({spelling(name): value for name, value in FOREIGN.items()}, principal=Principal("ada"))
    assert answer.status == 403
    assert ran == []
