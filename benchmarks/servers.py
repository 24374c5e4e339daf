"""Servers under measurement: started once, pinned to one core, read from ``/proc``, ended by process id."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO

from peers import HERE, PeerUnavailableError
from work import KEY

__all__ = ["CLIENT_CORE", "SERVER_CORE", "Server", "free_port", "pin"]

CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, CLIENT_CORE = CORES[0], CORES[-1]
START_SECONDS = 60.0
COMMANDS = {
    "uvicorn": "uvicorn --loop uvloop --http httptools --no-access-log --log-level warning --port {port}",
    "hypercorn": "hypercorn --bind 127.0.0.1:{port} --log-level warning",
    "granian": "granian --interface asgi --no-access-log --log-level warning --port {port}",
    "gthread": "gunicorn -k gthread --threads 8 --keep-alive 60 --log-level warning --bind 127.0.0.1:{port}",
}


def pin(core: int, pid: int = 0) -> None:
    """Keep a process, and the threads it will start, on one core."""
    os.sched_setaffinity(pid, {core})


def headers() -> dict[str, str]:
    """What every contender is sent, whether it looks at the key or not."""
    return {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}


class Server:
    """One server with one worker and no access log: uvicorn with uvloop and httptools, or gunicorn with 8 threads.

    Args:
        target: ``module:attribute`` of the application, importable from ``benchmarks/``.
        python: The interpreter that has what the application imports.
        probe: Path and body of a request that must be answered 200 before the server counts as started;
            a GET when the body is empty.
        core: The core that it is pinned to; ``None`` leaves it free.
        kind: Of ``COMMANDS``.
        source: Where pipemount is imported from.
    """

    def __init__(
        self,
        target: str,
        python: Path,
        probe: tuple[str, bytes],
        core: int | None = SERVER_CORE,
        kind: str = "uvicorn",
        source: Path = HERE.parent / "src",
    ) -> None:
        self.port = free_port()
        self.output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - close() closes it
        command = [str(python), "-m", *COMMANDS[kind].format(port=self.port).split(), target]
        paths = [str(HERE), str(source)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        self.process = subprocess.Popen(command, env=environment, stdout=self.output, stderr=self.output, cwd=HERE)
        if core is not None:
            pin(core, self.process.pid)
        try:
            self._wait(*probe)
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def request(self, path: str, body: bytes = b"", timeout: float = 5.0) -> tuple[int, bytes]:
        """One request of its own connection: status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("POST" if body else "GET", path, body or None, headers())
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def cpu_seconds(self) -> float:
        """Processor time of all its threads so far, those that have ended included, in nanosecond steps."""
        return _cpu_seconds(self._worker)

    def resident_mebibytes(self) -> float:
        """Its resident memory now."""
        for line in Path(f"/proc/{self._worker}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise RuntimeError("the kernel does not tell VmRSS")

    @property
    def _worker(self) -> int:
        """The process that answers: gunicorn's is a child of what was started."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0]) if children else self.process.pid

    def close(self) -> None:
        """End it, and wait until it has ended."""
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.output.close()

    def _wait(self, path: str, body: bytes) -> None:
        until, status, answer = time.monotonic() + START_SECONDS, 0, b""
        while time.monotonic() < until and self.process.poll() is None:
            try:
                status, answer = self.request(path, body)
            except OSError:
                status = 0
            if status == 200:
                return
            if status and status != 503:
                break
            time.sleep(0.1)
        raise PeerUnavailableError(f"did not start: {self._reason(status, answer)}")

    def _reason(self, status: int, answer: bytes) -> str:
        if status:
            return f"answered {status} {answer[:160].decode(errors='replace')}"
        self.output.seek(0)
        lines = self.output.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:160] if lines else f"exit status {self.process.poll()}"


def _cpu_seconds(pid: int) -> float:
    try:
        return time.clock_gettime((~pid << 3) | 2)  # as clock_getcpuclockid(3) has it on Linux
    except OSError:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
