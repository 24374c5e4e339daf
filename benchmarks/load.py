"""Load on one server from one core: by wrk where it is installed, else by a small client of our own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from peers import HERE
from servers import CLIENT_CORE, Server, headers, pin

__all__ = ["GENERATOR", "Load", "apply"]

WRK = shutil.which("wrk")
GENERATOR = "wrk" if WRK else "benchmarks/client.py"

SCRIPT = """
wrk.method = "POST"
wrk.body = {body}
{headers}
done = function(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format(
    "RESULT {{\\"requests\\": %d, \\"seconds\\": %f, \\"p50\\": %f, \\"p99\\": %f, \\"failed\\": %d}}\\n",
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99), failed))
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What one interval showed: rates in 1/s, times in microseconds."""

    rate: float
    p50: float
    p99: float
    cpu: float
    failed: int


def apply(server: Server, path: str, body: bytes, *, connections: int, seconds: float) -> Load:
    """Keep ``connections`` requests under way for ``seconds``, and read the server's processor time around it."""
    generator = _wrk if WRK else _own
    command = generator(server, path, body, connections, seconds)
    before = server.cpu_seconds()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    pin(CLIENT_CORE, process.pid)
    output, _ = process.communicate(timeout=seconds + 30)
    cpu = server.cpu_seconds() - before
    found = json.loads(next(line for line in output.splitlines() if line.startswith("RESULT ")).removeprefix("RESULT "))
    count = max(found["requests"], 1)
    return Load(found["requests"] / found["seconds"], found["p50"], found["p99"], cpu / count * 1e6, found["failed"])


def _wrk(server: Server, path: str, body: bytes, connections: int, seconds: float) -> list[str]:
    lines = "\n".join(f"wrk.headers[{json.dumps(k)}] = {json.dumps(v)}" for k, v in headers().items())
    script = Path(tempfile.gettempdir()) / "pipemount-bench.lua"
    script.write_text(SCRIPT.format(body=json.dumps(body.decode()), headers=lines))
    options = f"-t1 -c{connections} -d{max(1, round(seconds))}s --timeout 10s".split()
    return [str(WRK), *options, "-s", str(script), server.url + path]


def _own(server: Server, path: str, body: bytes, connections: int, seconds: float) -> list[str]:
    options = {"port": server.port, "path": path, "connections": connections, "seconds": seconds}
    return [
        sys.executable,
        str(HERE / "client.py"),
        json.dumps({**options, "body": body.decode(), "headers": headers()}),
    ]
