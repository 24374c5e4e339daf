"""Rows A1, A2, A3 and A7 of the hardening matrix: keys in requests, in comparisons and at rest."""

from __future__ import annotations

import ast
import gc
import hashlib
import hmac
import json
import secrets
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CoroutineType, FrameType
from typing import Any

import pytest
from tests.support.asgi import Answer, Connection
from tests.support.sockets import Socket

import pipemount
from pipemount import AuthKeys, PipelineApp, pipeline, step
from pipemount.auth import Key, digest, generate_key

PACKAGE = Path(pipemount.__file__).parent
SECRET = "clé: pm_0123456789abcdef"
CHALLENGES = ('Basic realm="pipemount", charset="UTF-8"', 'Bearer realm="pipemount"')


@step
async def note(text: str) -> str:
    return text


@pipeline
def noting(text: str = "") -> Any:
    return note(text)


@pytest.fixture
def app() -> Iterator[PipelineApp]:
    app = PipelineApp(noting, auth=AuthKeys([Key("ci", SECRET), Key("web", generate_key())]))
    yield app
    app.lifecycle.close()


async def ask(
    app: PipelineApp, *headers: tuple[bytes, bytes], query: bytes = b"", body: bytes = b'{"parameters":{}}'
) -> Answer:
    sent = [(b"content-type", b"application/json"), *headers]
    connection = Connection(app, "POST", "/invoke", headers=sent, query=query)
    connection.feed(body)
    await connection.run()
    answer = connection.answer
    if answer.status != 200:
        assert connection.received == 0, "decided before the body was read"
    return answer


def check_refused(answer: Answer) -> None:
    assert (answer.status, answer.headers["content-type"]) == (401, "application/problem+json")
    assert all(challenge in answer.headers["www-authenticate"] for challenge in CHALLENGES)


# ------------------------------------------------------------------------------------------------- A1

RIGHT = SECRET.encode()
ADMITTED = {
    "as-written": b"Basic " + b64encode(b"ci:" + RIGHT),
    "lower-case": b"basic " + b64encode(b"ci:" + RIGHT),
    "mixed-case": b"bASiC " + b64encode(b"ci:" + RIGHT),
    "more-blanks": b"Basic    " + b64encode(b"ci:" + RIGHT) + b"  ",
    "empty-name": b"Basic " + b64encode(b":" + RIGHT),  # and colons in the password
    "latin-1": b"Basic " + b64encode(("ci:" + SECRET).encode("latin-1")),
    "decomposed": b"Basic " + b64encode(("ci:" + SECRET.replace("é", "e\u0301")).encode()),
}
REFUSED = {
    "empty": b"",
    "scheme-only": b"Basic",
    "no-credentials": b"Basic ",
    "not-base64": b"Basic %%%%",
    "base64-cut": b"Basic " + b64encode(b"ci:" + RIGHT)[:-2],
    "base64-url": b"Basic " + b64encode(b"ci:\xff\xfe\xfd\xfc").replace(b"/", b"_"),
    "base64-twice": b"Basic " + b64encode(b"ci:" + RIGHT) * 2,
    "tail": b"Basic " + b64encode(b"ci:" + RIGHT) + b" x",
    "no-colon": b"Basic " + b64encode(RIGHT.replace(b":", b"")),
    "empty-key": b"Basic " + b64encode(b"ci:"),
    "both-empty": b"Basic " + b64encode(b":"),
    "key-as-name": b"Basic " + b64encode(RIGHT.replace(b":", b"") + b":"),
    "another-keys-name": b"Basic " + b64encode(b"web:" + RIGHT),
    "nul-in-name": b"Basic " + b64encode(b"ci\x00:" + RIGHT),
    "nul-in-key": b"Basic " + b64encode(b"ci:\x00" + RIGHT),
    "line-end-in-key": b"Basic " + b64encode(b"ci:" + RIGHT + b"\r\n"),
    "escape-in-name": b"Basic " + b64encode(b"\x1b[2Jci:" + RIGHT),
    "not-utf-8": b"Basic " + b64encode(b"\xff\xfe:\xff"),
    "header-not-ascii": "Basic clé".encode(),
    "huge": b"Basic " + b64encode(b"ci:" + b"x" * 100_000),
    "digest-of-the-key": b"Basic " + b64encode(b"ci:" + digest(SECRET).encode()),
}


