"""Hostile clients, over raw sockets against a real server: never a 500, never two answers, no more read than needed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from tests.contract.catalogue import make
from tests.contract.siege import JSON, KEY, KEYED, MEGABYTE, Siege, chunked, endless, names
from tests.support.asgi import Connection, request
from tests.support.servers import serve, wait_until

from pipemount import PipelineApp, Settings, pipeline, step
from pipemount.types import Message


@pytest.fixture(scope="module")
def siege(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Siege]:
    notes = tmp_path_factory.mktemp("notes")
    command = ["uvicorn", "tests.contract.besieged:app", "--port", "{port}", "--log-level", "warning"]
    with serve(command, folder=notes, env={"NOTES": str(notes)}) as server:
        yield Siege(server, notes)
        server.terminate()
        assert "Traceback" not in server.log


@pytest.fixture(autouse=True)
def unharmed(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test on the server: one start per request, nothing escaped, nothing logged, and it still works."""
    yield
    if "siege" in request.fixturenames:
        siege: Siege = request.getfixturevalue("siege")
        ledger = siege.ledger()
        assert set(ledger["starts"].values()) <= {0, 1}
        assert ledger["escaped"] == []
        assert not {"Traceback", "ERROR"} & set(re.findall(r"\w+", siege.server.log)), siege.server.log
        assert siege.send(b'{"parameters":{"text":"x"}}').status == 200


# ------------------------------------------------------------------------------------------ bodies


def parameters(text: str) -> bytes:
    return b'{"parameters":' + text.encode() + b"}"


BODIES = {
    "nan": (parameters('{"number":NaN}'), {400, 422}),
    "nan-inside": (parameters('{"anything":[{"a":NaN}]}'), {400}),
    "infinity": (parameters('{"number":-Infinity}'), {400, 422}),
    "overflow": (parameters('{"number":1e999}'), {400, 422}),
    "overflow-inside": (parameters('{"anything":{"a":[1e999]}}'), {400}),
    "lone-surrogate": (parameters(r'{"text":"\ud800"}'), {400}),
    "lone-surrogate-inside": (parameters(r'{"anything":["\udfff"]}'), {400}),
    "surrogate-key": (parameters(r'{"anything":{"\ud800":1}}'), {400}),
    "half-pair": (parameters(r'{"text":"\ud83dx"}'), {400}),
    "deep-arrays": (parameters('{"anything":' + "[" * 50_000 + "]" * 50_000 + "}"), {400}),
    "deep-objects": (parameters('{"anything":' + '{"a":' * 50_000 + "1" + "}" * 50_000 + "}"), {400}),
    "deep-unclosed": (b"[" * 1_000_000, {400}),
    "deep-elsewhere": (b'{"x":' * 50_000, {400}),
    "utf-16": ('{"parameters":{}}'.encode("utf-16"), {400}),
    "bom": (b"\xef\xbb\xbf" + parameters("{}"), {400}),
    "not-utf-8": (parameters('{"text":"') + b'\xff\xfe"}}', {400}),
    "overlong": (b'{"parameters":{"text":"\xc0\xaf"}}', {400}),
    "nul": (b"\x00" * 1000, {400}),
    "empty": (b"", {400}),
    "two-values": (parameters("{}") * 2, {400}),
    "trailing": (parameters("{}") + b" x", {400}),
    "digits-float": (parameters('{"number":' + "9" * 5_000 + "}"), {400, 422}),
    "digits-int": (parameters('{"numbers":[' + "9" * 5_000 + "]}"), {400, 422}),
    "digits-any": (parameters('{"anything":' + "9" * 5_000 + "}"), {400, 422}),
    "digits-string": (parameters('{"numbers":["' + "9" * 5_000 + '"]}'), {400, 422}),
    "unknown-field": (b'{"parameters":{},"x":1}', {422}),
    "format-string": (b'{"parameters":{},"run_name":"{0.__class__}"}', {422}),
    "nan-timeout": (b'{"parameters":{},"timeout":NaN}', {400, 422}),
}
TAKEN = {
    "duplicate-keys": parameters('{"text":"a","text":"b"}'),
    "pair": parameters(r'{"text":"\ud83d\ude00"}'),
    "escaped-nul": parameters(r'{"text":"\u0000"}'),
    "word-nan": parameters('{"text":"NaN Infinity 1e999"}'),
    "blanks": b" \n\t\r" * 10_000 + parameters("{}"),
    "long": parameters('{"text":"' + "x" * 9 * MEGABYTE + '"}'),
    "null-name": b'{"parameters":{},"run_name":"\\u0000"}',
}


