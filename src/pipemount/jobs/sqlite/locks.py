"""Kernel locks beside a database: who may write, and which workers live.

POSIX record locks, for the kernel gives them back within milliseconds of a ``kill -9``, even where the process has
left a forked child behind. They have two traps: they do not exclude inside of a process, and closing any descriptor of
a file drops all that the process holds on it. So all stores of a process that use one database share one ``Place``, and
no file that is locked here is opened a second time.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep
from types import TracebackType
from urllib.parse import quote, unquote

from ...errors import StoreError

__all__ = ["Mutex", "Place", "enter", "leave"]

BEAT = 0.005
"""Seconds between two tries for what nobody should have for long."""

TRIES = 1000

Key = tuple[int, int, int]


class Mutex:
    """One writer at a time, of all processes; those who wait stand in the kernel's line.

    Args:
        path: Of a file that is there for this alone.
    """

    def __init__(self, path: Path) -> None:
        self._inside = threading.Lock()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)

    def __enter__(self) -> None:
        self._inside.acquire()
        try:
            _lock(self._file)
        except BaseException:
            self._inside.release()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN)
        self._inside.release()

    def close(self) -> None:
        """Nobody is inside any more, nor will be."""
        os.close(self._file)


class Place:
    """What the stores of this process that use one database share.

    Args:
        folder: Beside the database.

    Attributes:
        mutex: Held by whoever writes to the database, or moves its log into it.
        users: How many stores.
    """

    def __init__(self, folder: Path, key: Key) -> None:
        self.key, self.users = key, 0
        self.mutex = Mutex(folder / "writer.lock")
        self._workers = folder / "workers"
        self._workers.mkdir(exist_ok=True)
        self._held: dict[str, int] = {}
        self._names: Counter[str] = Counter()
        self._guard = threading.Lock()

    def hold(self, worker: str) -> bool:
        """This process is ``worker``, until it lets go or is no more. Whether it was not before."""
        with self._guard:
            first = worker not in self._held
            if first:
                self._held[worker] = _locked(self._path(worker), worker)
            self._names[worker] += 1
            return first

    def let_go(self, worker: str) -> None:
        """It is not any more."""
        with self._guard:
            self._names[worker] -= 1
            if self._names[worker] <= 0:
                del self._names[worker]
                self._path(worker).unlink(missing_ok=True)
                os.close(self._held.pop(worker))

    @contextmanager
    def gone(self, worker: str) -> Iterator[bool]:
        """Whether no process is ``worker``; none becomes it inside of the block."""
        with self._guard:
            if worker in self._held:
                yield False
                return
            try:
                file = os.open(self._path(worker), os.O_RDWR)
            except FileNotFoundError:
                yield True
                return
            try:
                free = _try_lock(file)
                yield free
                if free:
                    self._path(worker).unlink(missing_ok=True)
            finally:
                os.close(file)

    def tidy(self) -> None:
        """Remove what workers have left that were killed when they had no job."""
        for path in list(self._workers.glob("*.lock")):
            with self.gone(unquote(path.stem)):
                pass  # it is removed if nobody is that worker

    def _path(self, worker: str) -> Path:
        return self._workers / f"{quote(worker, safe='')}.lock"


_places: dict[Key, Place] = {}
_guard = threading.Lock()


def enter(folder: Path) -> Place:
    """The place of this process beside a database; for one store more.

    It is found by the file that is locked, not by its name: a database may be reached by two.
    """
    with _guard:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "writer.lock"
        if not path.exists():  # no process of ours has it open, so nothing is dropped by closing it
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o666))
        found = path.stat()
        key = (os.getpid(), found.st_dev, found.st_ino)
        if key not in _places:
            _places[key] = Place(folder, key)
        _places[key].users += 1
        return _places[key]


def leave(place: Place) -> None:
    """For one store less."""
    with _guard:
        place.users -= 1
        if place.users == 0 and _places.pop(place.key, None) is place:
            place.mutex.close()


def _forget() -> None:
    """In a forked child: what is locked is its parent's, and another thread may have been at it."""
    global _guard
    _guard = threading.Lock()
    _places.clear()


os.register_at_fork(after_in_child=_forget)


def _lock(file: int) -> None:
    while True:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX)
            return
        except OSError as error:
            # The kernel sees processes, not threads: two databases in two processes can look like a circle to it.
            if error.errno != errno.EDEADLK:
                raise
            sleep(BEAT)


def _try_lock(file: int) -> bool:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _locked(path: Path, worker: str) -> int:
    """A descriptor of the locked file. Whoever finds a dead worker's removes it: it may have no name by then."""
    for _ in range(TRIES):
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        if _try_lock(file) and os.fstat(file).st_nlink:
            return file
        os.close(file)
        sleep(BEAT)
    raise StoreError(f"another process is the worker {worker!r} already")
