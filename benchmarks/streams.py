"""Streams: what ten thousand silent ones take, how long a word takes to all of them, and to the first reader.

scripts/benchmark streams            # all, two minutes
scripts/benchmark streams --quick    # a thousand streams, to see that all is well
"""

from __future__ import annotations

import http.client
import importlib.util
import json
import math
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from servers import CLIENT_CORE, COMMANDS, Server, pin

__all__ = ["StreamsReport", "measure_streams"]

MANY = 10_000
WARM_UP = 100
CROWDS = 2
SILENCE = 30.0
WORDS = 5
TOKENS = 100

HOSTS = {
    "uvicorn": ("streaming.talk:app", "uvicorn"),
    "hypercorn": ("streaming.talk:app", "hypercorn"),
    "granian": ("streaming.talk:app", "granian"),
    "Flask, gunicorn gthread": ("streaming.flask_host:app", "gthread"),
    "Django WSGI, gunicorn gthread": ("streaming.django_host:app", "gthread"),
}


@dataclass
class StreamsReport:
    """What was found; seconds, KiB and shares of a core.

    Attributes:
        count: Streams that were open at the same time.
        kib: Resident memory of the server, for each stream.
        keep_alives: Processor time while all were silent, as a share of one core.
        fan_out: From a word to each of its readers.
        baseline: Tasks and descriptors before, and after all readers had left.
        tokens: By host, from each word of a generator step to its only reader.
    """

    count: int = 0
    kib: float = 0.0
    keep_alives: float = 0.0
    fan_out: list[float] = field(default_factory=list)
    baseline: tuple[dict[str, int], dict[str, int]] = field(default_factory=lambda: ({}, {}))
    tokens: dict[str, list[float]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.count)

    def rows(self) -> Iterable[tuple[str, ...]]:
        """One figure a row."""
        yield "what", "found", "goal"
        before, after = self.baseline
        yield f"{self.count:,} silent streams, KiB each", f"{self.kib:.1f}", "≤ 24"
        yield "their keep-alives, of a core", f"{self.keep_alives:.1%}", "≤ 15 %"
        yield "one word to all, p50 / p99", f"{_ms(self.fan_out, 0.5)} / {_ms(self.fan_out, 0.99)} ms", "p99 ≤ 1,200 ms"
        yield "tasks before / after", f"{before['tasks']} / {after['tasks']}", "the same"
        yield "descriptors before / after", f"{before['descriptors']} / {after['descriptors']}", "the same"
        for host, delays in self.tokens.items():
            goal = "≤ 50 ms" if "gthread" in host else "≤ 5 ms"
            found = f"{_ms(delays[:1], 1.0)} / {_ms(delays, 0.5)} / {_ms(delays, 0.99)} ms"
            yield f"a word to its reader, {host}: first / p50 / p99", found, goal


def measure_streams(*, count: int = MANY, silence: float = SILENCE) -> StreamsReport:
    """All of it.

    Args:
        count: Streams at the same time.
        silence: Seconds for which keep-alives are measured.
    """
    report = StreamsReport(count)
    _measure_many(report, silence)
    for name, (target, kind) in HOSTS.items():
        if importlib.util.find_spec(COMMANDS[kind].split()[0]) is None:
            continue
        server = Server(target, Path(sys.executable), ("/health/live", b""), kind=kind)
        try:
            report.tokens[name] = _tokens(server)
        finally:
            server.close()
        print(f"streams: {name}: {_ms(report.tokens[name], 0.5)} ms to the reader", file=sys.stderr)
    return report


def _measure_many(report: StreamsReport, silence: float) -> None:
    server = Server("streaming.talk:app", Path(sys.executable), ("/health/ready", b""))
    try:
        path, owner = _begin(server)
        with_warmth = _Crowds(server, path, WARM_UP)
        with_warmth.close()
        before = _settled(server)
        resident = server.resident_mebibytes()
        crowds = _Crowds(server, path, report.count)
        began, used = time.monotonic(), server.cpu_seconds()
        time.sleep(silence)
        report.keep_alives = (server.cpu_seconds() - used) / (time.monotonic() - began)
        report.kib = (server.resident_mebibytes() - resident) * 1024 / report.count
        for _ in range(WORDS):
            crowds.tell("read")
            report.fan_out += crowds.word(server)
        crowds.close()
        report.baseline = before, _settled(server)
        owner.close()
    finally:
        server.close()


class _Crowds:
    """Readers in a few processes, from an address each: one process and one address do not have ports for all."""

    def __init__(self, server: Server, path: str, count: int) -> None:
        script = Path(__file__).with_name("streaming") / "crowd.py"
        self._processes = []
        for number in range(CROWDS):
            command = [
                sys.executable,
                str(script),
                str(server.port),
                path,
                str(count // CROWDS),
                f"127.0.0.{number + 2}",
            ]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            pin(CLIENT_CORE, process.pid)
            self._processes.append(process)
        self._answers()

    def tell(self, word: str) -> list[str]:
        for process in self._processes:
            print(word, file=process.stdin, flush=True)
        return self._answers()

    def word(self, server: Server) -> list[float]:
        """The delays of a word that the server is told to say."""
        server.request("/-/say")
        return [delay for answer in self.tell("word") for delay in json.loads(answer)]

    def close(self) -> None:
        self.tell("close")
        for process in self._processes:
            process.communicate(timeout=30)

    def _answers(self) -> list[str]:
        found = [process.stdout.readline() for process in self._processes if process.stdout is not None]
        if not all(found):
            raise RuntimeError("a process of readers ended")
        return found


def _begin(server: Server) -> tuple[str, http.client.HTTPConnection]:
    """Begins a job that waits; where its events are, and the connection that it lives as long as."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    target = "/pipelines/waiting/invoke?mode=stream"
    connection.request("POST", target, b'{"parameters": {}}', {"Content-Type": "application/json"})
    return f"/jobs/{connection.getresponse().headers['x-run-id']}/events", connection


def _settled(server: Server) -> dict[str, int]:
    """The facts, once no stream is open."""
    until = time.monotonic() + 30
    while True:
        facts: dict[str, int] = json.loads(server.request("/-/facts", timeout=30)[1])
        if not facts["streams"] or time.monotonic() > until:
            time.sleep(1)
            found: dict[str, int] = json.loads(server.request("/-/facts", timeout=30)[1])
            return found
        time.sleep(0.2)


def _tokens(server: Server) -> list[float]:
    """From each word to its reader, who is the only one."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    delays: list[float] = []
    for _ in range(2):  # the first finds a process that has done nothing yet
        delays.clear()
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/pipelines/speaking/invoke?mode=stream", b'{"parameters": {}}', headers)
        response = connection.getresponse()
        while line := response.readline():
            if line.startswith(b'data: {"kind":"delta"'):
                delays.append(time.monotonic() - json.loads(line[6:])["data"]["value"])
    connection.close()
    if len(delays) != TOKENS:
        raise RuntimeError(f"{len(delays)} words of {TOKENS} came")
    return delays


def _ms(seconds: Sequence[float], quantile: float) -> str:
    ordered = sorted(seconds)
    return f"{ordered[max(0, math.ceil(quantile * len(ordered)) - 1)] * 1000:,.1f}"
