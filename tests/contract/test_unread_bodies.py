"""Row A6 of the hardening matrix: for whom the app does not know it does no work, however much is sent.

100 MB in one piece or in chunks, to every route that takes a body and to some that do not, and as the frames of a
WebSocket: at most 64 KiB are read, the memory of the server grows by at most 5 MB, at its peak as well.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator

import pytest
from tests.contract.siege import JSON, MEGABYTE, Siege, chunked, endless
from tests.support.servers import serve

pytestmark = pytest.mark.server

SIZE = 100 * MEGABYTE
JOB = "01936f5e-7c00-7000-8000-000000000001"
COMMANDS = {
    "uvicorn": ["uvicorn", "tests.contract.besieged:app", "--port", "{port}", "--log-level", "warning"],
    "hypercorn": ["hypercorn", "tests.contract.besieged:app", "--bind", "127.0.0.1:{port}"],
    "granian": ["granian", "--interface", "asgi", "--port", "{port}", "tests.contract.besieged:app"],
    "gunicorn": ["gunicorn", "tests.contract.besieged:wsgi", "--bind", "127.0.0.1:{port}", "--threads", "4"],
}
TARGETS = [
    ("POST", "/echoing/invoke"),
    ("POST", "/echoing/invoke?mode=async"),
    ("POST", "/echoing/invoke?mode=stream"),
    ("POST", "/echoing/submit"),
    ("POST", "/echoing/batch"),
    ("POST", "/tokens"),
    ("POST", f"/jobs/{JOB}/cancel"),
    ("POST", f"/jobs/{JOB}/cancel?token=wrong"),
    ("DELETE", f"/jobs/{JOB}"),
    ("GET", f"/jobs/{JOB}/events"),
    ("POST", "/nothing"),
]
REFUSED = {401, 404}
REFUSALS = (b"400", b"401", b"403", b"404", b"501")
"""Of a handshake; 400 where the server takes the frames behind it for another request."""


OTHERS = [pytest.param(name, marks=pytest.mark.full) for name in COMMANDS if name != "uvicorn"]


@pytest.fixture(scope="module", params=["uvicorn", *OTHERS])
def siege(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Siege]:
    notes = tmp_path_factory.mktemp("notes")
    with serve(COMMANDS[request.param], folder=notes, env={"NOTES": str(notes)}) as server:
        siege = Siege(server, notes, patience=3.0)  # hypercorn reads no more, and does not close
        siege.send(b'{"parameters":{}}')
        yield siege


@pytest.fixture
def before(siege: Siege) -> int:
    """What is in memory, once all has been imported and the peak so far is forgotten."""
    siege.ledger()
    return int(siege.ledger()["memory"])


@pytest.mark.parametrize("form", ["declared", "chunked"])
@pytest.mark.parametrize(("method", "path"), TARGETS)
def test_a6_a_hundred_megabytes_without_a_key_are_not_read(
    siege: Siege, before: int, method: str, path: str, form: str
) -> None:
    if form == "declared":
        reply = siege.ask(endless(SIZE), f"{JSON}content-length: {SIZE}\r\n", method=method, path=path)
    else:
        reply = siege.ask(chunked(endless(SIZE)), f"{JSON}transfer-encoding: chunked\r\n", method=method, path=path)
    ledger = siege.ledger()
    assert ledger["peak"] - before <= 5 * MEGABYTE
    assert ledger["starts"][reply.name] == 1
    assert ledger["read"].get(reply.name, 0) <= 65536
    assert reply.received == b"" or reply.status in REFUSED  # the answer may be lost with the connection's reset


@pytest.mark.parametrize(("method", "path"), TARGETS)
def test_a6_without_a_key_the_answer_comes_before_the_body(siege: Siege, method: str, path: str) -> None:
    reply = siege.ask([], f"{JSON}content-length: {SIZE}\r\n", method=method, path=path)
    assert reply.status in REFUSED
    assert siege.ledger()["read"].get(reply.name, 0) == 0


# ------------------------------------------------------------------------------------------- WebSockets

HANDSHAKE = (
    "GET /stream{query} HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
    "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def frames(size: int) -> Iterator[bytes]:
    """A text in many frames, masked as a client's are."""
    part = b"x" * 65536
    for number in range(size // len(part)):
        yield bytes([0x01 if number == 0 else 0x00, 0x80 | 127]) + struct.pack(">Q", len(part)) + b"\0\0\0\0" + part


@pytest.mark.parametrize("query", ["", "?token=wrong"])
def test_a6_frames_of_a_socket_that_was_not_accepted_are_not_read(siege: Siege, before: int, query: str) -> None:
    """They are sent at once, before the server has answered the handshake."""
    received, sockets = b"", len(siege.ledger()["sockets"])
    with siege.connect() as connection:
        with contextlib.suppress(ConnectionError, TimeoutError):
            connection.sendall(HANDSHAKE.format(query=query).encode())
            for frame in frames(SIZE):
                connection.sendall(frame)
        with contextlib.suppress(ConnectionError, TimeoutError):
            while chunk := connection.recv(65536):
                received += chunk
    ledger = siege.ledger()
    assert "websocket.accept" not in ledger["sockets"][sockets:]
    assert ledger["peak"] - before <= 5 * MEGABYTE
    assert received == b"" or received.split()[1] in REFUSALS
