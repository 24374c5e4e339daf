"""Real servers for tests: started on a free loopback port, spoken to over HTTP, ended by their process id."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Reply", "Server", "free_port", "serve", "wait_until"]

ROOT = Path(__file__).parents[2]


class Reply(NamedTuple):
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Server:
    """A server process; ``log`` is what it printed, ``prefix`` where a test finds the pipelines."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log_file: Path) -> None:
        self.process, self.port, self._log_file = process, port, log_file
        self.prefix = ""
        self.url = f"http://127.0.0.1:{port}"

    @property
    def log(self) -> str:
        return self._log_file.read_text(errors="replace")

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 30.0,
    ) -> Reply:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Reply:
        return self.request("GET", path, headers=headers)

    def post(self, path: str, value: Any, headers: Mapping[str, str] | None = None) -> Reply:
        body = json.dumps(value).encode()
        return self.request("POST", path, body, {"content-type": "application/json", **(headers or {})})

    def at_once(self, count: int, ask: Callable[[], Reply]) -> list[Reply]:
        """``count`` requests side by side, each from a thread of its own."""
        with ThreadPoolExecutor(count) as threads:
            return [reply.result() for reply in [threads.submit(ask) for _ in range(count)]]

    def is_up(self) -> bool:
        """Whether connections are taken."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def wait_for_end(self, timeout: float = 30.0) -> int:
        """The exit status, once the process and its workers have ended."""
        status = self.process.wait(timeout)
        wait_until(lambda: not _group_exists(self.process.pid), timeout)
        return status

    def terminate(self, timeout: float = 30.0) -> int:
        """An orderly end: SIGTERM to the server, and its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait_for_end(timeout)


@contextlib.contextmanager
def serve(
    command: Sequence[str], *, folder: Path, env: Mapping[str, str] | None = None, wait: bool = True
) -> Iterator[Server]:
    """Runs ``python -m`` with ``command``, in which ``{port}`` stands for a free port, until the block ends.

    Args:
        command: Module and arguments, e.g. ``["uvicorn", "main:app", "--port", "{port}"]``.
        folder: Where the log goes.
        env: Environment variables beside those of the test.
        wait: Until connections are taken; without, the server may refuse to start.
    """
    port = free_port()
    log_file = folder / f"server-{port}.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *(part.format(port=port) for part in command)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), **(env or {})},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(process, port, log_file)
    try:
        if wait:
            wait_until(lambda: server.is_up() or process.poll() is not None)
            assert process.poll() is None, server.log
        yield server
    finally:
        _end(process)


def wait_until(condition: Callable[[], bool], timeout: float = 30.0) -> None:
    """Returns when ``condition`` holds; fails when it takes implausibly long."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def free_port() -> int:
    """A loopback port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a server that a test left running, with its workers: they are a group of their own."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
    if _group_exists(process.pid):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


def _group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
