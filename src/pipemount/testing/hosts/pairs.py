"""A host in one of its forms on a server: the pairs that there are, and the product running there."""

from __future__ import annotations

import contextlib
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .client import OpenStream, Reply
from .host import HOSTS, Form, Host, find_host
from .process import ServerProcess, serving, wait_until
from .servers import SERVERS, Server
from .setup import KEY, Setup

__all__ = ["Pair", "Running", "pairs", "pairs_of", "servers_of"]

FEW = ("uvicorn", "uvicorn --lifespan off", "gunicorn gthread")
"""Servers for hosts that are, to a server, bare ASGI or WSGI."""


class Running:
    """A product that a server serves: what clauses are written against.

    Attributes:
        pair: What runs where.
        setup: What the product was told.
        server: The process, and the client of its port.
        asked: What a client puts in front of paths: the root path, where the server expects it.
    """

    def __init__(self, pair: Pair, setup: Setup, server: ServerProcess, asked: str = "") -> None:
        self.pair, self.setup, self.server, self.asked = pair, setup, server, asked
        server.headers["X-API-Key"] = KEY

    @property
    def log(self) -> str:
        """What the server printed."""
        return self.server.log

    @property
    def ai(self) -> str:
        """The URL path of the pipelines."""
        return self.asked + quote(self.setup.mount)

    def get(self, path: str, headers: dict[str, str] | None = None) -> Reply:
        """``GET`` of a path of the pipelines, with a key."""
        return self.server.get(self.ai + path, headers)

    def page(self, path: str = "/page") -> Reply:
        """``GET`` of a page of the host's own."""
        return self.server.get(self.asked + path)

    def invoke(self, pipeline: str, headers: dict[str, str] | None = None, /, **inputs: Any) -> Reply:
        """Asks a pipeline."""
        return self.server.post(f"{self.ai}/{pipeline}/invoke", {"parameters": inputs}, headers)

    def recite(self, **inputs: Any) -> contextlib.AbstractContextManager[OpenStream]:
        """A run of ``recite``, told as it happens."""
        return self.server.stream(f"{self.ai}/recite/invoke?mode=stream", {"parameters": inputs})

    def follow(self, job_id: str, after: int | None = None) -> contextlib.AbstractContextManager[OpenStream]:
        """The events of a job, from the start or behind a number."""
        headers = None if after is None else {"Last-Event-ID": str(after)}
        return self.server.stream(f"{self.ai}/jobs/{job_id}/events", headers=headers)

    def stream(self, name: str) -> contextlib.AbstractContextManager[OpenStream]:
        """One of the product's plain streams."""
        return self.server.stream(f"{self.ai}/-/{name}")

    def noted(self, what: str) -> Counter[int]:
        """How often each process has noted ``what``."""
        return Counter({process: notes.count(what) for process, notes in self.notes().items() if what in notes})

    def notes(self) -> dict[int, list[str]]:
        """What each process has noted, in order."""
        found: dict[int, list[str]] = {}
        lines = self.setup.notes.read_text().splitlines() if self.setup.notes.exists() else []
        for line in lines:
            process, _, what = line.partition(" ")
            found.setdefault(int(process), []).append(what)
        return found

    def open_gate(self, name: str) -> None:
        """Lets go of what waits there."""
        self.setup.gate(name).touch()


@dataclass(frozen=True, slots=True)
class Pair:
    """A host in a form on a server."""

    host: type[Host]
    form: Form
    server: Server

    @property
    def name(self) -> str:
        """For people and test ids."""
        return f"{self.host.name} {self.form.name} on {self.server.name}"

    @property
    def first(self) -> bool:
        """Whether its server is the one on which every form of the host is run."""
        return self.server is servers_of(self.host)[0]

    @property
    def told(self) -> bool:
        """Whether the pipelines hear of start and stop from a lifespan."""
        return self.form.lifespan and self.server.lifespan

    @property
    def reason(self) -> str:
        """Why it cannot be run here; empty if it can."""
        if self.host.needs_lifespan and not self.server.lifespan:
            return f"{self.host.name} itself does not serve without a lifespan"
        if missing := self.host.missing():
            return f"{self.host.name} needs {missing}, which is not installed"
        return "" if self.server.installed else f"{self.server.name} is not installed"

    @contextlib.contextmanager
    def start(
        self, folder: Path, *options: str, wait: bool = True, rooted: bool = False, **setup: Any
    ) -> Iterator[Running]:
        """Runs the product until the block ends.

        Args:
            folder: Where notes, gates and logs go, in a folder of their own.
            *options: Further ones of the server.
            wait: Until connections are taken.
            rooted: Whether the server is told the root path ``/proxy``.
            **setup: As for ``Setup``.
        """
        folder.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix="run-", dir=folder.resolve()))
        told = Setup(host=self.host.reference(), form=self.form.name, folder=str(place), **setup)
        self.host().prepare(place)
        below = self.server.root_path if rooted else ()
        command = self.server.line("pipemount.testing.hosts.serve:app", *options, *below)
        env = told.env | (dict(self.server.root_env) if rooted else {})
        with serving(command, folder=place, env=env, wait=wait) as server:
            asked = "/proxy" if rooted and self.server.root_path_sent else ""
            if wait and self.server.ready_line:  # it loses sight of workers that SIGTERM finds starting
                wait_until(lambda: server.log.count(self.server.ready_line) == self.server.workers)
            yield Running(self, told, server, asked)


def servers_of(host: type[Host]) -> list[Server]:
    """The servers that a host is run on."""
    servers = [server for server in SERVERS.values() if server.kind == host.kind]
    return servers if host.everywhere else [server for server in servers if server.name in FEW]


def pairs_of(host: type[Host]) -> list[Pair]:
    """All of a host: its first form on every server of its kind, or on a few; its others on the first of them."""
    servers = servers_of(host)
    first, *others = host.forms().values()
    return [*(Pair(host, first, server) for server in servers), *(Pair(host, other, servers[0]) for other in others)]


def pairs() -> list[Pair]:
    """Those of all hosts whose frameworks are installed."""
    return [pair for host in _installed_hosts() for pair in pairs_of(host)]


def _installed_hosts() -> Iterator[type[Host]]:
    for reference in HOSTS.values():
        with contextlib.suppress(ModuleNotFoundError):
            yield find_host(reference)
