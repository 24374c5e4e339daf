"""CORS, secure headers, the host allow-list and request ids: what is sent to browsers, and what is refused."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from starlette.middleware import Middleware
from tests.support.asgi import Connection, get, post, request

from pipemount import (
    AuthKeys,
    Cors,
    Endpoint,
    PipelineApp,
    RequestIdFilter,
    SecureHeaders,
    Settings,
    pipeline,
    step,
)
from pipemount.errors import ConfigurationError
from pipemount.types import ASGIApp, Message, Receive, Scope, Send

KEY = "open-sesame-open-sesame"
APP = "https://app.example"


@step
async def greet(name: str) -> str:
    logging.getLogger("shop").info("greeting")
    return f"Hello, {name}!"


@step
def wave(name: str) -> str:
    logging.getLogger("shop").info("waving")
    return name


@step
async def count(upto: int) -> AsyncIterator[int]:
    for number in range(upto):
        yield number


@pipeline
def greeting(name: str = "Ada") -> Any:
    return greet(wave(name))


@pipeline
def counting(upto: int = 2) -> Any:
    return count(upto)


def make(**settings: Any) -> PipelineApp:
    return PipelineApp(greeting, settings=Settings(**settings))


INVOKE: dict[str, Any] = {"parameters": {}}


# --------------------------------------------------------------------------------------------- CORS

ORIGINS = [
    *(APP, "http://app.example", "https://APP.example", "https://app.example:443", "https://app.example:8443"),
    *("https://app.example.", "https://app.example/", "https://app.example.evil.example", "https://evil-app.example"),
    *("https://evil.example", "https://evil.example#https://app.example", "https://evil.example?https://app.example"),
    *("https://app.example@evil.example", "https://sub.app.example", "https://appXexample", "https://app.exampl"),
    *("null", "NULL", "Null", "", " ", "*", "https://*", "https://*.example", "file://", "file:///etc/passwd"),
    *("data:text/html,x", "about:blank", "blob:https://app.example/1", "chrome-extension://abcdef", "undefined"),
    *("localhost", "http://localhost", "http://localhost:3000", "http://127.0.0.1", "http://127.0.0.1:8000"),
    *("http://[::1]", "http://0.0.0.0", "https://127.1", "http://testserver", "https://testserver", "testserver"),
    *(
        "https://app.example https://evil.example",
        "https://app.example, https://evil.example",
        "https://\uff41pp.example",
    ),
    *("https://app.example\t", "https://app.example%00.evil.example", "https://app.example%0d%0a", "javascript:1"),
    *("ftp://app.example", "//app.example", "app.example", "https:app.example", "https:///app.example"),
]


def test_there_are_fifty_origins() -> None:
    assert len(set(ORIGINS)) >= 50


async def answers_to(app: ASGIApp, origin: str) -> list[Mapping[str, str]]:
    """The headers of an invocation, of a failure and of a preflight; with cookies, as a browser has them."""
    own = {"origin": origin, "host": "testserver", "cookie": "session=1"}
    preflight = {**own, "access-control-request-method": "POST", "access-control-request-headers": "content-type"}
    answers = [
        await get(app, "/info", headers=own),
        await get(app, "/nothing", headers=own),
        await post(app, "/invoke", INVOKE, headers=own),
        await request(app, "OPTIONS", "/invoke", headers=preflight),
    ]
    return [answer.headers for answer in answers]


@pytest.mark.parametrize("origin", ORIGINS)
async def test_c4_no_origin_is_let_in_unless_asked_for(origin: str) -> None:
    for headers in await answers_to(make(), origin):
        assert not [name for name in headers if name.startswith("access-control-")]


@pytest.mark.parametrize("credentials", [False, True])
@pytest.mark.parametrize("origin", ORIGINS)
async def test_c4_only_the_origins_that_were_named_are_let_in(origin: str, credentials: bool) -> None:
    app = make(cors=Cors([APP], allow_credentials=credentials), trusted_origins=(APP,))
    for headers in await answers_to(app, origin):
        assert headers.get("access-control-allow-origin") == (APP if origin == APP else None)
        assert "origin" in headers.get("vary", "").lower() or headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("origin", ORIGINS)
async def test_c4_all_origins_are_let_in_by_a_star_and_never_with_credentials(origin: str) -> None:
    for headers in await answers_to(make(cors=Cors(["*"])), origin):
        assert headers.get("access-control-allow-origin") == "*"
        assert "access-control-allow-credentials" not in headers


PREFLIGHT = {"origin": APP, "access-control-request-method": "POST"}


async def test_pages_may_read_the_headers_that_tell_of_a_run() -> None:
    app = PipelineApp(greeting, settings=Settings(cors=Cors([APP]), generate_request_ids=True))
    async with app.lifespan(None):
        for _ in range(2):
            answer = await post(app, "/submit", INVOKE, headers={"origin": APP, "idempotency-key": "once"})
    exposed = {name.strip().lower() for name in answer.headers["access-control-expose-headers"].split(",")}
    told = {"idempotency-replayed", "location", "x-request-id", "x-run-id"}
    assert told <= answer.headers.keys()
    assert told <= exposed


async def test_a_preflight_is_answered_before_anybody_is_asked_for_a_key() -> None:
    app = PipelineApp(greeting, auth=AuthKeys([KEY]), settings=Settings(cors=Cors([APP])))
    asked = {**PREFLIGHT, "access-control-request-headers": "Content-Type, X-API-Key, Idempotency-Key"}
    answer = await request(app, "OPTIONS", "/invoke", headers=asked)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == APP
    assert {"GET", "POST", "DELETE"} == set(answer.headers["access-control-allow-methods"].split(", "))
    assert "x-api-key" in answer.headers["access-control-allow-headers"].lower()
    assert answer.headers["access-control-max-age"] == "600"
    assert answer.headers["x-content-type-options"] == "nosniff"
    refused = await post(app, "/invoke", INVOKE, headers={"origin": APP})
    assert refused.status == 401
    assert refused.headers["access-control-allow-origin"] == APP  # so that the page learns why
    assert "x-run-id" in refused.headers["access-control-expose-headers"].lower()


@pytest.mark.parametrize(
    "asked",
    [
        {"origin": "https://evil.example"},
        {"access-control-request-method": "PUT"},
        {"access-control-request-headers": "x-secret"},
    ],
)
async def test_a_preflight_that_is_refused_is_a_problem(asked: dict[str, str]) -> None:
    answer = await request(make(cors=Cors([APP])), "OPTIONS", "/invoke", headers=PREFLIGHT | asked)
    assert (answer.status, answer.json()["code"]) == (400, "malformed-request")
    assert answer.json()["instance"] == "/invoke"
    assert "access-control-allow-methods" not in answer.headers


@pytest.mark.parametrize(
    "wrong",
    [
        {"allow_origins": ["*"], "allow_credentials": True},
        {"allow_origins": ["*", APP]},
        {"allow_origins": APP},
        {"allow_origins": ["null"]},
        {"allow_origins": ["app.example"]},
        {"allow_origins": [APP + "/"]},
        {"allow_origins": ["https://App.example"]},
        {"allow_origins": ["https://*.example"]},
        {"allow_origins": [7]},
        {"allow_origins": [APP], "allow_methods": ["G T"]},
        {"allow_origins": [APP], "expose_headers": ["a\r\nb"]},
        {"allow_origins": [APP], "max_age": -1},
        {"allow_origins": [APP], "max_age": 1.5},
    ],
)
def test_cors_that_would_be_unsafe_or_senseless(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Cors(**wrong)


# ------------------------------------------------------------------------------------ secure headers

SAFE = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cross-origin-resource-policy": "same-origin",
}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *[
            ("GET", path)
            for path in ("/", "/info", "/schema", "/openapi.json", "/pipelines", "/health", "/health/live")
        ],
        *[("GET", "/nothing"), ("PUT", "/invoke"), ("POST", "/submit"), ("HEAD", "/info"), ("GET", "/metrics")],
    ],
)
async def test_every_answer_has_secure_headers(method: str, path: str) -> None:
    answer = await request(
        make(), method, path, body=b'{"parameters":{}}', headers={"content-type": "application/json"}
    )
    assert answer.headers.items() >= SAFE.items()
    assert answer.headers["cache-control"] in ("no-store", "no-cache")
    names = [name for name, _ in answer.raw_headers]
    assert len(names) == len(set(names)), "no header comes twice"
    assert not {b"server", b"strict-transport-security"} & set(names)


async def test_what_a_run_gives_is_data_and_has_the_headers_of_data() -> None:
    app = PipelineApp(counting)
    async with app.lifespan(None):
        for more in ({}, {"x-request-id": "7"}, {"idempotency-key": "7"}):
            answer = await post(app, "/invoke", INVOKE, headers=more)
            assert answer.status == 200
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert not {"x-frame-options", "content-security-policy", "cache-control"} & answer.headers.keys()


async def test_a_stream_has_secure_headers() -> None:
    app = PipelineApp(counting)
    async with app.lifespan(None):
        answer = await post(app, "/invoke?mode=stream", INVOKE, headers={"accept": "text/event-stream"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers.items() >= SAFE.items()


async def test_the_docs_page_has_a_policy_of_its_own() -> None:
    answer = await get(make(), "/docs")
    assert "script-src 'self' 'nonce-" in answer.headers["content-security-policy"]
    assert [name for name, _ in answer.raw_headers].count(b"content-security-policy") == 1


async def test_case_23_each_secure_header_can_be_another_or_off() -> None:
    chosen = SecureHeaders(frame_options="SAMEORIGIN", permissions_policy=None, cache_control="private")
    answer = await get(make(secure_headers=chosen), "/nothing")
    assert answer.headers["x-frame-options"] == "SAMEORIGIN"
    assert answer.headers["cache-control"] == "private"
    assert "permissions-policy" not in answer.headers
    assert answer.headers["x-content-type-options"] == "nosniff"
    none = await get(make(secure_headers=None), "/nothing")
    assert not (SAFE.keys() | {"cache-control"}) & none.headers.keys()


@pytest.mark.parametrize(("scheme", "sent"), [("http", None), ("https", "max-age=31536000")])
async def test_transport_security_is_sent_over_tls_and_when_asked_for(scheme: str, sent: str | None) -> None:
    asked = make(secure_headers=SecureHeaders(strict_transport_security="max-age=31536000"))
    answer = await get(asked, "/info", scheme=scheme)
    assert answer.headers.get("strict-transport-security") == sent
    assert "strict-transport-security" not in (await get(make(), "/info", scheme="https")).headers


@pytest.mark.parametrize(
    "word", ["disabled", "None", " ENABLED ", "true", "off", "", "default", "a\r\nset-cookie: x=1", "é", True, False, 1]
)
def test_case_23_words_for_on_and_off_are_not_sent_to_browsers(word: Any) -> None:
    with pytest.raises(ConfigurationError, match="give the text to send, or None"):
        SecureHeaders(referrer_policy=word)


# ---------------------------------------------------------------------------------------------- hosts


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *[(host, 200) for host in ("ai.example", "AI.example:8000", "ai.example.", "a.in.example", "a.b.in.example")],
        *[(host, 200) for host in ("[::1]", "[::1]:8000")],
        *[(host, 421) for host in ("evil.example", "ai.example.evil", "in.example", "xin.example", "[::2]", "::1", "")],
        *[(host, 421) for host in ("ai.example@evil", "evil/ai.example", "127.0.0.1", "[ai.example", "é", "*")],
    ],
)
async def test_c3_only_hosts_on_the_list_are_answered(host: str, status: int) -> None:
    app = make(allowed_hosts=("AI.example", "*.in.example", "[::1]"))
    answer = await get(app, "/info", headers={"host": host})
    assert answer.status == status
    if status == 421:
        assert answer.json()["code"] == "host-not-allowed"
        assert answer.headers.items() >= SAFE.items()


async def test_c3_two_hosts_or_none_are_no_host() -> None:
    app = make(allowed_hosts=("ai.example",))
    twice = Connection(app, "GET", "/info", headers=[(b"host", b"ai.example"), (b"Host", b"ai.example")])
    await twice.run()
    assert twice.answer.status == 421
    assert (await get(app, "/info")).status == 421


async def test_all_hosts_are_answered_without_a_list_and_by_a_star() -> None:
    for app in (make(), make(allowed_hosts=("*",))):
        assert (await get(app, "/info", headers={"host": "evil.example"})).status == 200


@pytest.mark.parametrize("explained", [False, True])
async def test_c3_a_handshake_from_another_host_is_refused(explained: bool) -> None:
    sent: list[Message] = []

    said = iter(["websocket.connect"])

    async def receive() -> Message:
        return {"type": next(said, "websocket.disconnect")}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {"type": "websocket", "path": "/stream", "headers": [(b"host", b"evil.example")]}
    if explained:
        scope["extensions"] = {"websocket.http.response": {}}
    await make(allowed_hosts=("ai.example",))(scope, receive, send)
    if explained:
        assert sent[0]["status"] == 421
    else:
        assert sent == [{"type": "websocket.close", "code": 1008}]


@pytest.mark.parametrize(
    "wrong",
    [
        {"allowed_hosts": "ai.example"},
        {"allowed_hosts": ("https://ai.example",)},
        {"allowed_hosts": ("ai.example:80",)},
        {"allowed_hosts": ("*example",)},
        {"trusted_origins": ("app.example",)},
        {"trusted_origins": ("*",)},
    ],
)
def test_lists_that_would_let_nobody_or_everybody_in(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Settings(**wrong)


# ---------------------------------------------------------------------------------------- request ids


class Lines(logging.Handler):
    """Keeps what a formatter makes of each record."""

    def __init__(self) -> None:
        super().__init__()
        self.addFilter(RequestIdFilter())
        self.setFormatter(logging.Formatter("%(request_id)s %(message)s"))
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def lines() -> Any:
    handler, logger = Lines(), logging.getLogger("shop")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler.lines
    logger.setLevel(logging.NOTSET)
    logger.removeHandler(handler)


async def test_a_request_id_that_came_is_echoed_and_in_the_log_of_every_step(lines: list[str]) -> None:
    app = make()
    async with app.lifespan(None):
        answer = await post(app, "/invoke", INVOKE, headers={"x-request-id": "r-1"})
        await post(app, "/invoke", INVOKE)
    assert answer.headers["x-request-id"] == "r-1"
    assert lines == ["r-1 waving", "r-1 greeting", "- waving", "- greeting"]


async def test_a_request_without_an_id_is_given_one_where_that_is_asked_for(lines: list[str]) -> None:
    seen: list[ASGIApp] = []

    class Passing:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            seen.append(self.app)
            await self.app(scope, receive, send)

    for middleware in ([], [Middleware(Passing)]):
        app = PipelineApp(greeting, settings=Settings(generate_request_ids=True), middleware=middleware)
        lines.clear()
        async with app.lifespan(None):
            first = (await post(app, "/invoke", INVOKE)).headers["x-request-id"]
            second = (await get(app, "/nothing")).headers["x-request-id"]
            own = (await get(app, "/info", headers={"x-request-id": "r-2"})).headers["x-request-id"]
        assert len(first) == 32
        assert (first != second, own) == (True, "r-2")
        assert lines == [f"{first} waving", f"{first} greeting"]
    assert len(seen) == 3
    assert "x-request-id" not in (await get(make(), "/info")).headers


async def test_an_id_that_cannot_be_in_a_log_is_none() -> None:
    app = PipelineApp(greeting, endpoints=[Endpoint("/version", lambda request: 7)])
    answer = await get(app, "/version", headers={"x-request-id": "a\x1b[31m"})
    assert (answer.json(), "x-request-id" in answer.headers) == (7, False)


@pytest.mark.parametrize("settings", [Settings(), Settings(allowed_hosts=("a.example",))])
async def test_a_call_of_ones_own_around_an_app_is_made_once_for_each_request(settings: Settings) -> None:
    class Counting(PipelineApp):
        calls = 0

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            self.calls += 1
            await super().__call__(dict(scope), receive, send)

    app = Counting(greeting, settings=settings)
    answer = await post(app, "/invoke", {"parameters": {}}, headers={"host": "a.example"})
    assert (answer.status, app.calls) == (200, 1)
    await app.lifecycle.aclose()
