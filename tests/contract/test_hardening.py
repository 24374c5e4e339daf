"""Rows D2, D3, D4, D8 and H1 of the hardening matrix, by name, at the app itself; D1 is in ``test_hostile``.

CPU time is measured, not the clock's. A bound is the row's, times what neighbours on the machine may take.
"""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import pytest
from pydantic import Field
from tests.support.asgi import Answer, Connection, request

from pipemount import AuthKeys, PipelineApp, pipeline, step
from pipemount.types import Message

NEIGHBOURS = 4
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


async def timed(app: PipelineApp, body: bytes, headers: dict[str, str] = JSON) -> tuple[Answer, float]:
    """The answer, and the CPU seconds that it took in this process."""
    await request(app, "POST", "/taking/invoke", body=b'{"parameters":{}}', headers=JSON)
    began = time.process_time()
    answer = await request(app, "POST", "/taking/invoke", body=body, headers=headers)
    return answer, time.process_time() - began


def parameters(text: str) -> bytes:
    return b'{"parameters":' + text.encode() + b"}"


BOMBS = {
    **{f"arrays-1e{n}": parameters('{"anything":' + "[" * 10**n + "]" * 10**n + "}") for n in range(3, 7)},
    **{f"objects-1e{n}": parameters('{"anything":' + '{"a":' * 10**n + "1" + "}" * 10**n + "}") for n in range(3, 7)},
    **{f"open-1e{n}": b"[" * 10**n for n in range(2, 7)},
    "digits": parameters('{"number":' + "9" * 5_000 + "}"),
    "digits-in-a-text": parameters('{"number":"' + "9" * 5_000 + '"}'),
    "digits-anywhere": parameters('{"anything":' + "9" * 5_000 + "}"),
    "nan": parameters('{"anything":[NaN]}'),
    "overflow": parameters('{"anything":1e999}'),
    "surrogate": parameters('{"text":"\\ud800"}'),
    "surrogate-key": parameters('{"anything":{"\\udfff":1}}'),
    "utf-16": '{"parameters":{}}'.encode("utf-16"),
    "utf-32": '{"parameters":{}}'.encode("utf-32"),
    "bom": b"\xef\xbb\xbf" + parameters("{}"),
}


@pytest.mark.parametrize("bomb", BOMBS)
async def test_d2_json_bombs(app: PipelineApp, bomb: str) -> None:
    answer, spent = await timed(app, BOMBS[bomb])
    assert 400 <= answer.status < 500
    assert spent <= 0.05 * NEIGHBOURS


async def test_d2_a_hundred_levels_are_no_bomb(app: PipelineApp) -> None:
    answer, _ = await timed(app, parameters('{"anything":' + "[" * 100 + "]" * 100 + "}"))
    assert answer.status == 200


FLOODS = {
    "set": '{"ids":[' + ",".join(str(n * MODULUS) for n in range(1, 490_000))[:BODY].rpartition(",")[0] + "]}",
    "dict": '{"names":{' + ",".join(f'"{n * MODULUS}":""' for n in range(1, 410_000))[:BODY].rpartition(",")[0] + "}}",
}


@pytest.mark.parametrize("flood", FLOODS)
async def test_d3_hash_flooding_at_the_body_limit(app: PipelineApp, flood: str) -> None:
    answer, spent = await timed(app, parameters(FLOODS[flood]))
    assert (answer.status, answer.json()["errors"][0]["type"]) == (422, "too_many_alike")
    assert spent <= 0.2 * NEIGHBOURS


@pytest.mark.parametrize("text", ["a" * 50_000 + "!", "a" * 50_000 + "A", "ab" * 50_000 + "!", "x" * 1_000_000])
async def test_d4_patterns_that_would_never_end(app: PipelineApp, text: str) -> None:
    answer, spent = await timed(app, parameters('{"slug":"' + text + '"}'))
    assert answer.status in (200, 422)
    assert spent <= 0.05 * NEIGHBOURS


