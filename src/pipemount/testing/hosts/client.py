"""The client that the clauses are written against: HTTP/1.1 over real sockets, one connection per request."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, NamedTuple, TypeVar

__all__ = ["Client", "OpenStream", "Reply", "Told"]

T = TypeVar("T")

MANY = 1000


class Reply(NamedTuple):
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @classmethod
    def of(cls, response: http.client.HTTPResponse) -> Reply:
        """What ``response`` brings, read to its end."""
        return cls(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())

    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


class Told(NamedTuple):
    """An event of a run, as it came: empty at the end of the stream."""

    number: int
    kind: str
    body: str

    @classmethod
    def of(cls, event: str) -> Told:
        """The lines of a server-sent event."""
        lines = dict(line.split(": ", 1) for line in event.splitlines() if ": " in line)
        return cls(int(lines.get("id", 0)), lines.get("event", ""), lines.get("data", ""))

    @property
    def value(self) -> Any:
        """What a generator step yielded."""
        return json.loads(self.body)["data"]["value"]


class OpenStream:
    """A response whose body is still coming."""

    def __init__(self, response: http.client.HTTPResponse, connection: http.client.HTTPConnection) -> None:
        self._response, self._connection = response, connection
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}

    def event(self) -> str:
        """The next event, without its empty line; empty at the end of the stream."""
        lines = list(iter(lambda: self._response.readline().decode().rstrip("\r\n"), ""))
        return "\n".join(lines)

    def told(self) -> Told:
        """The next event of a run, past comments and what is said to readers."""
        while (found := self.event()) and "\nid: " not in f"\n{found}":
            pass
        return Told.of(found)

    def all_told(self) -> list[Told]:
        """All events of a run up to its end."""
        return list(iter(self.told, Told.of("")))

    def rest(self) -> list[str]:
        """All events up to the end of the stream, which has to come."""
        found = list(islice(iter(self.event, ""), MANY))
        if len(found) == MANY:
            raise AssertionError(f"the stream does not end: after {MANY} events comes {found[-1]!r}")
        return found

    def abort(self) -> None:
        """Goes away in the middle, as a closed browser does."""
        self._response.close()
        self._connection.close()


class Client:
    """Asks the server at a loopback port.

    Args:
        port: Where it listens.
        headers: Sent with every request that does not have its own.

    Attributes:
        prefix: Where a test finds the pipelines.
    """

    def __init__(self, port: int, headers: Mapping[str, str] | None = None) -> None:
        self.port, self.headers, self.prefix = port, dict(headers or {}), ""
        self.url = f"http://127.0.0.1:{port}"

    def connection(self, timeout: float = 30.0) -> contextlib.closing[http.client.HTTPConnection]:
        """A connection of its own, closed at the end of the block."""
        return contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout))

    def request(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 30.0,
    ) -> Reply:
        """One request; a body in parts is sent chunked."""
        with self.connection(timeout) as connection:
            connection.request(method, path, body, {**self.headers, **(headers or {})})
            return Reply.of(connection.getresponse())

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Reply:
        """``GET``."""
        return self.request("GET", path, headers=headers)

    def post(self, path: str, value: Any, headers: Mapping[str, str] | None = None) -> Reply:
        """``POST`` of a value as JSON."""
        body = json.dumps(value).encode()
        return self.request("POST", path, body, {"content-type": "application/json", **(headers or {})})

    @contextlib.contextmanager
    def stream(
        self, path: str, value: Any = None, headers: Mapping[str, str] | None = None, timeout: float = 30.0
    ) -> Iterator[OpenStream]:
        """A response that is read event by event; left early, it is aborted. With a value it is a ``POST`` of it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        sent = {**self.headers, **(headers or {})}
        if value is None:
            connection.request("GET", path, headers=sent)
        else:
            connection.request("POST", path, json.dumps(value).encode(), {"content-type": "application/json", **sent})
        opened = OpenStream(connection.getresponse(), connection)
        try:
            yield opened
        finally:
            opened.abort()

    def at_once(self, count: int, ask: Callable[[], T]) -> list[T]:
        """``count`` requests side by side, each from a thread of its own."""
        with ThreadPoolExecutor(count) as threads:
            return [reply.result() for reply in [threads.submit(ask) for _ in range(count)]]

    def is_up(self) -> bool:
        """Whether connections are taken."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
