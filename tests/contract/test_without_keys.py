"""Row A5 of the hardening matrix: whoever shows nothing gets only what the app's settings leave open."""

from __future__ import annotations

import itertools
import random
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote
from wsgiref.types import WSGIApplication

import pytest
from asgiref.wsgi import WsgiToAsgi
from fastapi import FastAPI
from flask import Flask
from starlette.applications import Starlette
from starlette.routing import Mount
from tests.contract.catalogue import HOSTS as CATALOGUE
from tests.contract.catalogue import weather
from tests.support.asgi import Connection
from tests.support.servers import Server, serve

from pipemount import AuthKeys, PipelineApp, PipelineMiddleware, Settings
from pipemount.types import ASGIApp, Message

KEY = "open-sesame-open-sesame"
SEED = 5
MUTATIONS = [1_500, pytest.param(10_000, marks=pytest.mark.full)]
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW", "get", "")
LIVE = b'{"status":"live"}'
JSON = [(b"content-type", b"application/json")]
JOB = "01936f5e-7c00-7000-8000-000000000001"


def make(**settings: Any) -> PipelineApp:
    return PipelineApp({"weather": weather, "other": weather}, auth=AuthKeys([KEY]), settings=Settings(**settings))


def published(app: PipelineApp) -> Iterator[tuple[str, str]]:
    for route in app.route_table:
        for method in route.methods:
            yield method, route.path.replace("{job_id}", JOB)


async def ask(app: ASGIApp, method: str, raw: str, headers: Sequence[tuple[bytes, bytes]] = JSON) -> Connection:
    """As a server hands it over: the path unquoted, the query cut off, ``raw_path`` as it came."""
    path, _, query = raw.partition("?")
    scope: Any = {"raw_path": path.encode("latin-1", "replace"), "query": query.encode("latin-1", "replace")}
    connection = Connection(app, method, unquote(path, errors="replace"), headers=headers, **scope)
    connection.feed(b'{"parameters":{}}')
    await connection.run()
    return connection


def check_nothing_told(connection: Connection, what: object, *, quietly: bool = True) -> int:
    """An answer that tells nothing but that the process lives, or how to come in; ``quietly``: no body was read."""
    answer = connection.answer
    if answer.status == 200:
        head = connection.scope["method"] == "HEAD"
        assert answer.body == (b"" if head else LIVE), what
        assert answer.headers["content-length"] == str(len(LIVE)), what
    else:
        assert answer.status in (400, 401, 404, 405), (what, answer.status)
        assert answer.headers["content-type"] == "application/problem+json", what
        assert ("www-authenticate" in answer.headers) == (answer.status == 401), what
        assert connection.received == 0 or not quietly, what
    return answer.status


ASSETS = {"/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js", "/docs/favicon-32x32.png"}
OPENED = {
    ("/health/live",): {"/health/live"},
    (): set[str](),
    ("/docs", "/health/live"): {"/docs", "/health/live", *ASSETS},
    ("/pipelines/other/info",): {"/pipelines/other/info", "/other/info"},
}


@pytest.mark.parametrize("opened", OPENED)
async def test_a5_every_route_but_the_open_ones_takes_a_key(opened: tuple[str, ...]) -> None:
    app = make(open_routes=opened)
    answered = set()
    for method, path in published(app):
        status = (await ask(app, method, path)).answer.status
        assert status in (200, 401), (method, path, status)
        if status == 200:
            answered.add(path)
    assert answered == OPENED[opened]


# -------------------------------------------------------------------------------------- mutated paths


def mutate(path: str, dice: random.Random) -> str:
    """The path with one to three of the tricks that confuse those who look at paths."""
    for _ in range(dice.randint(1, 3)):
        path = dice.choice(TRICKS)(path, dice)
    return path


def _at_slash(path: str, dice: random.Random, new: str) -> str:
    places = [place for place, letter in enumerate(path) if letter == "/"] or [0]
    place = dice.choice(places)
    return path[:place] + new + path[place + 1 :]


def _anywhere(path: str, dice: random.Random, new: str) -> str:
    place = dice.randint(0, len(path))
    return path[:place] + new + path[place:]


