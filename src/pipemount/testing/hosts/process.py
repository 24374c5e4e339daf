"""Real servers: started on a free loopback port, spoken to over HTTP, ended by their process id."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from .client import Client

__all__ = ["ServerProcess", "environment", "free_port", "serving", "wait_until"]


class ServerProcess(Client):
    """A server process with its workers; ``log`` is what it printed."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log_file: Path) -> None:
        super().__init__(port)
        self.process, self._log_file = process, log_file

    @property
    def log(self) -> str:
        """What the server and its workers have printed."""
        return self._log_file.read_text(errors="replace")

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
def serving(
    command: Sequence[str],
    *,
    folder: Path,
    working: Path | None = None,
    env: Mapping[str, str] | None = None,
    wait: bool = True,
    port: int | None = None,
) -> Iterator[ServerProcess]:
    """Runs a command, in which ``{port}`` stands for a port, until the block ends.

    Args:
        command: A program and its arguments, e.g. ``["uvicorn", "main:app", "--port", "{port}"]``.
        folder: Where the log goes.
        working: The working folder; ``folder`` by default.
        env: Environment variables beside those of the caller. What can be imported here can be imported there.
        wait: Until connections are taken; without, the server may refuse to start.
        port: Where to listen; a free one by default.

    Raises:
        AssertionError: The server ended, or took no connection in half a minute; with its log.
    """
    port = port or free_port()
    log_file = folder / f"server-{port}.log"
    with log_file.open("ab") as log:
        process = subprocess.Popen(  # noqa: S603  the caller chooses what is run
            [part.replace("{port}", str(port)) for part in command],
            cwd=working or folder,
            env={**environment(), **(env or {})},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = ServerProcess(process, port, log_file)
    try:
        if wait:
            wait_until(lambda: server.is_up() or process.poll() is not None)
            if process.poll() is not None:
                raise AssertionError(f"the server ended: {server.log}")
        yield server
    finally:
        _end(process)


def environment() -> dict[str, str]:
    """That of a child process, which can import what can be imported here."""
    path = [os.path.abspath(entry) for entry in sys.path]  # noqa: PTH100  an entry need not be a folder
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


def wait_until(condition: Callable[[], bool], timeout: float = 30.0) -> None:
    """Returns when ``condition`` holds; fails when it takes implausibly long."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("waited in vain")
        time.sleep(0.02)


def free_port() -> int:
    """A loopback port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a server that was left running, with its workers: they are a group of their own."""
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