@pytest.mark.parametrize("header", ADMITTED.values(), ids=ADMITTED)
async def test_a1_basic_credentials_that_are_right(app: PipelineApp, header: bytes) -> None:
    assert (await ask(app, (b"authorization", header))).status == 200


@pytest.mark.parametrize("header", REFUSED.values(), ids=REFUSED)
async def test_a1_basic_credentials_that_are_not(app: PipelineApp, header: bytes) -> None:
    check_refused(await ask(app, (b"authorization", header)))


# ------------------------------------------------------------------------------------------------- A2

BEARER = (b"authorization", b"Bearer " + RIGHT)
API_KEY = (b"x-api-key", RIGHT)
BASIC = (b"authorization", ADMITTED["as-written"])
WRONG = (b"x-api-key", b"wrong")


async def test_a2_a_key_is_missing_wrong_twice_elsewhere_or_one_of_two(app: PipelineApp) -> None:
    for right in (BEARER, API_KEY, BASIC):
        assert (await ask(app, right)).status == 200
    check_refused(await ask(app))
    check_refused(await ask(app, WRONG))
    wrong = await ask(app, (b"authorization", b"Bearer wrong"))
    check_refused(wrong)
    assert 'error="invalid_token"' in wrong.headers["www-authenticate"]
    for twice in ((BEARER, BEARER), (API_KEY, API_KEY), (BASIC, BEARER)):
        assert (await ask(app, *twice)).status == 400
    for two in ((BEARER, API_KEY), (BASIC, API_KEY), (BEARER, WRONG)):
        assert (await ask(app, *two)).status == 400
    key = SECRET.encode()
    for name in ("key", "api_key", "x-api-key", "access_token", "token", "authorization"):
        check_refused(await ask(app, query=name.encode() + b"=" + key))
        check_refused(await ask(app, body=json.dumps({"parameters": {}, name: SECRET}).encode()))
        check_refused(await ask(app, (b"cookie", name.encode() + b"=" + key)))


# ------------------------------------------------------------------- A1 and A2 wherever a key is asked for

JOB = "01936f5e-7c00-7000-8000-000000000001"


def everywhere(app: PipelineApp) -> Iterator[tuple[str, str]]:
    for route in app.route_table:
        for method in route.methods:
            if route.permission is not None:
                yield method, route.path.replace("{job_id}", JOB)
    for route in app.sockets:
        yield "WEBSOCKET", route.path


async def status_of(app: PipelineApp, method: str, path: str, *headers: tuple[bytes, bytes]) -> tuple[int, Any]:
    """The status, 101 for an open socket, and the challenges."""
    if method == "WEBSOCKET":
        socket = Socket(app, path)
        socket.scope["headers"] = [(b"host", b"testserver"), *headers]
        socket.open()
        first = await socket.sent()
        socket.leave()
        assert socket.task is not None
        await socket.task
        if first["type"] == "websocket.accept":
            return 101, None
        answered = dict(first["headers"])
        assert answered[b"content-type"] == b"application/problem+json"
        return first["status"], answered.get(b"www-authenticate", b"").decode()
    connection = Connection(app, method, path, headers=headers)
    connection.feed(b"")
    await connection.run()
    return connection.answer.status, connection.answer.headers.get("www-authenticate")


async def test_a1_and_a2_hold_on_every_route_and_socket(app: PipelineApp) -> None:
    """What is beyond the key is not looked at before it: a job that there is not, a body that is none."""
    refused = [
        (),
        *([(b"authorization", header)] for header in REFUSED.values()),
        [WRONG],
        [(b"authorization", b"Bearer wrong")],
        [(b"authorization", b"Digest x")],
    ]
    twice = [[BEARER, BEARER], [API_KEY, API_KEY], [BASIC, BEARER], [BEARER, API_KEY], [BASIC, API_KEY]]
    asked = 0
    for method, path in everywhere(app):
        for headers in refused:
            status, challenge = await status_of(app, method, path, *headers)
            assert status == 401, (method, path, headers)
            assert "Basic realm=" in challenge and "Bearer realm=" in challenge
        for headers in twice:
            assert (await status_of(app, method, path, *headers))[0] == 400, (method, path, headers)
        for header in ADMITTED.values():
            assert (await status_of(app, method, path, (b"authorization", header)))[0] not in (400, 401, 403, 500), path
        asked += 1
    assert asked > 40


