"""Values that are too large for a database, in whatever file system fsspec knows. Imported where an app names one."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from hashlib import sha256
from pathlib import Path
from time import time
from typing import Any, TypeVar
from uuid import uuid4

from ..errors import ConfigurationError, StoreError, ValueLostError

try:
    import fsspec
except ImportError as error:
    raise ConfigurationError("Local(values=…) needs an extra: pip install 'pipemount[fsspec]'") from error

__all__ = ["Values", "is_reference"]

T = TypeVar("T")

logger = logging.getLogger("pipemount")

MARK = b"\0value "
"""What is kept in the place of a value begins so; JSON does not, and of other values those that do are kept apart."""

THREADS = 8
"""In which file systems are told what to do: all of them block."""

CACHED = 32 * 1024 * 1024
"""Bytes of values that were read or written last, which need not be read again: none is ever changed."""


class Values:
    """Large values of jobs as files, a folder for each job. All but ``check`` belongs to the home loop.

    A file is written, and synced where its file system can, before anybody is told its name; it is never changed.

    Args:
        url: As fsspec has it, ``s3://bucket/prefix``, ``file:///var/lib/shop/values``, ``memory://jobs``.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        try:
            fsspec.get_filesystem_class(fsspec.utils.get_protocol(url))
        except (ImportError, ValueError) as error:
            raise ConfigurationError(f"Local(values=…): fsspec cannot have it: {error}") from error
        self.forget()

    def forget(self) -> None:
        """Begin from nothing, as in a forked child."""
        self._threads: ThreadPoolExecutor | None = None
        self._files: Any = None
        self._folder = ""
        self._cached: OrderedDict[bytes, bytes] = OrderedDict()
        self._size = 0

    def open(self) -> None:
        """Values may be asked for."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, "pipemount-values")

    async def close(self) -> None:
        """Return when nothing is under way any more."""
        threads, self._threads = self._threads, None
        if threads is not None:
            await asyncio.get_running_loop().run_in_executor(None, threads.shutdown)

    # --------------------------------------------------------------------------------------- values

    async def put(self, job_id: str, kind: str, body: bytes) -> bytes:
        """Keep ``body`` among those of a job; what stands for it. Raises ``StoreError``."""
        name = f"{job_id}/{kind}/{int(time())}-{uuid4().hex}"
        await self._do(partial(self._write, name, body), "written")
        reference = b"%b%d %b %b" % (MARK, len(body), sha256(body).hexdigest().encode(), name.encode())
        self._keep(reference, body)
        return reference

    async def get(self, reference: bytes) -> bytes:
        """The value that this stands for.

        Raises:
            ValueLostError: It is not there, or is not what was kept.
            StoreError: Where it is cannot be reached.
        """
        if (found := self._cached.get(reference)) is not None:
            self._cached.move_to_end(reference)
            return found
        size, digest, name = reference.removeprefix(MARK).split(b" ", 2)
        try:
            body = await self._do(partial(self._read, name.decode()), "read")
        except FileNotFoundError:
            raise ValueLostError(name=name.decode(), why="it is not there") from None
        if len(body) != int(size) or sha256(body).hexdigest().encode() != digest:
            raise ValueLostError(name=name.decode(), why="it is not what was written")
        self._keep(reference, body)
        return body

    async def drop(self, job_id: str, kind: str = "") -> None:
        """Forget all values of a job, or those of a kind. What cannot be removed now is found by a sweep."""
        try:
            await self._do(partial(self._remove, f"{job_id}/{kind}".rstrip("/")), "removed")
        except StoreError as error:
            logger.warning("values of job %s are left behind: %s", job_id, error)

    async def jobs(self) -> list[str]:
        """The ids of those that have any."""
        return await self._do(self._names, "listed")

    async def youngest(self, job_id: str) -> float:
        """When the last value of a job was written, in seconds since the epoch."""
        return await self._do(partial(self._last_written, job_id), "listed")

    def _keep(self, reference: bytes, body: bytes) -> None:
        if len(body) > CACHED // 2 or reference in self._cached:
            return
        self._cached[reference] = body
        self._size += len(body)
        while self._size > CACHED:
            self._size -= len(self._cached.popitem(last=False)[1])

    async def _do(self, act: Callable[[], T], what: str) -> T:
        if self._threads is None:
            raise StoreError("the store of jobs is closed")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, act)
        except FileNotFoundError:
            raise
        except Exception as error:  # each file system has errors of its own
            logger.warning("values of jobs cannot be %s: %s", what, error)
            raise StoreError(f"the values of jobs cannot be {what} at the moment; see the log") from error

    # ---------------------------------------------------------------------------------- in a thread

    def _path(self, name: str) -> str:
        if self._files is None:  # two threads may make it: it is the same, or as good
            options = {"auto_mkdir": True} if self._is_local else {}
            files, folder = fsspec.core.url_to_fs(self._url, **options)
            self._folder = folder.rstrip("/")
            self._files = files
        return f"{self._folder}/{name}"

    @property
    def _is_local(self) -> bool:
        return fsspec.utils.get_protocol(self._url) in ("file", "local")

    def _write(self, name: str, body: bytes) -> None:
        path = self._path(name)
        try:
            with self._files.open(path, "wb") as file:
                file.write(body)
                if self._is_local:  # of others the end of the write is all that there is to wait for
                    file.flush()
                    os.fsync(file.fileno())
            if self._is_local:
                for folder in list(Path(path).parents)[:4]:
                    _sync(folder)
        except BaseException:
            with suppress(Exception):  # what is half there nobody is told of
                self._files.rm_file(path)
            raise

    def _read(self, name: str) -> bytes:
        path = self._path(name)
        with self._files.open(path, "rb") as file:
            body: bytes = file.read()
        return body

    def _remove(self, name: str) -> None:
        path = self._path(name)
        with suppress(FileNotFoundError):
            self._files.rm(path, recursive=True)

    def _names(self) -> list[str]:
        folder = self._path("").rstrip("/")
        self._files.invalidate_cache()
        try:
            found = self._files.ls(folder, detail=False)
        except FileNotFoundError:
            return []
        return [path.rstrip("/").rpartition("/")[2] for path in found]

    def _last_written(self, job_id: str) -> float:
        path = self._path(job_id)
        times = [each.rpartition("/")[2].partition("-")[0] for each in self._files.find(path)]
        return max((float(each) for each in times if each.isdigit()), default=0.0)


def is_reference(value: bytes) -> bool:
    """Whether it stands for a value that is kept elsewhere."""
    return value.startswith(MARK)


def _sync(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
