"""Stores of jobs for tests: the one in memory, and the same as if it were elsewhere."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast
from weakref import finalize

from pipemount import Local, Settings
from pipemount.errors import StoreError
from pipemount.jobs.memory import MemoryStore
from pipemount.jobs.models import JobRequest
from pipemount.jobs.sqlite import SQLiteStore
from pipemount.jobs.store import Store

from .services import shared_postgres

__all__ = ["STORES", "Database", "Elsewhere", "Kept"]


class Elsewhere:
    """A store that is reached over a wire, as a database is.

    Each verb lets others have the loop before and after it; what goes in and comes out is a copy that was written down
    and read again, so that nothing depends on an object's being the same one.

    Attributes:
        down: Whether it cannot be reached.
        asked_to_wait: How often it was asked to.
    """

    def __init__(self, settings: Settings) -> None:
        self._store = MemoryStore(settings)
        self.down = False
        self.asked_to_wait = 0

    def forget(self) -> None:
        self._store.forget()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        return self._over_a_wire(found) if callable(found) else found

    def _over_a_wire(self, verb: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(verb)
        async def asked(*args: Any, **options: Any) -> Any:
            await self._travel()
            self.asked_to_wait += verb.__name__ == "wait"
            found = await verb(*(written(argument) for argument in args), **written(options))
            await self._travel()
            return written(found)

        return asked

    async def _travel(self) -> None:
        for _ in range(3):
            await asyncio.sleep(0)
        if self.down:
            raise StoreError("the database cannot be reached")


class Database(Elsewhere):
    """As if jobs outlived their process: apps that are given the same one share it, and find what others left."""

    durable = True

    async def open(self) -> None:
        """What is there stays."""

    async def close(self) -> None:
        """The same."""

    def forget(self) -> None:
        """In tests nobody forks from it."""


class Kept(Local):
    """Has an app's jobs kept in a ``Database`` that a test has at hand."""

    def __init__(self, database: Database, **options: Any) -> None:
        super().__init__("sqlite:///none.db", **options)
        object.__setattr__(self, "database", database)

    def make_store(self, settings: Settings) -> Store:
        """The one at hand."""
        return cast("Store", self.database)  # type: ignore[attr-defined]  # set above, in a frozen value


def written(value: Any) -> Any:
    """``value`` as it is after a journey; of the host's user nothing is left."""
    if isinstance(value, JobRequest) and value.principal is not None:
        value = replace(value, principal=replace(value.principal, user=None))
    return pickle.loads(pickle.dumps(value))  # our own bytes


def elsewhere(settings: Settings) -> Store:
    return cast("Store", Elsewhere(settings))


def postgres(settings: Settings) -> Store:
    """With tables of its own."""
    url = shared_postgres().new_schema()
    from pipemount.jobs.postgres.store import PostgresStore  # there is one: its driver is installed

    return PostgresStore(url, settings)


def in_a_file(settings: Settings) -> Store:
    """A database in a folder that goes with the store."""
    folder = TemporaryDirectory(prefix="pipemount-jobs-")
    store = SQLiteStore(Path(folder.name) / "jobs.db", settings)
    finalize(store, folder.cleanup)
    return store


STORES: Mapping[str, Callable[[Settings], Store]] = {
    "memory": MemoryStore,
    "elsewhere": elsewhere,
    "sqlite": in_a_file,
    "postgres": postgres,
}
"""Every store that there is; one more is one line here."""