# ------------------------------------------------------------------------------------------------- A3

SECRET_WORDS = ("hash", "digest", "presented", "credential", "password", "token", "secret", "signature")
HARMLESS = {
    "auth/key.py": ["secret != secret.strip()"],  # a key that is set up, with itself
    "auth/tokens.py": ["said[0] in TOKEN_PERMISSIONS"],
    "http/tokens.py": ["b'&token=' in query", "b'token=' in query", "permission not in TOKEN_PERMISSIONS"],
    "jobs/memory.py": ["record.job.request.idempotency.digest != same.digest"],  # of what was asked for
    "jobs/postgres/connections.py": ["'password' in cause"],  # in what the server says
    "jobs/postgres/store.py": ["first.request.idempotency.digest != same.digest"],
    "jobs/sqlite/writes.py": ["found['digest'] != digest"],
    "jobs/values.py": ["sha256(body).hexdigest().encode() != digest"],  # of a value, in its file's name
    "pipelines/steps.py": [f"{word} signature.call.parameters" for word in ("'id' not in", "'after' not in")]
    + ["'max_concurrency' in signature.call.parameters", "'executor' not in self.signature.call.parameters"],
    "pipelines/tracing.py": ["keyword not in signature.call.parameters", "unknown == signature.context_parameter"],
    "testing/hosts/streams.py": ["name == 'digest'"],
    "testing/stores/once.py": ["(await store.submit(keyed(digest='other'))).job.id == second.id"],
    "testing/stores/reference.py": ["first.request.idempotency.digest == same.digest"],
}
LEAKY = (ast.Eq, ast.NotEq, ast.In, ast.NotIn)


