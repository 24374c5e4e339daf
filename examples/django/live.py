"""Beacon on a free port of the loopback interface: its database filled, and a real server in front of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

__all__ = ["SERVERS", "LiveServer", "ServerError", "prepare"]

HERE = Path(__file__).parent
SERVING = re.compile(r"(?:Listening at:|Uvicorn running on) (http://[\d.]+:\d+)")
SERVERS: Mapping[str, Sequence[str]] = {
    "gunicorn": ("gunicorn", "beacon.wsgi", "--bind", "127.0.0.1:0", "--threads", "32"),
    "uvicorn": ("uvicorn", "beacon.asgi:application", "--port", "0"),
}


class ServerError(RuntimeError):
    """The server did not start; the message has its log."""


def prepare(environment: Mapping[str, str], folder: Path = HERE) -> None:
    """Make and fill the database that ``BEACON_DATABASE`` names."""
    for command in (["migrate", "--verbosity", "0"], ["seed"]):
        subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=folder,
            env=os.environ | dict(environment),
            stdout=subprocess.DEVNULL,
            timeout=60,
            check=True,
        )


class LiveServer:
    """A context manager that starts a server, waits until it serves, and stops it with SIGTERM.

    The system chooses the port, so none can be taken in between.

    Args:
        command: The server and its options, e.g. one of ``SERVERS``.
        environment: What the server's environment has beside ours.
        folder: Where ``manage.py`` is.
        patience: Seconds that the start and the stop may each take.

    Attributes:
        url: Where it serves, without a trailing slash.
        log: What it has written so far, line by line.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], *, folder: Path = HERE, patience: float = 60.0
    ) -> None:
        self.command = [sys.executable, "-m", *command]
        self.environment = os.environ | {"PYTHONUNBUFFERED": "1"} | dict(environment)
        self.folder, self.patience = folder, patience
        self.url = ""
        self.log: list[str] = []

    def __enter__(self) -> LiveServer:
        self.start()
        return self

    def start(self) -> None:
        """Start the server. Raises ``ServerError``."""
        self._serving_or_ended = threading.Event()
        self._process = subprocess.Popen(
            self.command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # a group of its own, which can be killed as a whole
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._serving_or_ended.wait(self.patience) or not self.url:
            self.stop()
            raise ServerError("the server did not start:\n" + "\n".join(self.log))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """Ask the server to stop, and wait until it has; one that does not is killed."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(self.patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
        finally:
            self._reader.join(self.patience)

    def kill(self) -> None:
        """End the server and all of its processes at once, as a power cut would."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self.stop()

    def start_again(self, environment: Mapping[str, str]) -> None:
        """Start a server that was stopped on the port that it had; ``environment`` is what it is told in addition."""
        port = self.url.rpartition(":")[2]
        place = {"127.0.0.1:0": f"127.0.0.1:{port}", "0": port}
        self.command = [place.get(part, part) for part in self.command]
        self.environment |= dict(environment)
        self.start()

    def _read(self) -> None:
        assert self._process.stdout is not None  # a pipe, as asked for
        with self._process.stdout as lines:
            for line in lines:
                self.log.append(line.rstrip())
                if serving := SERVING.search(line):
                    self.url = serving[1]
                    self._serving_or_ended.set()
        self._serving_or_ended.set()