def _encoded(path: str, dice: random.Random) -> str:
    place = dice.randrange(len(path)) if path else 0
    return path[:place] + "".join(f"%{byte:02x}" for byte in path[place : place + 1].encode()) + path[place + 1 :]


TRICKS: tuple[Callable[[str, random.Random], str], ...] = (
    lambda path, dice: _at_slash(path, dice, dice.choice(("%2F", "%2f", "//", "///", "\\", "%5c", "%252f", "/./"))),
    lambda path, dice: _at_slash(
        path, dice, dice.choice(("/../", "/..;/", "/%2e%2e/", "/x/../", "/;/", "/%00/", "/. /"))
    ),
    lambda path, dice: _anywhere(path, dice, dice.choice((";", ";a=b", "%00", "%0a", "%20", "\t", "?", "#", "%", "."))),
    lambda path, dice: f"/health/live{dice.choice(('', '/', ';', '/..', '/../..', '%2f..%2f..', '/../../..'))}{path}",
    lambda path, dice: path + dice.choice(("/health/live", "/../health/live", ";/health/live", "?/health/live", "%3f")),
    lambda path, dice: (
        path + dice.choice(("/", "//", "/.", "/..", "%2f", "?key=x", f"?token={KEY}", ".json", "%20", "~"))
    ),
    lambda path, dice: dice.choice(("http://x", "http://127.0.0.1/", "//evil.example", "https:", "http:", "*")) + path,
    lambda path, dice: path.lstrip("/"),
    lambda path, dice: path.swapcase() if dice.random() < 0.5 else path.title(),
    lambda path, dice: _encoded(path, dice),
)


def included(app: PipelineApp) -> ASGIApp:
    host = FastAPI(openapi_url=None)
    host.include_router(app.router(), prefix="/p")
    return host


def added(app: PipelineApp) -> ASGIApp:
    host = Starlette()
    host.add_middleware(PipelineMiddleware, pipelines=app, path="/p")
    return host


def flask(app: PipelineApp) -> ASGIApp:
    host = Flask("host", static_folder=None)
    app.init_app(host, "/p")
    return as_asgi(host.wsgi_app)


def dispatched(app: PipelineApp) -> ASGIApp:
    return as_asgi(app.wrap_wsgi(Flask("host", static_folder=None).wsgi_app, "/p"))


def as_asgi(app: WSGIApplication) -> ASGIApp:
    adapter: Any = WsgiToAsgi
    taken: ASGIApp = adapter(app)
    return taken


HOSTS: dict[str, Callable[[PipelineApp], ASGIApp]] = {
    "mounted": lambda app: Starlette(routes=[Mount("/p", app)]),
    "wrapped": lambda app: app.wrap(Starlette(), "/p"),
    "middleware": added,
    "included": included,
    "flask": flask,
    "wsgi": dispatched,
}
SOCKETS = [host for host in HOSTS if host not in ("flask", "wsgi")]
"""Django, and hosts under their own servers, are below."""


@pytest.mark.parametrize("mutations", MUTATIONS)
async def test_a5_ten_thousand_paths_open_nothing(mutations: int) -> None:
    app, dice = make(), random.Random(SEED)
    routes = list(published(app))
    counted: dict[int, int] = {}
    for _ in range(mutations):
        method, path = dice.choice(routes)
        method = method if dice.random() < 0.8 else dice.choice(METHODS)
        mutated = mutate(path, dice)
        status = check_nothing_told(await ask(app, method, mutated), (method, mutated))
        counted[status] = counted.get(status, 0) + 1
    assert counted[401] > mutations / 100 and counted[404] > mutations / 10 and counted[200] > 0, counted


@pytest.mark.parametrize("host", HOSTS)
async def test_a5_in_a_host_every_route_takes_a_key(host: str) -> None:
    app = make()
    outer = HOSTS[host](app)
    for method, path in published(app):
        connection = await ask(outer, method, f"/p{path}")
        status = connection.answer.status
        assert status == (200 if path == "/health/live" else 401), (method, path, connection.answer.body)