@pytest.mark.server
@pytest.mark.parametrize(("body", "statuses"), BODIES.values(), ids=BODIES)
def test_bodies_that_are_no_json_or_too_much(siege: Siege, body: bytes, statuses: set[int]) -> None:
    assert siege.send(body).status in statuses


@pytest.mark.server
@pytest.mark.parametrize("body", TAKEN.values(), ids=TAKEN)
def test_bodies_that_are_odd_but_valid(siege: Siege, body: bytes) -> None:
    assert siege.send(body).status == 200


# ------------------------------------------------------------------------------------- big and lying


@pytest.mark.server
@pytest.mark.parametrize("form", ["declared", "chunked"])
def test_sixty_four_megabytes_with_a_key_are_413(siege: Siege, form: str) -> None:
    before = siege.ledger()["memory"]
    size, limit = 64 * MEGABYTE, 10 * MEGABYTE
    if form == "declared":
        reply = siege.ask([], f"{KEYED}{JSON}content-length: {size}\r\n")
        assert reply.status == 413
    else:
        reply = siege.ask(chunked(endless(size)), f"{KEYED}{JSON}transfer-encoding: chunked\r\n")
        assert reply.received == b"" or reply.status == 413
    ledger = siege.ledger()
    assert ledger["starts"][reply.name] == 1
    # The server hands over up to 256 KiB in one message.
    assert ledger["read"].get(reply.name, 0) <= (0 if form == "declared" else limit + 256 * 1024)
    assert ledger["memory"] - before <= 3 * limit


