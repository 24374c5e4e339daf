"""The shop under gunicorn, over sockets."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.servers import Server, serve

EMPTY: dict[str, object] = {"parameters": {}}
COMMAND = ["gunicorn", "tests.flask.product:create_app()", "--bind", "127.0.0.1:{port}"]
KEY = {"X-API-Key": "the key of the robot"}

pytestmark = pytest.mark.server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    env = {"SHOP_FOLDER": str(tmp_path)}
    with serve([*COMMAND, "-k", "gthread", "--threads", "8"], folder=tmp_path, env=env) as server:
        yield server


def notes(folder: Path) -> list[str]:
    return [line.split()[0] for line in (folder / "notes").read_text().splitlines()]


def test_first_requests_sessions_and_the_end(server: Server, tmp_path: Path) -> None:
    replies = server.at_once(20, lambda: server.post("/ai/caller/invoke", EMPTY, KEY))
    assert [reply.status for reply in replies] == [200] * 20
    outputs = server.post("/ai/sessions/invoke", EMPTY, KEY).json()["outputs"]
    assert len(set(outputs.values())) == 4
    assert server.terminate() == 0
    assert [notes(tmp_path).count(what) for what in ("init", "ran", "cleanup")] == [1, 20, 1]


def test_login_origin_and_key(server: Server, tmp_path: Path) -> None:
    login = server.get("/login/ada")
    user = {"Cookie": login.headers["set-cookie"].partition(";")[0]}
    assert server.post("/ai/caller/invoke", EMPTY).status == 401
    assert server.post("/ai/caller/invoke", EMPTY, user).json()["outputs"] == {"output": "ada"}
    foreign = {"Origin": "https://evil.example"}
    assert server.post("/ai/caller/invoke", EMPTY, user | foreign).json()["code"] == "cross-origin"
    assert server.post("/ai/caller/invoke", EMPTY, user | foreign | KEY).json()["outputs"] == {"output": "robot"}
    assert notes(tmp_path).count("ran") == 2


def test_a_stream_comes_as_it_is_made_and_a_handshake_is_refused(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", "/stream")
        response = connection.getresponse()
        assert response.readline() == b"data: one\n"
        assert server.get("/go").status == 200
        assert response.read() == b"\ndata: two\n\n"
    handshake = server.get("/ai/caller/stream", {"Upgrade": "websocket", "Connection": "Upgrade"})
    assert (handshake.status, handshake.json()["code"]) == (501, "not-implemented")
