"""Rows D2, D3, D4, D8 and H1 of the hardening matrix, by name, at the app itself; D1 is in ``test_hostile``.

CPU time is measured, not the clock's. A bound is the row's, on a machine that is a third as fast.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import pytest
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field
from starlette.applications import Starlette
from starlette.routing import Mount
from tests.support import spending
from tests.support.asgi import Answer, Connection, request
from tests.support.sockets import Socket

from pipemount import AuthKeys, PipelineApp, pipeline, step
from pipemount.errors import CompileError
from pipemount.types import ASGIApp, Receive, Scope, Send

SLOWER = 3
"""Than the machine for which the rows were written."""
JSON = {"content-type": "application/json"}
MODULUS = 2**61 - 1
BODY = 10 * 1024 * 1024 - 100


@step
async def length(anything: Any, ids: set[int], names: dict[int, str], slug: str) -> int:
    return len(ids) + len(names)


@pipeline
def taking(
    anything: Any = None,
    number: int = 0,
    text: str = "",
    ids: set[int] = set(),  # noqa: B006
    names: dict[int, str] = {},  # noqa: B006
    tags: frozenset[int] = frozenset(),
    groups: list[set[int]] = [],  # noqa: B006
    slug: Annotated[str, Field(pattern="^(a+)+$|^(a|aa)+$|(.*)*b$|^(([a-z])+.)+[A-Z]([a-z])+$")] = "a",
) -> Any:
    return length(anything, ids, names, slug)


@step
async def count(upto: int) -> Any:
    for number in range(upto):
        yield number


@pipeline
def counting(upto: int = 3) -> Any:
    return count(upto)


@pytest.fixture(scope="module")
def app() -> Iterator[PipelineApp]:
    app = PipelineApp({"taking": taking, "counting": counting})
    yield app
    app.lifecycle.close()


KINDS: dict[str, tuple[str, str]] = {
    "invoke": ("/taking/invoke", '{"parameters":%s}'),
    "async": ("/taking/invoke?mode=async", '{"parameters":%s}'),
    "stream": ("/taking/invoke?mode=stream", '{"parameters":%s}'),
    "submit": ("/taking/submit", '{"parameters":%s}'),
    "batch": ("/taking/batch", "[%s]"),
    "tokens": ("/tokens", '{"job_id":"1","max_age":%s}'),
}
"""Where bodies are read, and how parameters are sent there."""


async def post(
    app: PipelineApp, path: str, body: bytes, headers: dict[str, str] = JSON, *, within: float = 0.05
) -> Answer:
    """The answer, which takes no more CPU seconds than the row says."""
    await request(app, "POST", path, body=b"null", headers=JSON)
    return await spending.within(within * SLOWER, lambda: request(app, "POST", path, body=body, headers=headers))


def statuses(answer: Answer) -> list[int]:
    """Of the answer; of a batch's each result."""
    if answer.status == 200 and isinstance(answer.json(), list):
        return [one.get("status", 200) for one in answer.json()]
    return [answer.status]


def parameters(text: str) -> bytes:
    return b'{"parameters":' + text.encode() + b"}"


