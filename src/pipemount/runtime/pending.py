"""What a call in a dynamic body gives: something to await, or a handle of work that is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator, Iterator, Mapping
from typing import Any, Protocol

from ..pipelines.places import Place
from ..pipelines.unmapped import Unmapped

__all__ = ["Keeper", "Pending", "Submitted", "pending_in", "resolved"]


class Keeper(Protocol):
    """The body that calls belong to."""

    def begins(self, pending: Pending) -> None:
        """A call is awaited."""

    def misused(self, pending: Pending, how: str) -> Exception:
        """What to raise for a call that is used without having been awaited."""


class Pending(Coroutine[Any, Any, Any]):
    """A call that starts when it is awaited. ``asyncio.create_task`` and ``gather`` take it, as any coroutine."""

    def __init__(self, keeper: Keeper, name: str, place: Place, perform: Callable[[], Coroutine[Any, Any, Any]]):
        self._keeper, self._perform = keeper, perform
        self.name, self.place = name, place
        self._coroutine: Coroutine[Any, Any, Any] | None = None

    def __repr__(self) -> str:
        return f"<call of {self.name}, not awaited>"

    def _begun(self) -> Coroutine[Any, Any, Any]:
        if self._coroutine is None:
            self._keeper.begins(self)
            self._coroutine = self._perform()
        return self._coroutine

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._begun().__await__()

    def send(self, value: Any, /) -> Any:
        """As of coroutines."""
        return self._begun().send(value)

    def throw(self, *error: Any) -> Any:
        """As of coroutines."""
        return self._begun().throw(*error)

    def close(self) -> None:
        """As of coroutines; a call that was never awaited stays one."""
        if self._coroutine is not None:
            self._coroutine.close()

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("_", "cr_", "gi_", "ag_")):  # asked by asyncio and inspect of all that can be awaited
            raise AttributeError(name)
        raise self._keeper.misused(self, f"its field {name!r} is read")

    def _refused(self, *_: Any) -> Any:
        raise self._keeper.misused(self, "it is used as a value")

    __bool__ = __iter__ = __len__ = __getitem__ = __add__ = __radd__ = __str__ = __format__ = _refused


class Submitted:
    """A call that is under way. Await it for its value, or give it to another call, which then waits for it.

    Attributes:
        name: The name under which its step runs.
        seen: Whether somebody awaited it, and so was told what it raised.
    """

    def __init__(self, name: str, task: asyncio.Task[Any]) -> None:
        self.name, self._task = name, task
        self.seen = False

    def __repr__(self) -> str:
        return f"<call of {self.name}, {'done' if self.done() else 'under way'}>"

    def __await__(self) -> Generator[Any, Any, Any]:
        self.seen = True
        return asyncio.shield(self._task).__await__()

    def done(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self._task.done()

    def cancel(self) -> None:
        """Ends it; who awaits it is told by ``asyncio.CancelledError``."""
        self._task.cancel()


async def resolved(value: Any) -> Any:
    """``value`` with the values of handles in their places, inside lists, tuples and dicts, too."""
    if isinstance(value, Submitted):
        return await value
    if isinstance(value, Unmapped):
        return Unmapped(await resolved(value.value))
    if not _holds_handle(value):
        return value
    if isinstance(value, Mapping):
        return {key: await resolved(item) for key, item in value.items()}
    items = [await resolved(item) for item in value]
    return items if isinstance(value, list) else tuple(items)


def _holds_handle(value: Any) -> bool:
    if type(value) is dict:
        return any(_holds_handle(item) for item in value.values())
    if type(value) in (list, tuple):
        return any(_holds_handle(item) for item in value)
    return isinstance(value, Submitted)


def pending_in(value: Any) -> Iterator[Pending]:
    """Calls in ``value`` that were not awaited, inside lists, tuples and dicts, too."""
    if isinstance(value, Pending):
        yield value
    elif isinstance(value, Unmapped):
        yield from pending_in(value.value)
    elif type(value) is dict:
        yield from (found for item in value.values() for found in pending_in(item))
    elif type(value) in (list, tuple):
        yield from (found for item in value for found in pending_in(item))