MULTIPART = b"".join(b'--x\r\ncontent-disposition: form-data; name="%d"\r\n\r\n1\r\n' % n for n in range(100_000))


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"content-type": "multipart/form-data; boundary=x"}, MULTIPART),
        ({"content-type": "multipart/form-data; boundary=x"}, b"preamble\r\n" * 500_000),
        ({"content-type": "application/x-www-form-urlencoded"}, b"a=1&" * 1_000_000),
        ({"content-type": "text/plain"}, b'{"parameters":{}}'),
        (JSON | {"content-encoding": "gzip"}, gzip.compress(b" " * 50_000_000)),
        (JSON | {"content-encoding": "GZIP"}, gzip.compress(b'{"parameters":{}}')),
        (JSON | {"content-encoding": "br, gzip"}, b"x"),
        (JSON | {"content-encoding": "deflate"}, b"x"),
    ],
)
async def test_d8_no_multipart_and_no_encodings(app: PipelineApp, headers: dict[str, str], body: bytes) -> None:
    answer, spent = await timed(app, body, headers)
    assert (answer.status, answer.json()["code"]) == (415, "unsupported-media-type")
    assert spent <= 0.1 * NEIGHBOURS


async def test_d8_identity_is_no_encoding(app: PipelineApp) -> None:
    answer, _ = await timed(app, parameters("{}"), JSON | {"content-encoding": "identity"})
    assert answer.status == 200


# ----------------------------------------------------------------------------- the edges of ASGI


Shape = Callable[[list[Message]], list[Message]]
PIECES = {
    "whole": [b'{"parameters":{"text":"x"}}'],
    "bytes": [bytes([byte]) for byte in b'{"parameters":{"text":"x"}}'],
    "empty-messages": [b"", b'{"parameters":', b"", b"", b'{"text":"x"}}', b""],
}


@pytest.mark.parametrize("without_body", [False, True])
@pytest.mark.parametrize("pieces", PIECES)
@pytest.mark.parametrize("declared", [None, b"27", b"26", b"28"])
@pytest.mark.parametrize("path", ["/taking/invoke", "/taking/batch"])
async def test_h1_pieces_of_any_size_are_one_body(
    app: PipelineApp, pieces: str, declared: bytes | None, without_body: bool, path: str
) -> None:
    parts = [part.replace(b"{", b"[{", 1) for part in PIECES[pieces]] if False else PIECES[pieces]
    headers = [(b"content-type", b"application/json"), *([(b"Content-Length", declared)] if declared else [])]
    connection = Connection(app, "POST", path, headers=headers)
    for part in parts:
        message: Message = {"type": "http.request", "more_body": True}
        if part or not without_body:
            message["body"] = part
        connection._incoming.put_nowait(message)
    connection._incoming.put_nowait({"type": "http.request"} if without_body else {"type": "http.request", "body": b""})
    await connection.run()
    assert connection.answer.status == ((200 if path.endswith("invoke") else 422) if declared in (None, b"27") else 400)


@pytest.mark.parametrize("missing", [(), ("client",), ("raw_path",), ("root_path", "scheme"), ("extensions", "state")])
@pytest.mark.parametrize("path", ["/taking/invoke", "/taking/info", "/nothing", "/docs"])
async def test_h1_scopes_without_what_may_be_left_out(app: PipelineApp, missing: tuple[str, ...], path: str) -> None:
    method = "POST" if path.endswith("invoke") else "GET"
    connection = Connection(app, method, path, headers=[(b"Content-TYPE", b"application/json")], client=("a", 1))
    connection.scope |= {"raw_path": path.encode(), "extensions": {}, "state": {}}
    for key in missing:
        del connection.scope[key]
    connection.feed(b'{"parameters":{}}')
    await connection.run()
    assert connection.answer.status == (404 if path == "/nothing" else 200)


async def test_d1_a_lying_length_is_400_and_no_run(app: PipelineApp) -> None:
    keyed = PipelineApp(taking, auth=AuthKeys(["open-sesame-open-sesame"]))
    headers = {**JSON, "x-api-key": "open-sesame-open-sesame", "content-length": "5"}
    answer = await request(keyed, "POST", "/invoke", body=b'{"parameters":{}}', headers=headers)
    assert (answer.status, answer.json()["code"]) == (400, "malformed-request")
    keyed.lifecycle.close()
