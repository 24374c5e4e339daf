"""What a bridge is held to, asked of a real server: a function for each, which fails where it does not hold.

``python -m tests.bridge.cases`` asks it of both bridges on all servers, and prints the table of docs/wsgi.md.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.support.servers import ROOT, Server, wait_until

from pipemount.testing.hosts.process import serving

PATIENCE = 10.0

APP = "tests.bridge.served:application"
GUNICORN = (sys.executable, "-m", "gunicorn", APP, "-b", "127.0.0.1:{port}", "--log-level", "warning")
SERVERS = {
    "gunicorn sync": (*GUNICORN, "-k", "sync"),
    "gunicorn gthread": (*GUNICORN, "-k", "gthread", "--threads", "8"),
    "gunicorn --preload": (*GUNICORN, "-k", "gthread", "--threads", "8", "--preload"),
    "uWSGI": (
        str(Path(sys.executable).with_name("uwsgi")),
        *("--http-socket", "127.0.0.1:{port}", "--module", APP, "--master", "--processes", "1", "--threads", "8"),
        *("--die-on-term", "--need-app", "--disable-logging"),
    ),
    "waitress": (sys.executable, "-m", "waitress", "--listen", "127.0.0.1:{port}", "--threads", "8", APP),
    "granian": (
        *(sys.executable, "-m", "granian", APP, "--interface", "wsgi", "--port", "{port}"),
        *("--no-access-log", "--blocking-threads", "8"),
    ),
}


class Served:
    """A server, and the folder by which the app and the test speak without a request."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server, self.folder = server, folder

    def read(self, name: str) -> int:
        file = self.folder / name
        return int(file.read_text()) if file.exists() else 0

    def open_gate(self) -> None:
        (self.folder / "gate").touch()

    def reset(self) -> None:
        for file in self.folder.iterdir():
            if not file.suffix:
                file.unlink()

    @contextlib.contextmanager
    def opened(self, path: str) -> Iterator[http.client.HTTPResponse]:
        """A response of which only the head was read."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request("GET", path)
            with connection.getresponse() as response:
                yield response


@contextlib.contextmanager
def served(server: str, bridge: str, folder: Path) -> Iterator[Served]:
    env = {"SERVED_FOLDER": str(folder), "SERVED_BY": bridge, "PYTHONWARNINGS": "ignore"}
    with serving(SERVERS[server], folder=folder, working=ROOT, env=env) as running:
        yield Served(running, folder)


def answers(served: Served) -> None:
    """answers at all"""
    assert served.server.request("GET", "/ping", timeout=PATIENCE).body == b"pong"


def takes_a_large_body(served: Served) -> None:
    """20 MB arrive byte by byte"""
    sent = os.urandom(1 << 20) * 20
    assert _digest(sent) == served.server.request("POST", "/digest", sent, timeout=3 * PATIENCE).body


def takes_chunks(served: Served) -> None:
    """a body in chunks arrives"""
    sent = os.urandom(300_000)
    connection = http.client.HTTPConnection("127.0.0.1", served.server.port, timeout=PATIENCE)
    with contextlib.closing(connection):
        parts = [sent[at : at + 50_000] for at in range(0, len(sent), 50_000)]
        connection.request("POST", "/digest", iter(parts), encode_chunked=True)
        assert connection.getresponse().read() == _digest(sent)


def flushes(served: Served) -> None:
    """a part is with the client before the next one is made"""
    with served.opened("/gated") as response:
        assert response.read1(100) == b"first,"
        served.open_gate()
        assert response.read() == b"last"


def streams(served: Served) -> None:
    """200 parts arrive in order"""
    with served.opened("/many") as response:
        assert response.read() == b"".join(b"%d," % number for number in range(200))


def ends_aborted_streams(served: Served) -> None:
    """an endless stream ends when its client leaves"""
    for _ in range(3):
        with served.opened("/endless") as response:
            assert response.read1(4) == b"tick"
            assert served.read("open") == 1
        wait_until(lambda: served.read("open") == 0, PATIENCE)
    answers(served)


def raises_early(served: Served) -> None:
    """an error before the response is a 500"""
    assert served.server.request("GET", "/early", timeout=PATIENCE).status == 500


def breaks_late(served: Served) -> None:
    """an error within the response is seen by the client"""
    _breaks(served, "/late")


def breaks_short(served: Served) -> None:
    """an error within a response of known length is seen by the client"""
    _breaks(served, "/short")


def _breaks(served: Served, path: str) -> None:
    try:
        with served.opened(path) as response:
            body = response.read()
    except (http.client.HTTPException, OSError):
        return
    raise AssertionError(f"a whole response with the body {body!r}")


def holds_back(served: Served) -> None:
    """a client that does not read holds the app"""
    with socket.create_connection(("127.0.0.1", served.server.port), PATIENCE) as slow:
        slow.sendall(b"GET /flood HTTP/1.1\r\nHost: product.example\r\n\r\n")
        assert slow.recv(1) == b"H"
        before = -1
        while (sent := served.read("sent")) != before:  # until it stands still
            before = sent
            time.sleep(0.5)
        assert sent < 1600, f"the app has sent {sent / 16:.0f} MB"


def detaches(served: Served) -> None:
    """work after the response holds nobody"""
    assert served.server.request("GET", "/after", timeout=PATIENCE).body == b"answered"
    assert served.read("done") == 0
    served.open_gate()
    wait_until(lambda: served.read("done") == 1, PATIENCE)


def takes_bare_starts(served: Served) -> None:
    """a start without headers is good"""
    assert served.server.request("GET", "/bare", timeout=PATIENCE).body == b"bare"


Case = Callable[[Served], None]

CASES: tuple[Case, ...] = (
    answers,
    takes_a_large_body,
    takes_chunks,
    flushes,
    streams,
    ends_aborted_streams,
    raises_early,
    breaks_late,
    breaks_short,
    holds_back,
    detaches,
    takes_bare_starts,
)

BEYOND: dict[str, dict[Case, str]] = {
    "uWSGI": {
        raises_early: "uWSGI closes the connection without an answer",
        breaks_late: "uWSGI ends the connection as if all were well",
    },
    "granian": {breaks_late: "granian ends the response as if all were well"},
}
"""What no bridge can do on a server, and why."""


def _digest(sent: bytes) -> bytes:
    return f"{len(sent)} {hashlib.sha256(sent).hexdigest()}".encode()


def holds(case: Case, server: str, bridge: str) -> bool:
    """Whether ``case`` holds, on a server of its own."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        running = stack.enter_context(served(server, bridge, Path(folder)))
        try:
            case(running)
        except (AssertionError, OSError, http.client.HTTPException) as error:
            print(f"{bridge} on {server}: {case.__doc__}: {error!r:.200}", file=sys.stderr)
            return False
        return True


def _table() -> Iterator[str]:
    """A row per case; what a bridge does not answer on at all is told in the first row, and not again."""
    yield "| | the bridge | a2wsgi |\n|---|---|---|"
    asked = {"pipemount": list(SERVERS), "a2wsgi": list(SERVERS)}
    for case in CASES:
        cells = []
        for bridge, servers in asked.items():
            failing = [server for server in servers if not holds(case, server, bridge)]
            if case is answers:
                asked[bridge] = [server for server in servers if server not in failing]
            everywhere = len(failing) == len(servers)
            cells.append("no" if everywhere else "not on " + ", ".join(failing) if failing else "yes")
        yield f"| {case.__doc__} | {' | '.join(cells)} |"


if __name__ == "__main__":
    for line in _table():
        print(line, flush=True)