def comparisons_of_secrets(source: str) -> list[str]:
    """What stops at the first difference, with an operand whose name speaks of a secret."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Compare | ast.Match)]
    equal = [node.subject if isinstance(node, ast.Match) else node for node in nodes if _is_leaky(node)]
    return sorted(text for text in map(ast.unparse, equal) if any(word in text.lower() for word in SECRET_WORDS))


def _is_leaky(node: ast.Compare | ast.Match) -> bool:
    return isinstance(node, ast.Match) or any(isinstance(operation, LEAKY) for operation in node.ops)


def test_a3_no_secret_is_compared_with_equals() -> None:
    planted = "if presented_hash == known: ...\nfound = token in tokens\nmatch password:\n    case 'x': ..."
    assert comparisons_of_secrets(planted) == ["password", "presented_hash == known", "token in tokens"]
    found = {
        str(module.relative_to(PACKAGE)): hits
        for module in sorted(PACKAGE.rglob("*.py"))
        if (hits := comparisons_of_secrets(module.read_text()))
    }
    assert found == {name: sorted(hits) for name, hits in HARMLESS.items()}


def compared(monkeypatch: pytest.MonkeyPatch, action: Callable[[], Any]) -> list[tuple[int, int]]:
    """The lengths of what was compared digest by digest."""
    lengths = []
    compare = hmac.compare_digest

    def spy(one: Any, other: Any) -> bool:
        lengths.append((len(one), len(other)))
        return compare(one, other)

    with monkeypatch.context() as patched:
        patched.setattr("hmac.compare_digest", spy)
        action()
    return lengths


@pytest.mark.parametrize("count", [1, 2, 7])
def test_a3_every_key_is_compared_whichever_matches(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = AuthKeys([f"{SECRET}-{number}" for number in range(count)])
    presented = [f"{SECRET}-0", f"{SECRET}-{count - 1}", "wrong", "x" * 10_000, ""]
    for key in presented:
        for headers in ((None, key.encode()), (b"Bearer " + key.encode(), None), (basic(key), None)):

            def authenticate(headers: Any = headers) -> None:
                try:
                    keys.authenticate(*headers)
                except pipemount.PipemountError as error:
                    assert error.status == 401

            assert compared(monkeypatch, authenticate) == [(32, 32)] * count


def basic(key: str) -> bytes:
    return b"Basic " + b64encode(b":" + key.encode())


# ------------------------------------------------------------------------------------------------- A7


def test_a7_keys_come_from_the_operating_systems_random_source(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int | None] = []
    real = secrets.token_urlsafe

    def counted(size: int | None = None) -> str:
        asked.append(size)
        return real(size)

    monkeypatch.setattr("secrets.token_urlsafe", counted)
    made = {generate_key() for _ in range(1000)}
    made.add(AuthKeys.generate().generated or "")
    assert len(made) == 1001
    assert set(asked) == {32}  # bytes: 256 bits
    assert all(key.startswith("pm_") and len(key) == 46 for key in made)


def reachable(root: object) -> Iterator[object]:
    """Everything that ``root`` refers to, but for modules, types, and the frames of tests."""
    seen, left = set(), [root]
    while left:
        found = left.pop()
        if id(found) not in seen and not _is_of_tests(found):
            seen.add(id(found))
            yield found
            left.extend(gc.get_referents(found))


def _is_of_tests(found: object) -> bool:
    if isinstance(found, dict):
        return "__builtins__" in found  # the globals of a module, which its functions refer to
    return isinstance(found, type(ast) | type | FrameType | CoroutineType) and not (
        isinstance(found, CoroutineType) and str(PACKAGE) in found.cr_code.co_filename
    )


def test_a7_of_keys_only_hashes_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = generate_key()
    file = tmp_path / "keys"
    file.touch(0o600)
    file.write_text(f"ci:{secret}")
    monkeypatch.setenv("KEYS_OF_A7", secret)
    stores = [AuthKeys([secret]), AuthKeys({"ci": secret}), AuthKeys.from_file(file), AuthKeys.from_env("KEYS_OF_A7")]
    monkeypatch.delenv("KEYS_OF_A7")
    generated = AuthKeys.generate()
    stores.append(generated)
    told = str(generated.generated)
    texts = {secret, told}
    for store in stores:
        store.authenticate(None, (told if store is generated else secret).encode())
        held = list(reachable(store._keys))
        assert hashlib.sha256(secret.encode()).digest() in held or store is generated
        assert not [thing for thing in held if isinstance(thing, str | bytes) and _shows(thing, texts)]
        assert store.generated is None
        assert not any(text in repr(store) for text in texts)


async def test_a7_nothing_of_a_key_or_token_is_kept_beside_the_hash(app: PipelineApp) -> None:
    """After requests of every kind, in all that the app refers to: jobs, events, idempotency keys, streams."""
    key = (b"x-api-key", RIGHT)
    for path, body in (("/invoke", b'{"parameters":{}}'), ("/submit", b'{"parameters":{}}'), ("/batch", b"[{}]")):
        for more in ((), ((b"idempotency-key", b'"one"'),)):
            headers = [key, (b"content-type", b"application/json"), *more]
            connection = Connection(app, "POST", path, headers=headers)
            connection.feed(body)
            await connection.run()
            assert connection.answer.status in (200, 202)
    job_id = connection.answer.headers["x-run-id"]
    token = app.sign(job_id).token
    for query, headers in ((f"token={token}".encode(), []), (b"", [key])):
        connection = Connection(app, "GET", f"/jobs/{job_id}/events", headers=headers, query=query)
        connection.feed(b"")
        await connection.run()
        assert connection.answer.status == 200
    del connection
    texts = {SECRET, token, token.rpartition(".")[2]}
    held = [thing for thing in reachable(app) if isinstance(thing, str | bytes)]
    assert job_id in held
    assert not [thing for thing in held if _shows(thing, texts)]


def _shows(thing: str | bytes, texts: set[str]) -> bool:
    written = thing.decode("latin-1") if isinstance(thing, bytes) else thing
    return any(text in written for text in texts)


def test_a7_two_keys_are_live_during_a_rotation(tmp_path: Path) -> None:
    now = [0.0]
    old, new = generate_key(), generate_key()
    file = tmp_path / "keys"
    file.touch(0o600)
    file.write_text(f"ci:{old}")
    keys = AuthKeys.from_file(file, monotonic=lambda: now[0])

    def admits(key: str) -> bool:
        now[0] += 1
        try:
            return keys.authenticate(None, key.encode()).name == "ci"
        except pipemount.PipemountError:
            return False

    assert (admits(old), admits(new)) == (True, False)
    file.write_text(f"ci:{old}\nci:{digest(new)}")
    assert (admits(old), admits(new)) == (True, True)
    file.write_text(f"ci:{digest(new)}\n")
    assert (admits(old), admits(new)) == (False, True)
