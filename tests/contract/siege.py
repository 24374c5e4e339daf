"""Raw connections to ``besieged`` on a real server, which notes what was read of each request, and its memory."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.servers import Server

__all__ = ["JSON", "KEY", "KEYED", "MEGABYTE", "Reply", "Siege", "chunked", "endless", "names"]

KEY = "open-sesame-open-sesame"
MEGABYTE = 1024 * 1024
KEYED = f"authorization: Bearer {KEY}\r\n"
JSON = "content-type: application/json\r\n"
names = (f"request-{number}" for number in itertools.count())


class Siege:
    """The server, and raw connections to it."""

    def __init__(self, server: Server, notes: Path, patience: float = 30.0) -> None:
        self.server, self.notes, self.patience = server, notes, patience

    def ledger(self) -> Any:
        return self.server.get("/-/ledger").json()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.server.port), timeout=self.patience)

    def ask(self, body: Iterable[bytes], headers: str, *, path: str = "/echoing/invoke", method: str = "POST") -> Reply:
        """Sends until the server has had enough; the whole of what it answers."""
        name = next(names)
        with self.connect() as connection:
            head = f"{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-request-id: {name}\r\n{headers}\r\n"
            received = b""
            with contextlib.suppress(ConnectionError, TimeoutError):
                connection.sendall(head.encode("latin-1"))
                for chunk in body:
                    connection.sendall(chunk)
            with contextlib.suppress(ConnectionError, TimeoutError):
                while chunk := connection.recv(65536):
                    received += chunk
        return Reply(name, received)

    def send(self, body: bytes, headers: str = KEYED + JSON) -> Reply:
        return self.ask([body], f"{headers}content-length: {len(body)}\r\n")


class Reply(NamedTuple):
    name: str
    received: bytes

    @property
    def status(self) -> int:
        assert self.received.count(b"HTTP/1.1 ") == 1, self.received
        return int(self.received.split()[1])

    @property
    def code(self) -> Any:
        return json.loads(self.received.partition(b"\r\n\r\n")[2])["code"]


def endless(size: int) -> Iterator[bytes]:
    chunk = b"x" * 65536
    return itertools.repeat(chunk, size // len(chunk))


def chunked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        yield b"%x\r\n%s\r\n" % (len(chunk), chunk)
    yield b"0\r\n\r\n"