@pytest.mark.parametrize("mutations", [200, pytest.param(2_000, marks=pytest.mark.full)])
@pytest.mark.parametrize("host", HOSTS)
async def test_a5_in_a_host_the_paths_open_nothing_either(host: str, mutations: int) -> None:
    """What the host answers itself is an empty application's 404, 405 or redirect."""
    app, dice = make(), random.Random(SEED)
    routes = list(published(app))
    outer = HOSTS[host](app)
    for _ in range(mutations):
        method, path = dice.choice(routes)
        mutated = mutate(f"/p{path}", dice) if dice.random() < 0.5 else f"/p{mutate(path, dice)}"
        connection = await ask(outer, method, mutated)
        answer = connection.answer
        if answer.headers.get("content-type") == "application/problem+json" or answer.status == 200:
            check_nothing_told(connection, (method, mutated), quietly=host in SOCKETS)
        else:
            assert answer.status in (307, 308, 404, 405) or answer.body == b"", (method, mutated, answer)


@pytest.mark.parametrize("host", SOCKETS)
async def test_a5_in_a_host_no_socket_is_opened_without_a_key(host: str) -> None:
    app, dice = make(), random.Random(SEED)
    outer = HOSTS[host](app)
    for route in app.sockets:
        for path in (route.path, *(mutate(route.path, dice) for _ in range(20))):
            for query in ("", f"?token={KEY}", f"?key={KEY}", "?token=", "?token=a.b.c"):
                sent = await knock(outer, f"/p{path}{query}")
                assert [message["type"] for message in sent] == ["websocket.close"], (path, query)


@pytest.mark.parametrize("mutations", [500, pytest.param(2_000, marks=pytest.mark.full)])
async def test_a5_odd_root_paths_open_nothing(mutations: int) -> None:
    """Whatever a proxy or a host says that the mount is, the route that answers is the one that was checked."""
    app, dice = make(), random.Random(SEED)
    routes = list(published(app))
    for _ in range(mutations):
        method, path = dice.choice(routes)
        root = dice.choice(
            ("/p", "p", "//p", "/health", "/health/live", "/", path, f"{path}/health/live", "/é", "/a b")
        )
        asked = dice.choice((path, root + path, path + root, f"/health/live{path}"))
        connection = Connection(app, method, asked, headers=JSON, root_path=root)
        if dice.random() < 0.5:
            connection.scope["path_remaining"] = path.lstrip("/")
        connection.feed(b'{"parameters":{}}')
        await connection.run()
        check_nothing_told(connection, (method, asked, root))


@pytest.mark.parametrize("mutations", [500, pytest.param(10_000, marks=pytest.mark.full)])
async def test_a5_no_socket_is_opened_without_a_key(mutations: int) -> None:
    app, dice = make(), random.Random(SEED)
    paths = [*(route.path for route in app.sockets), *(path for _, path in published(app))]
    for _ in range(mutations):
        path = dice.choice(paths)
        path = path if dice.random() < 0.2 else mutate(path, dice)
        sent = await knock(app, path)
        assert [message["type"] for message in sent] == ["websocket.close"], path


async def knock(app: ASGIApp, raw: str) -> list[Message]:
    """What is answered to the handshake of a WebSocket."""
    sent: list[Message] = []
    came: list[Message] = [{"type": "websocket.disconnect", "code": 1006}, {"type": "websocket.connect"}]
    path, _, query = raw.partition("?")

    async def receive() -> Message:
        return came.pop()

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        **{"type": "websocket", "asgi": {"version": "3.0"}, "scheme": "ws", "path": unquote(path), "root_path": ""},
        **{"query_string": query.encode(), "raw_path": quote(path).encode(), "headers": [], "subprotocols": []},
    }
    await app(scope, receive, send)
    return sent


# -------------------------------------------------------------------------------------- a real server

