"""Interleaved rounds: every contender once per round, so that a slow minute of the machine is everybody's."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from contenders import Contender
from load import Load, apply
from peers import HERE, PeerUnavailableError, interpreter, version
from servers import Server
from work import BODY, EXPECTED

__all__ = ["CONNECTIONS", "Entry", "measure"]

CONNECTIONS = (1, 64)
DISTRIBUTIONS = {"hand": "fastapi", "ours": "pipemount"}


@dataclass
class Entry:
    """What was found out about one contender.

    Attributes:
        contender: Who.
        reason: Why it could not be measured, or empty.
        version: Of the library that it is about.
        idle: Mebibytes of resident memory after its first request.
        loads: By number of connections, one per round.
    """

    contender: Contender
    reason: str = ""
    version: str = ""
    idle: float = 0.0
    loads: dict[int, list[Load]] = field(default_factory=dict)

    def median(self, connections: int, pick: Callable[[Load], float]) -> float:
        """The median over the rounds."""
        return statistics.median(pick(load) for load in self.loads[connections])

    def ratio(self, other: Entry, connections: int, pick: Callable[[Load], float]) -> float:
        """The median of the ratios to ``other``, each taken within one round."""
        pairs = zip(self.loads[connections], other.loads[connections], strict=True)
        return statistics.median(pick(ours) / pick(theirs) for ours, theirs in pairs)


def measure(contenders: Iterable[Contender], *, rounds: int, seconds: float) -> list[Entry]:
    """Start everybody, warm up, go round, end everybody."""
    entries = [Entry(contender) for contender in contenders]
    with ExitStack() as stack:
        servers = {entry.contender.name: server for entry in entries if (server := _start(entry, stack))}
        present = [entry for entry in entries if not entry.reason]
        for entry in present:
            _load(entry, servers[entry.contender.name], CONNECTIONS[-1], min(seconds, 2.0))
        for number in range(1, rounds + 1):
            for connections in CONNECTIONS:
                print(f"round {number} of {rounds}, {connections} connections", flush=True)
                for entry in present if number % 2 else reversed(present):  # nobody is always behind the same one
                    found = _load(entry, servers[entry.contender.name], connections, seconds)
                    entry.loads.setdefault(connections, []).append(found)
                    print(f"  {entry.contender.name:18} {found.rate:8.0f}/s {found.cpu:7.1f} us CPU", flush=True)
    return entries


def _start(entry: Entry, stack: ExitStack) -> Server | None:
    contender = entry.contender
    path, body = contender.path, contender.body or BODY
    try:
        python = interpreter(contender.peer)
        source = contender.source or HERE.parent / "src"
        server = Server(f"{contender.module}:app", python, (path, body), kind=contender.server, source=source)
    except PeerUnavailableError as error:
        print(f"{contender.name}: {error}", flush=True)
        entry.reason = str(error)
        return None
    stack.callback(server.close)
    if (contender.expected or EXPECTED) not in _texts(server.request(path, body)[1]):
        entry.reason = "answered something else than what it should"
        return None
    entry.idle = server.resident_mebibytes()
    entry.version = _version(contender, python)
    return server


def _version(contender: Contender, python: Path) -> str:
    return version(python, contender.peer or DISTRIBUTIONS.get(contender.group, "uvicorn"))


def _load(entry: Entry, server: Server, connections: int, seconds: float) -> Load:
    contender = entry.contender
    found = apply(server, contender.path, contender.body or BODY, connections=connections, seconds=seconds)
    if found.failed:
        raise SystemExit(f"{contender.name}: {found.failed} requests failed; its figures would mean nothing")
    return found


def _texts(answer: bytes) -> list[str]:
    """All strings in a JSON document: the peers put the same text in different places."""
    found: list[str] = []

    def walk(value: object) -> None:
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, dict | list):
            for item in value.values() if isinstance(value, dict) else value:
                walk(item)

    walk(json.loads(answer))
    return found