INSIDE = {
    **{f"arrays-1e{n}": '{"anything":' + "[" * 10**n + "]" * 10**n + "}" for n in range(3, 7)},
    **{f"objects-1e{n}": '{"anything":' + '{"a":' * 10**n + "1" + "}" * 10**n + "}" for n in range(3, 7)},
    **{f"never-closed-1e{n}": '{"anything":' + "[" * 10**n for n in range(2, 7)},
    "digits": '{"number":' + "9" * 5_000 + "}",
    "digits-in-a-text": '{"number":"' + "9" * 5_000 + '"}',
    "digits-anywhere": '{"anything":' + "9" * 5_000 + "}",
    "nan": '{"anything":[NaN]}',
    "infinity": '{"anything":{"a":-Infinity}}',
    "overflow": '{"anything":1e999}',
    "surrogate": '{"text":"\\ud800"}',
    "surrogate-pair-the-wrong-way-round": '{"anything":"\\udc00\\ud800"}',
    "surrogate-key": '{"anything":{"\\udfff":1}}',
    "control-character": '{"text":"\x00"}',
}
"""Bombs among the parameters."""
ENTIRE = {
    **{f"open-1e{n}": b"[" * 10**n for n in range(2, 7)},
    "utf-16": '{"parameters":{}}'.encode("utf-16"),
    "utf-16-be": '[{"text":"a"}]'.encode("utf-16-be"),
    "utf-32": '{"parameters":{}}'.encode("utf-32"),
    "bom": b"\xef\xbb\xbf" + parameters("{}"),
    "no-utf-8": b'{"parameters":{"text":"\xff\xfe"}}',
    "overlong": b'{"parameters":{"text":"\xc0\x80"}}',
    "surrogate-in-utf-8": b'{"parameters":{"text":"\xed\xa0\x80"}}',
    "digits": b"9" * 5_000,
    "nan": b"NaN",
    "nothing": b"",
}
"""Bombs as bodies."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bomb", INSIDE)
async def test_d2_json_bombs(app: PipelineApp, bomb: str, kind: str) -> None:
    path, form = KINDS[kind]
    answer = await post(app, path, (form % INSIDE[bomb]).encode())
    assert all(400 <= status < 500 for status in statuses(answer)), answer.body[:300]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bomb", ENTIRE)
async def test_d2_bodies_that_are_no_json(app: PipelineApp, bomb: str, kind: str) -> None:
    answer = await post(app, KINDS[kind][0], ENTIRE[bomb])
    assert answer.status in (400, 422, *([413] if kind == "tokens" else [])), answer.body[:300]


@pytest.mark.parametrize("bomb", [*INSIDE, *ENTIRE])
async def test_d2_json_bombs_over_a_websocket(app: PipelineApp, bomb: str) -> None:
    said: str | bytes = ENTIRE.get(bomb, b"").decode("utf-8", "replace")
    if bomb in INSIDE:
        said = '{"type":"invoke","pipeline":"taking","parameters":' + INSIDE[bomb] + "}"
    elif bomb == "utf-16":
        said = ENTIRE[bomb]
    async with Socket(app) as client:
        await client.ask(type="ping")

        async def ask() -> Any:
            client.say(said)
            return await client.hear()

        answer = await spending.within(0.05 * SLOWER, ask)
        assert answer["type"] == "error", answer
        assert answer["problem"]["status"] in (400, 422)
        assert await client.ask(type="ping") == {"type": "pong"}


@pytest.mark.parametrize("kind", ["invoke", "submit", "batch"])
async def test_d2_a_hundred_levels_are_no_bomb(app: PipelineApp, kind: str) -> None:
    path, form = KINDS[kind]
    deep = '{"anything":' + "[" * 100 + "]" * 100 + "}"
    answer = await post(app, path, (form % deep).encode())
    assert statuses(answer) in ([200], [202])


def multiples(form: str) -> str:
    """Values or members of one hash, as many as a body may have."""
    many = (form.replace("#", str(n * MODULUS)) for n in range(1, BODY // (18 + len(form))))
    return ",".join(many)[:BODY].rpartition(",")[0]


SMALL_SET = "[" + ",".join(str(n * MODULUS) for n in range(1, 60)) + "]"
FLOODS = {
    "set": '{"ids":[' + multiples("#") + "]}",
    "dict": '{"names":{' + multiples('"#":""') + "}}",
    "unique-items": '{"tags":[' + multiples("#") + "]}",
}


@pytest.mark.parametrize(
    ("flood", "kind"), [*((flood, "invoke") for flood in FLOODS), ("set", "submit"), ("set", "batch")]
)
async def test_d3_hash_flooding_at_the_body_limit(app: PipelineApp, flood: str, kind: str) -> None:
    path, form = KINDS[kind]
    readings = 2 if kind == "batch" else 1  # a batch with faults is read twice
    answer = await post(app, path, (form % FLOODS[flood]).encode(), within=0.2 * readings)
    (told,) = answer.json() if kind == "batch" else [answer.json()]
    assert (told["status"], told["errors"][0]["type"]) == (422, "too_many_alike")


async def test_d3_a_flood_of_small_sets(app: PipelineApp) -> None:
    sets = ",".join([SMALL_SET] * (BODY // 4 // (len(SMALL_SET) + 1)))
    answer = await post(app, "/taking/invoke", parameters('{"groups":[' + sets + "]}"), within=0.2)
    assert answer.status == 200
    larger = "[" + ",".join(str(n * MODULUS) for n in range(1, 900)) + "]"
    many = parameters('{"groups":[' + ",".join([larger] * (BODY // (len(larger) + 1))) + "]}")
    answer = await post(app, "/taking/invoke", many, within=0.2)  # each alone costs milliseconds if it is put together
    assert answer.json()["errors"][0]["type"] == "too_many_alike"


@pytest.mark.parametrize("text", ["a" * 50_000 + "!", "a" * 50_000 + "A", "ab" * 50_000 + "!", "x" * 1_000_000])
@pytest.mark.parametrize("kind", ["invoke", "submit", "batch"])
async def test_d4_patterns_that_would_never_end(app: PipelineApp, text: str, kind: str) -> None:
    path, form = KINDS[kind]
    answer = await post(app, path, (form % ('{"slug":"' + text + '"}')).encode())
    assert set(statuses(answer)) <= {200, 202, 422}


def test_d4_the_engine_that_goes_back_is_refused_when_a_pipeline_is_compiled() -> None:
    class Slow(BaseModel):
        model_config = ConfigDict(regex_engine="python-re")
        slug: Annotated[str, Field(pattern="^(a+)+$")]

    @pipeline
    def slow(given: Slow) -> Any:
        return length(given, set(), {}, "a")

    with pytest.raises(CompileError, match="Python's re would match"):
        PipelineApp(slow)


MULTIPART = b"".join(b'--x\r\ncontent-disposition: form-data; name="%d"\r\n\r\n1\r\n' % n for n in range(100_000))
PART_HEADERS = b"--x\r\n" + b"".join(b"x-%d: 1\r\n" % n for n in range(300_000)) + b"\r\n1\r\n--x--"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"content-type": "multipart/form-data; boundary=x"}, MULTIPART),
        ({"content-type": "multipart/form-data; boundary=x"}, PART_HEADERS),
        ({"content-type": "multipart/form-data; boundary=x"}, b"preamble\r\n" * 500_000),
        ({"content-type": "application/x-www-form-urlencoded"}, b"a=1&" * 1_000_000),
        ({"content-type": "text/plain"}, b'{"parameters":{}}'),
        ({}, b'{"parameters":{}}'),
        (JSON | {"content-encoding": "gzip"}, gzip.compress(b" " * 50_000_000, mtime=0)),
        (JSON | {"content-encoding": "GZIP"}, gzip.compress(b'{"parameters":{}}', mtime=0)),
        (JSON | {"content-encoding": "identity, gzip"}, b"x"),
        (JSON | {"content-encoding": "deflate"}, b"x"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
async def test_d8_no_multipart_and_no_encodings(
    app: PipelineApp, headers: dict[str, str], body: bytes, kind: str
) -> None:
    answer = await post(app, KINDS[kind][0], body, headers, within=0.1)
    assert (answer.status, answer.json()["code"]) == (415, "unsupported-media-type")
    assert answer.headers.get("accept-encoding") == ("identity" if "content-encoding" in headers else None)


@pytest.mark.parametrize("coding", ["identity", "Identity", ""])
async def test_d8_identity_is_no_encoding(app: PipelineApp, coding: str) -> None:
    answer = await post(app, "/taking/invoke", parameters("{}"), JSON | {"content-encoding": coding})
    assert answer.status == 200


# ----------------------------------------------------------------------------- the edges of ASGI


BODIES: dict[str, tuple[str, bytes]] = {
    "invoke": ("/taking/invoke", b'{"parameters":{"text":"x"}}'),
    "submit": ("/taking/submit", b'{"parameters":{"text":"x"}}'),
    "stream": ("/taking/invoke?mode=stream", b'{"parameters":{"text":"x"}}'),
    "batch": ("/taking/batch", b'[{"text":"x"},{"text":"yz"}]'),
    "tokens": ("/tokens", b'{"job_id":"1","max_age":"x"}'),
}
PIECES: dict[str, Callable[[bytes], list[bytes]]] = {
    "whole": lambda body: [body],
    "bytes": lambda body: [body[at : at + 1] for at in range(len(body))],
    "empty-messages": lambda body: [b"", body[:5], b"", b"", body[5:], b""],
    "halves": lambda body: [body[:9], body[9:]],
}
JOB_STATUS = {"invoke": 200, "submit": 202, "stream": 200, "batch": 200, "tokens": 422}


@pytest.mark.parametrize("bare", [False, True], ids=["", "no-body-key"])
@pytest.mark.parametrize("pieces", PIECES)
@pytest.mark.parametrize("lied", [None, 0, -1, 1], ids=["undeclared", "true", "short", "long"])
@pytest.mark.parametrize("kind", BODIES)
async def test_h1_pieces_of_any_size_are_one_body(
    app: PipelineApp, pieces: str, lied: int | None, bare: bool, kind: str
) -> None:
    where, body = BODIES[kind]
    path, _, query = where.partition("?")
    headers = [(b"Content-Type", b"application/json")]
    if lied is not None:
        headers.append((b"CONTENT-LENGTH", b"%d" % (len(body) + lied)))
    connection = Connection(app, "POST", path, headers=headers, query=query.encode())
    for part in PIECES[pieces](body):
        connection.say({"type": "http.request", "more_body": True} | ({} if bare and not part else {"body": part}))
    connection.say({"type": "http.request"} if bare else {"type": "http.request", "body": b"", "more_body": False})
    await connection.run()
    answer = connection.answer  # of which there is one, and it begins with its start
    assert answer.status == (400 if lied else JOB_STATUS[kind]), answer.body
    if kind == "invoke" and not lied:
        assert answer.json()["metadata"]["parameters_used"]["text"] == "x"
    if kind == "batch" and not lied:
        assert [one["metadata"]["parameters_used"]["text"] for one in answer.json()] == ["x", "yz"]


LEFT_OUT = [(), ("client",), ("server",), ("raw_path",), ("root_path",), ("scheme",), ("extensions", "state", "asgi")]


@pytest.mark.parametrize("missing", LEFT_OUT)
@pytest.mark.parametrize("path", ["/taking/invoke", "/taking/info", "/nothing", "/docs", "/jobs/7", "/openapi.json"])
async def test_h1_scopes_without_what_may_be_left_out(app: PipelineApp, missing: tuple[str, ...], path: str) -> None:
    method = "POST" if path.endswith("invoke") else "GET"
    connection = Connection(app, method, path, headers=[(b"Content-TYPE", b"application/json")], client=("a", 1))
    connection.scope |= {"raw_path": path.encode(), "extensions": {}, "state": {}, "server": ("testserver", 80)}
    for key in missing:
        del connection.scope[key]
    connection.feed(b'{"parameters":{}}')
    await connection.run()
    assert connection.answer.status == (404 if path in ("/nothing", "/jobs/7") else 200)


@pytest.mark.parametrize("spelt", [str.lower, str.upper, str.title, str.swapcase])
async def test_h1_names_of_headers_in_any_case(spelt: Callable[[str], str]) -> None:
    app = PipelineApp(taking, auth=AuthKeys(["open-sesame-open-sesame"]))
    sent = {"content-type": "application/json", "x-api-key": "open-sesame-open-sesame", "x-request-id": "r-1"}
    headers = [(spelt(name).encode(), value.encode()) for name, value in sent.items()]
    connection = Connection(app, "POST", "/invoke", headers=headers)
    connection.feed(b'{"parameters":{}}')
    await connection.run()
    assert (connection.answer.status, connection.answer.headers["x-request-id"]) == (200, "r-1")
    app.lifecycle.close()


@pytest.mark.parametrize("host", ["mount", "wrap", "router", "middleware"])
async def test_h1_in_every_asgi_host_a_body_byte_by_byte_is_one_body(host: str) -> None:
    app = PipelineApp(taking)
    put: dict[str, Callable[[], ASGIApp]] = {
        "mount": lambda: Starlette(routes=[Mount("/ai", app)]),
        "wrap": lambda: app.wrap(Starlette(), "/ai"),
        "router": lambda: _with_router(app),
        "middleware": lambda: PipelineApp(taking, endpoints=[Mount("/ai", app)], middleware=[_passing]),
    }
    body = b'{"parameters":{"text":"x"}}'
    for lied, status in ((None, 200), (0, 200), (1, 400), (-1, 400)):
        declared = [] if lied is None else [(b"content-length", b"%d" % (len(body) + lied))]
        headers = [(b"content-type", b"application/json"), *declared]
        connection = Connection(put[host](), "POST", "/ai/invoke", headers=headers)
        connection.feed(*(bytes([byte]) for byte in body))
        await connection.run()
        assert connection.answer.status == status
    app.lifecycle.close()


def _with_router(app: PipelineApp) -> ASGIApp:
    host = FastAPI()
    host.include_router(app.router(), prefix="/ai")
    return host


async def _passing(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await app(scope, receive, send)


async def test_d1_a_lying_length_is_400_and_no_run(app: PipelineApp) -> None:
    keyed = PipelineApp(taking, auth=AuthKeys(["open-sesame-open-sesame"]))
    headers = {**JSON, "x-api-key": "open-sesame-open-sesame", "content-length": "5"}
    answer = await request(keyed, "POST", "/invoke", body=b'{"parameters":{}}', headers=headers)
    assert (answer.status, answer.json()["code"]) == (400, "malformed-request")
    keyed.lifecycle.close()
