"""Stores of jobs for tests: the one in memory, and the same as if it were elsewhere."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import wraps
from typing import Any, cast

from pipemount import Settings
from pipemount.errors import StoreError
from pipemount.jobs.memory import MemoryStore
from pipemount.jobs.models import JobRequest
from pipemount.jobs.store import Store

__all__ = ["STORES", "Elsewhere"]


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


def written(value: Any) -> Any:
    """``value`` as it is after a journey; of the host's user nothing is left."""
    if isinstance(value, JobRequest) and value.principal is not None:
        value = replace(value, principal=replace(value.principal, user=None))
    return pickle.loads(pickle.dumps(value))  # our own bytes


def elsewhere(settings: Settings) -> Store:
    return cast("Store", Elsewhere(settings))


STORES: Mapping[str, Callable[[Settings], Store]] = {"memory": MemoryStore, "elsewhere": elsewhere}
"""Every store that there is; one more is one line here."""
