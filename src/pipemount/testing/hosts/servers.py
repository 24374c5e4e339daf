"""The servers that hosts are run on. There is one table for all tests: a server is added by one line of it."""

from __future__ import annotations

import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["SERVERS", "Kind", "Server"]

Kind = Literal["asgi", "wsgi"]

APP = "{app}"
"""Stands for the application in a command, as ``{port}`` stands for the port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """How a server is started, and what it does that matters to those who live in it.

    Attributes:
        name: In the table.
        kind: Which interface it serves.
        command: ``python -m`` is put in front, unless it begins with a program of the environment; ``{app}`` and
            ``{port}`` are filled in.
        workers: Processes that serve.
        lifespan: Whether it tells an ASGI application that it starts and stops.
        at_once: Requests that a worker handles at the same time; 0 for as many as come.
        root_path: Options that name the root path ``/proxy``; empty if it cannot be told.
        root_env: Environment variables that do the same.
        root_path_sent: Whether the requests of a test then have the root path in front, as this server expects it.
        reloads: Whether SIGHUP replaces its workers.
        recycling: Options with which a worker ends after five requests.
        gives_up: Whether it ends when its application does not start; others start a new worker again and again.
        no_chunks: Why it takes no chunked request; empty if it does.
        ready_line: Printed once by each worker that is up; for servers whose workers must not be stopped before.
        cuts_streams: Whether SIGTERM cuts open responses off, so that no last event can be sent.
        cuts_sockets: Whether SIGTERM cuts WebSockets off.
        no_sockets: Why it has no WebSockets; empty if it does.
        unheard: Whether an open stream cannot hear that it stops, and ends at its greatest age.
    """

    name: str
    kind: Kind
    command: tuple[str, ...]
    workers: int = 1
    lifespan: bool = False
    at_once: int = 0
    root_path: tuple[str, ...] = ()
    root_env: tuple[tuple[str, str], ...] = ()
    root_path_sent: bool = False
    reloads: bool = False
    recycling: tuple[str, ...] = ()
    gives_up: bool = True
    no_chunks: str = ""
    ready_line: str = ""
    cuts_streams: bool = False
    cuts_sockets: bool = False
    no_sockets: str = ""
    unheard: bool = False

    @property
    def installed(self) -> bool:
        """Whether it can be started here."""
        return importlib.util.find_spec(self.command[0]) is not None or self._program.exists()

    @property
    def _program(self) -> Path:
        return Path(sys.executable).with_name(self.command[0])

    def line(self, app: str, *options: str) -> list[str]:
        """The command that serves ``app``, an import string such as ``main:app``."""
        program = [sys.executable, "-m", self.command[0]]
        if importlib.util.find_spec(self.command[0]) is None:
            program = [os.fspath(self._program)]
        return [*program, *(part.replace(APP, app) for part in (*options, *self.command[1:]))]


UVICORN = ("uvicorn", APP, "--port", "{port}", "--log-level", "warning")
HYPERCORN = ("hypercorn", APP, "--bind", "127.0.0.1:{port}", "--graceful-timeout", "3")
GRANIAN = ("granian", APP, "--port", "{port}", "--no-access-log")
GUNICORN = ("gunicorn", APP, "--bind", "127.0.0.1:{port}", "--graceful-timeout", "5", "--no-control-socket")
UWSGI = (
    *("uwsgi", "--module", APP, "--http-socket", "127.0.0.1:{port}", "--virtualenv", sys.prefix, "--master"),
    *(
        "--hook-master-start",
        "unix_signal:15 gracefully_kill_them_all",
        "--enable-threads",
        "--need-app",
        "--disable-logging",
    ),
)
ROOT_PATH = ("--root-path", "/proxy")
SCRIPT_NAME = (("SCRIPT_NAME", "/proxy"),)
RECYCLED = ("--max-requests", "5")

_ALL = (
    Server(name="uvicorn", kind="asgi", command=UVICORN, lifespan=True, root_path=ROOT_PATH),
    Server(
        name="uvicorn, 2 workers",
        kind="asgi",
        command=(*UVICORN, "--workers", "2"),
        workers=2,
        lifespan=True,
        reloads=True,
        recycling=("--limit-max-requests", "5"),
        gives_up=False,
        root_path=ROOT_PATH,
    ),
    Server(name="uvicorn --lifespan off", kind="asgi", command=(*UVICORN, "--lifespan", "off"), root_path=ROOT_PATH),
    Server(
        name="hypercorn",
        kind="asgi",
        command=HYPERCORN,
        lifespan=True,
        reloads=True,
        recycling=RECYCLED,
        root_path=ROOT_PATH,
    ),
    Server(
        name="granian",
        kind="asgi",
        command=(*GRANIAN, "--interface", "asgi"),
        lifespan=True,
        root_path=("--url-path-prefix", "/proxy"),
        root_path_sent=True,
        reloads=True,
        ready_line="Started worker-",
        cuts_sockets=True,
    ),
    Server(
        name="daphne",
        kind="asgi",
        command=("daphne", "-b", "127.0.0.1", "-p", "{port}", "-v", "0", APP),
        cuts_streams=True,
        cuts_sockets=True,
        root_path=ROOT_PATH,
    ),
    Server(
        name="gunicorn asgi",
        kind="asgi",
        root_path=ROOT_PATH,
        command=(*GUNICORN, "-k", "asgi"),
        lifespan=True,
        reloads=True,
        recycling=RECYCLED,
        ready_line="ASGI server listening",
    ),
    Server(
        name="gunicorn asgi --preload",
        kind="asgi",
        root_path=ROOT_PATH,
        command=(*GUNICORN, "-k", "asgi", "--preload", "--workers", "2"),
        workers=2,
        lifespan=True,
        ready_line="ASGI server listening",
    ),
    Server(
        name="gunicorn sync",
        kind="wsgi",
        root_env=SCRIPT_NAME,
        root_path_sent=True,
        command=(*GUNICORN, "--workers", "2"),
        workers=2,
        at_once=1,
        reloads=True,
        recycling=RECYCLED,
    ),
    Server(
        name="gunicorn gthread",
        kind="wsgi",
        root_env=SCRIPT_NAME,
        root_path_sent=True,
        command=(*GUNICORN, "--threads", "8"),
        at_once=8,
        reloads=True,
        recycling=RECYCLED,
    ),
    Server(
        name="gunicorn --preload",
        kind="wsgi",
        root_env=SCRIPT_NAME,
        root_path_sent=True,
        command=(*GUNICORN, "--preload", "--workers", "2", "--threads", "8"),
        workers=2,
        at_once=8,
    ),
    Server(
        name="uWSGI",
        kind="wsgi",
        command=(*UWSGI, "--processes", "2", "--threads", "4"),
        workers=2,
        at_once=4,
        reloads=True,
        recycling=(*RECYCLED, "--min-worker-lifetime", "0"),
        unheard=True,
    ),
    Server(
        name="granian wsgi",
        kind="wsgi",
        root_path=("--url-path-prefix", "/proxy"),
        root_path_sent=True,
        command=(*GRANIAN, "--interface", "wsgi", "--blocking-threads", "8"),
        at_once=8,
        reloads=True,
        unheard=True,
        ready_line="Started worker-",
    ),
    Server(
        name="waitress",
        kind="wsgi",
        root_path=("--url-prefix=/proxy",),
        root_path_sent=True,
        command=("waitress", "--listen=127.0.0.1:{port}", "--threads=8", APP),
        at_once=8,
    ),
)

SERVERS: dict[str, Server] = {server.name: server for server in _ALL}