UVICORN = ["uvicorn", "--factory", "tests.contract.catalogue:create", "--port", "{port}", "--log-level", "warning"]
GUNICORN = ["gunicorn", "tests.contract.catalogue:create()", "--bind", "127.0.0.1:{port}", "--threads", "4"]
SERVERS = {
    "alone": UVICORN,
    "django-asgi": UVICORN,
    "django-wsgi": GUNICORN,
    "flask": GUNICORN,
    "included": UVICORN,
    "hypercorn": ["hypercorn", "tests.contract.catalogue:create()", "--bind", "127.0.0.1:{port}"],
    "granian": ["granian", "--factory", "--interface", "asgi", "--port", "{port}", "tests.contract.catalogue:create"],
}
OFTEN = {"alone", "django-asgi", "django-wsgi"}
PATHS = (
    *("/", "/weather/info", "/pipelines", "/weather/invoke", "/openapi.json"),
    *("/tokens", "/metrics", "/jobs", f"/jobs/{JOB}", f"/jobs/{JOB}/events"),
)
HEADS = (
    "GET {path} HTTP/1.1\r\nhost: x\r\n",
    "GET http://x{path} HTTP/1.1\r\nhost: x\r\n",
    "GET http://127.0.0.1:1{path} HTTP/1.1\r\nhost: y\r\n",
    "GET {path} HTTP/1.0\r\n",
    "GET {path} HTTP/1.1\r\nhost: \r\n",
    "GET {path} HTTP/1.1\r\nhost: evil.example\r\nx-forwarded-host: x\r\nx-original-url: /health/live\r\n",
    "GET {path} HTTP/1.1\r\nhost: x\r\nx-rewrite-url: /health/live\r\nx-http-method-override: GET\r\n",
    "GET {path} HTTP/1.1\r\nhost: x/health/live?\r\n",
    "GET {path} HTTP/1.1\r\nhost: a@b:c\r\n",
    "GET {bare} HTTP/1.1\r\nhost: x\r\n",
    "GET {path}#/health/live HTTP/1.1\r\nhost: x\r\n",
    "GET /health/live/..{path} HTTP/1.1\r\nhost: x\r\n",
    "GET /health/live/%2e%2e{path} HTTP/1.1\r\nhost: x\r\n",
    "GET //health/live{path} HTTP/1.1\r\nhost: x\r\n",
    "GET /health/live;{path} HTTP/1.1\r\nhost: x\r\n",
    "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 0\r\n",
)


@pytest.mark.server
@pytest.mark.parametrize(
    "name", [name if name in OFTEN else pytest.param(name, marks=pytest.mark.full) for name in SERVERS]
)
def test_a5_on_a_server_no_way_of_writing_a_request_opens_anything(name: str, tmp_path: Path) -> None:
    host = name if name in CATALOGUE else "alone"
    mount = "" if host == "alone" else "/p"
    with serve(SERVERS[name], folder=tmp_path, env={"LOCKED": "1", "HOST": host, "MOUNT": mount}) as server:
        for path, head in itertools.product((mount + path for path in PATHS), HEADS):
            check_raw(raw_request(server, head.format(path=path, bare=path.lstrip("/") or "x")), (head, path))
        dice = random.Random(SEED)
        for _ in range(100 if name in OFTEN else 500):
            path = mount + dice.choice(PATHS)
            mutated = mutate(path, dice).encode("latin-1", "replace").decode("latin-1")
            sent = "".join(letter if "!" <= letter <= "~" else f"%{ord(letter):02x}" for letter in mutated) or "/"
            check_raw(raw_request(server, f"GET {sent} HTTP/1.1\r\nhost: x\r\n"), sent)
        assert server.get(f"{mount}/health/live").status == 200


def check_raw(received: bytes, what: object) -> None:
    """An answer that tells nothing, or none: then it was not taken for a request."""
    if received:
        status, body = int(received.split()[1]), received.partition(b"\r\n\r\n")[2]
        assert status in (301, 307, 308, 400, 401, 404, 405, 421, 501) or LIVE in body, (what, received)
        assert not any(told in body for told in (b'"schema"', b"outputs", b'"urls"', b"token_", b'"jobs":')), what


def raw_request(server: Server, head: str) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(f"{head}connection: close\r\n\r\n".encode("latin-1"))
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    return received