@pytest.mark.server
@pytest.mark.parametrize("pieces", [1, 7, 1000])
def test_a_chunked_body_is_read_whatever_its_pieces(siege: Siege, pieces: int) -> None:
    body = parameters('{"text":"' + "å" * 500 + '"}')
    size = max(1, len(body) // pieces)
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    reply = siege.ask(chunked(chunks), f"{KEYED}{JSON}transfer-encoding: chunked\r\n")
    assert reply.status == 200


LENGTHS = {
    "none-of-it": "content-length: abc\r\n",
    "negative": "content-length: -1\r\n",
    "plus": "content-length: +2\r\n",
    "huge": f"content-length: {'9' * 30}\r\n",
    "twice": "content-length: 17\r\ncontent-length: 18\r\n",
    "list": "content-length: 17, 17\r\n",
    "both": "content-length: 17\r\ntransfer-encoding: chunked\r\n",
}


@pytest.mark.server
@pytest.mark.parametrize("header", LENGTHS.values(), ids=LENGTHS)
def test_lying_lengths(siege: Siege, header: str) -> None:
    """Most are the server's to refuse; it logs that."""
    reply = siege.ask([b'{"parameters":{}}'], KEYED + JSON + header)
    assert reply.received == b"" or 400 <= reply.status < 500


# ------------------------------------------------------------------------------------------- leaving


@pytest.mark.server
@pytest.mark.parametrize("form", ["close", "reset"])
def test_leaving_in_the_middle_of_the_body(siege: Siege, form: str) -> None:
    for _ in range(5):
        name = next(names)
        with siege.connect() as connection:
            head = f"POST /echoing/invoke HTTP/1.1\r\nhost: x\r\nx-request-id: {name}\r\n{KEYED}{JSON}"
            connection.sendall(f"{head}content-length: 1000\r\n\r\n{{".encode())
            wait_until(lambda name=name: siege.ledger()["read"].get(name) == 1)  # type: ignore[misc]
            if form == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        assert siege.ledger()["starts"].get(name, 0) == 0


@pytest.mark.server
@pytest.mark.parametrize("form", ["close", "reset"])
def test_leaving_cancels_an_async_step(siege: Siege, form: str) -> None:
    name = f"waits-{form}"
    body = parameters(json.dumps({"name": name}))
    with siege.connect() as connection:
        head = f"POST /waiting/invoke HTTP/1.1\r\nhost: x\r\nx-request-id: {name}\r\n{KEYED}{JSON}"
        connection.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        wait_until((siege.notes / f"{name}.entered").exists)
        assert not (siege.notes / f"{name}.cancelled").exists()
        if form == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    wait_until((siege.notes / f"{name}.cancelled").exists)
    assert siege.ledger()["starts"].get(name, 0) == 0


@pytest.mark.server
def test_memory_does_not_grow_with_bad_requests(siege: Siege) -> None:
    bodies = [body for body, _ in BODIES.values() if len(body) < 200_000]
    for body in bodies:
        siege.send(body)
    before = siege.ledger()["memory"]
    for body in bodies * 10:
        siege.send(body)
    assert siege.ledger()["memory"] - before <= 5 * MEGABYTE


# ------------------------------------------------------------------------ edges of the protocol itself


@pytest.fixture(scope="module")
def app() -> Iterator[PipelineApp]:
    app = make(locked=True)
    yield app
    app.lifecycle.close()


@pytest.mark.parametrize(
    "headers",
    [
        [(b"Content-Type", b"application/json"), (b"Authorization", b"bEaReR " + KEY.encode())],
        [(b"CONTENT-TYPE", b"Application/JSON; charset=UTF-8"), (b"X-API-KEY", KEY.encode())],
        [(b"cOnTeNt-tYpE", b"application/vnd.x+json"), (b"x-ApI-kEy", KEY.encode()), (b"CONTENT-LENGTH", b"17")],
    ],
)
async def test_headers_in_any_case(app: PipelineApp, headers: list[tuple[bytes, bytes]]) -> None:
    connection = Connection(app, "POST", "/weather/invoke", headers=headers)
    connection.feed(b'{"parameters":{}}')
    await connection.run()
    assert connection.answer.status == 200


async def test_scopes_with_as_few_keys_as_the_specification_lets(app: PipelineApp) -> None:
    """No ``client``, ``server``, ``raw_path``, ``root_path``, ``state``, ``extensions``."""
    headers = [(b"content-type", b"application/json"), (b"x-api-key", KEY.encode())]
    connection = Connection(app, "POST", "/weather/invoke", headers=headers)
    for key in ("root_path", "scheme"):
        del connection.scope[key]
    assert not {"client", "server", "raw_path", "state"} & connection.scope.keys()
    connection.feed(b'{"parameters":{}}')
    await connection.run()
    assert connection.answer.status == 200


@pytest.mark.parametrize("declared", [None, b"17", b"16", b"18"])
async def test_bodies_in_pieces_and_messages_without_a_body(app: PipelineApp, declared: bytes | None) -> None:
    headers = [(b"content-type", b"application/json"), (b"x-api-key", KEY.encode())]
    length = [(b"content-length", declared)] if declared else []
    connection = Connection(app, "POST", "/weather/invoke", headers=headers + length)
    messages: list[Message] = [{"type": "http.request", "more_body": True}]
    for byte in b'{"parameters":{}}':
        messages += [
            {"type": "http.request", "body": bytes([byte]), "more_body": True},
            {"type": "http.request", "body": b"", "more_body": True},
        ]
    for message in [*messages, {"type": "http.request"}]:
        connection._incoming.put_nowait(message)
    await connection.run()
    assert connection.answer.status == (200 if declared in (None, b"17") else 400)


@pytest.mark.parametrize("path", ["/weather/invoke", "/info", "/nothing", "/docs", "/"])
@pytest.mark.parametrize("failing", ["http.response.start", "http.response.body"])
async def test_a_server_that_cannot_send(app: PipelineApp, path: str, failing: str) -> None:
    """``send`` raises ``OSError`` once the client has gone (ASGI 2.4): nothing more is sent, nothing else is raised."""
    headers = [(b"content-type", b"application/json"), (b"x-api-key", KEY.encode())]
    connection = Connection(app, "POST" if path.endswith("invoke") else "GET", path, headers=headers)
    connection.feed(b'{"parameters":{}}')
    tried: list[str] = []

    async def send(message: Message) -> None:
        tried.append(message["type"])
        if message["type"] == failing:
            raise OSError("gone")

    connection._send = send  # type: ignore[method-assign]
    with contextlib.suppress(OSError):
        await connection.run()
    assert tried == ["http.response.start", "http.response.body"][: 1 + (failing == "http.response.body")]


@pytest.mark.parametrize("scale", [1, pytest.param(20, marks=pytest.mark.full)])
def test_a_disconnect_at_any_message(app: PipelineApp, scale: int) -> None:
    """Nothing escapes, and nothing is sent to a client that left before its request was complete."""
    runner = asyncio.Runner()

    @seed(11)
    @settings(max_examples=100 * scale, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.binary(max_size=20), max_size=6), st.booleans(), st.sampled_from([True, False]))
    def check(chunks: list[bytes], keyed: bool, complete: bool) -> None:
        headers = [(b"content-type", b"application/json"), *([(b"x-api-key", KEY.encode())] if keyed else [])]
        connection = Connection(app, "POST", "/weather/invoke", headers=headers)
        connection.feed(*chunks, more=not complete)
        connection.disconnect()
        runner.run(connection.run())
        starts = [message for message in connection.sent if message["type"] == "http.response.start"]
        assert len(starts) == (1 if not keyed or (complete and chunks) else 0)
        assert all(400 <= message["status"] < 500 for message in starts)

    check()
    assert not asyncio.all_tasks(runner.get_loop())
    runner.close()


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", "/weather/invoke", {"content-type": "text/plain"}, 415),
        ("POST", "/weather/invoke", {"content-type": "multipart/form-data; boundary=x"}, 415),
        ("POST", "/weather/invoke", {"content-type": "application/json; charset=utf-16"}, 400),
        ("POST", "/weather/invoke", {"content-type": "application/json", "accept": "text/csv"}, 406),
        ("GET", "/openapi.json", {"accept": "\xff" * 4000}, 200),
        ("GET", "/weather/info", {"traceparent": "x" * 9000, "tracestate": "\x00"}, 200),
        ("GET", "/weather/info", {"x-request-id": "a\r\nset-cookie: x=1"}, 200),
    ],
)
async def test_hostile_headers(app: PipelineApp, method: str, path: str, headers: dict[str, str], status: int) -> None:
    answer = await request(app, method, path, body=b'{"parameters":{}}', headers={**headers, "x-api-key": KEY})
    assert answer.status == status, answer.body
    assert all(b"\n" not in value and b"\r" not in value for _, value in answer.raw_headers)


async def test_a_step_that_changes_its_inputs_does_not_fail_the_response() -> None:
    """What ``parameters_used`` tells is what came in, not what a step made of it."""

    @step
    async def spoil(items: list[Any]) -> int:
        items.append(object())
        return len(items)

    @pipeline
    def spoiling(items: list[Any]) -> Any:
        return spoil(items)

    app = PipelineApp(spoiling, settings=Settings())
    async with app.lifespan(None):
        headers = {"content-type": "application/json"}
        answer = await request(app, "POST", "/invoke", body=b'{"parameters":{"items":[1]}}', headers=headers)
    assert answer.status == 200
    assert answer.json()["metadata"]["parameters_used"] == {"items": [1]}
