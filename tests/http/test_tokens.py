"""Signed tokens over HTTP: asking for one, the links that carry it, and where it stands for a key."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from pipemount import PipelineApp, Principal, Settings, pipeline, step
from pipemount.auth import AuthKeys, Key, Tokens
from pipemount.errors import (
    ConfigurationError,
    ForbiddenError,
    MalformedRequestError,
    NotFoundError,
    UnauthenticatedError,
)
from pipemount.http.exchange import Exchange
from pipemount.http.headers import read_headers
from pipemount.http.routes import Route, build_sockets
from pipemount.http.tokens import SignedToken, Signing, bearer, private, shows_token, take_token
from pipemount.runtime.acting import acting_as
from pipemount.types import Message, Scope

KEY = "open-sesame-open-sesame"
APP_SECRET = "a secret that nobody is going to guess"
JOB = "01936f5e-7c00-7000-8000-000000000001"
ADA = Principal("ada", frozenset({"invoke", "read"}), "django")


@step
async def tell(text: str) -> str:
    return text


@pipeline
def telling(text: str = "") -> Any:
    return tell(text)


def make(**options: Any) -> PipelineApp:
    return PipelineApp(telling, **options)


# ------------------------------------------------------------------------------------ the team's own code


ROUTES = (
    Route("/jobs/{job_id}", ("GET", "HEAD"), "job", "read"),
    Route("/jobs/{job_id}", ("DELETE",), "job", "cancel"),
    Route("/jobs/{job_id}/events", ("GET",), "events", "read"),
    Route("/stream/{job_id}", ("GET",), "events", "read", documented=False),
    Route("/jobs/{job_id}/cancel", ("POST",), "cancel", "cancel"),
    Route("/info", ("GET", "HEAD"), "info", "read"),
    *build_sockets(["weather"]),
)


def sign(permission: str = "read", max_age: float = 60) -> SignedToken:
    async def find(job_id: str, viewer: Principal | None) -> None:
        raise NotImplementedError

    signing = Signing(Tokens(None, APP_SECRET), ROUTES, Settings(), find)
    return signing.sign(JOB, permission, max_age, None)


def test_a_link_for_an_email() -> None:
    signed = sign(max_age=86400)
    link = urlsplit(signed.url("https://shop.example/a%20i/"))
    assert (link.scheme, link.netloc, link.path) == ("https", "shop.example", f"/a%20i/jobs/{JOB}")
    assert parse_qs(link.query) == {"token": [signed.token]}
    assert timedelta(hours=23) < signed.expires_at - datetime.now(UTC) <= timedelta(days=1)


def test_the_links_of_each_permission() -> None:
    read, cancel = sign(), sign("cancel")
    assert (set(read.paths), set(cancel.paths)) == ({"job", "events", "websocket"}, {"cancel", "websocket"})
    assert read.url("http://shop.example", "events") == f"http://shop.example/jobs/{JOB}/events?token={read.token}"
    assert read.url("http://shop.example", "websocket") == f"ws://shop.example/stream?token={read.token}"
    assert read.url("https://shop.example/ai", "websocket").startswith("wss://shop.example/ai/stream?")
    assert all(path.endswith(f"?token={read.token}") for path in read.paths.values())


@pytest.mark.parametrize("base", ["", "shop.example", "/ai", "ftp://shop.example", "https:///ai", "https://x/?a=1"])
def test_bases_that_are_no_address(base: str) -> None:
    with pytest.raises(ConfigurationError, match="give a URL"):
        sign().url(base)


def test_a_token_has_no_link_to_what_it_does_not_permit() -> None:
    with pytest.raises(ConfigurationError, match="a token to cancel has links to: "):
        sign("cancel").url("https://shop.example", "events")


def test_a_token_does_not_show_where_values_are_shown() -> None:
    signed = sign()
    assert signed.token not in repr(signed)
    assert JOB in repr(signed)


@pytest.mark.parametrize(
    "arguments",
    [
        ("invoke", 60),
        ("admin", 60),
        ("", 60),
        ("read", 0),
        ("read", -1),
        ("read", 7 * 86400 + 1),
        ("read", float("nan")),
        ("read", float("inf")),
    ],
)
def test_permissions_and_ages_that_no_token_has(arguments: tuple[str, float]) -> None:
    with pytest.raises(ConfigurationError):
        make().sign(JOB, *arguments)


@pytest.mark.parametrize("limit", [0, -1, float("nan"), float("inf"), 400 * 86400])
def test_limits_of_ages_that_cannot_be(limit: float) -> None:
    with pytest.raises(ConfigurationError, match="max_token_age"):
        Settings(max_token_age=limit)


def test_whoever_acts_signs() -> None:
    app = make(auth=AuthKeys([Key("dumb", KEY + "-dumb", permissions="invoke"), Key("ci", KEY)]), token_secret=None)
    of_the_app = app.tokens.verify(app.sign(JOB).token)
    assert (of_the_app.name, of_the_app.sees_all) == ("app", True)
    with acting_as(ADA):
        of_ada = app.tokens.verify(app.sign(JOB).token)
        assert (of_ada.name, of_ada.sees_all) == ("ada", False)
        with pytest.raises(ForbiddenError):
            app.sign(JOB, "cancel")
        with acting_as(None):
            assert app.tokens.verify(app.sign(JOB, "cancel").token).name == "app"
    secretive = make(auth=AuthKeys([Key("ci", KEY)]), token_secret=APP_SECRET)
    assert secretive.tokens.verify(secretive.sign(JOB).token).name == "app"


# ----------------------------------------------------------------------------------------- at the door


@pytest.mark.parametrize(
    ("query", "tokens", "left"),
    [
        (b"token=abc", "abc", b"token=-"),
        (b"after=3&token=a-b_c.d&x=1", "a-b_c.d", b"after=3&token=-&x=1"),
        (b"token=", "", b"token=-"),
        (b"token=%41%2E", "A.", b"token=-"),
    ],
)
def test_a_token_is_taken_out_of_the_query(query: bytes, tokens: str, left: bytes) -> None:
    scope: Scope = {"query_string": query}
    assert shows_token(scope)
    assert take_token(scope) == tokens
    assert scope["query_string"] == left


def test_two_tokens_are_none_and_leave_no_trace_either() -> None:
    scope: Scope = {"query_string": b"token=a&token=b"}
    with pytest.raises(MalformedRequestError, match="two tokens"):
        take_token(scope)
    assert scope["query_string"] == b"token=-&token=-"


@pytest.mark.parametrize("query", [b"", b"x=1", b"mytoken=abc", b"token", b"Token=abc", b"x=token=abc", b"%74oken=abc"])
def test_queries_without_a_token(query: bytes) -> None:
    assert not shows_token({"query_string": query})


async def test_answers_at_secret_addresses_are_private() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"cache-control", b"no-cache"), (b"content-type", b"text/plain")]
    start: Message = {"type": "http.response.start", "status": 200, "headers": headers}
    await private(send)(start)
    await private(send)({"type": "http.response.body", "body": b"x"})
    assert sent[0]["headers"] == [
        (b"content-type", b"text/plain"),
        (b"cache-control", b"no-store"),
        (b"referrer-policy", b"no-referrer"),
    ]
    assert sent[1]["body"] == b"x"
    assert start["headers"] is headers and len(headers) == 2


def ask(app: PipelineApp, token: str, permission: str = "read", job_id: str = JOB, **headers: str) -> Principal:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope: Scope = {"type": "http", "method": "GET", "query_string": f"token={token}".encode(), "headers": raw}
    exchange = Exchange(scope, None, None, ("", "/"), read_headers(raw))  # type: ignore[arg-type]  # neither is asked
    exchange.params = {"job_id": job_id}
    try:
        return bearer(exchange, app.tokens, permission, keyed=app.auth is not None)
    finally:
        assert token.encode() not in scope["query_string"] or not token
        assert exchange.send is not None


def test_a_token_lets_in_to_one_job_for_one_thing() -> None:
    app = make(auth=AuthKeys({"ci": KEY}))
    token = app.sign(JOB).token
    assert ask(app, token).job_id == JOB
    with pytest.raises(NotFoundError):
        ask(app, token, job_id="another")
    with pytest.raises(NotFoundError):
        ask(app, token, "cancel", job_id="another")
    with pytest.raises(ForbiddenError):
        ask(app, token, "cancel")
    with pytest.raises(UnauthenticatedError):
        ask(app, token + "x")


def test_a_key_and_a_token_are_two_credentials() -> None:
    app = make(auth=AuthKeys({"ci": KEY}))
    token = app.sign(JOB).token
    for headers in ({"x_api_key": KEY}, {"authorization": f"Bearer {KEY}"}, {"authorization": "Basic wrong"}):
        with pytest.raises(MalformedRequestError, match="two credentials"):
            ask(app, token, **headers)
    open_to_all = make(token_secret=APP_SECRET)  # where the header is the host's business
    assert ask(open_to_all, open_to_all.sign(JOB).token, authorization="Bearer of-the-host").name == "app"
