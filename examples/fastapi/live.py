"""Meadow under a real uvicorn, on a free port of the loopback interface."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

__all__ = ["LiveServer", "ServerError"]

HERE = Path(__file__).parent
READY = re.compile(r"Uvicorn running on (http://\S+)")


class ServerError(RuntimeError):
    """The server did not start; the message has its log."""


class LiveServer:
    """A context manager that starts the server, waits until it serves, and stops it with SIGTERM.

    The system chooses the port, so none can be taken in between.

    Args:
        environment: What the server's environment has beside ours.
        options: Further options of uvicorn.
        folder: Where the package ``meadow`` is.
        patience: Seconds that the start and the stop may each take.

    Attributes:
        url: Where it serves, without a trailing slash.
        log: What it has written so far, line by line.
    """

    def __init__(
        self, environment: Mapping[str, str], *options: str, folder: Path = HERE, patience: float = 60.0
    ) -> None:
        self.environment = os.environ | {"PYTHONUNBUFFERED": "1"} | dict(environment)
        self.options, self.folder, self.patience = options, folder, patience
        self.url = ""
        self.log: list[str] = []
        self._serving_or_ended = threading.Event()

    def __enter__(self) -> LiveServer:
        command = [sys.executable, "-m", "uvicorn", "meadow.main:app", "--app-dir", str(self.folder), "--port", "0"]
        self._process = subprocess.Popen(
            [*command, *self.options],
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
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id of the server."""
        return self._process.pid

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

    def wait(self) -> int:
        """Wait until the server ends by itself or by a signal of someone else's."""
        return self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None  # a pipe, as asked for
        with self._process.stdout as lines:
            for line in lines:
                self.log.append(line.rstrip())
                if running := READY.search(line):
                    self.url = running[1]
                    self._serving_or_ended.set()
        self._serving_or_ended.set()
