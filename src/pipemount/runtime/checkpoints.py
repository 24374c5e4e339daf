"""What a run can leave to a later attempt at the same: what its steps gave, its decisions, the answers that it got."""

from __future__ import annotations

import asyncio
from typing import Protocol

from ..errors import RunSuspendedError

__all__ = ["Checkpoints", "UnderWay"]


class UnderWay:
    """The steps of a run that are under way: once one asks, no other begins, and those that have begun come to an end.

    So an answer finds nothing undone that had begun. Belongs to the home loop.
    """

    def __init__(self) -> None:
        self._count = 0
        self._question: RunSuspendedError | None = None
        self._alone = asyncio.Event()

    async def begin(self) -> None:
        """A step begins. Where another has asked, it does not, and raises what that one does."""
        if self._question is not None:
            await self.asks(self._question)
        self._count += 1

    def end(self) -> None:
        """A step has ended, or asks."""
        self._count -= 1
        if not self._count:
            self._alone.set()

    async def asks(self, question: RunSuspendedError) -> None:
        """Raise the first question when no step is under way any more; who calls this has ended."""
        self._question = self._question or question
        if self._count:
            self._alone.clear()
            await self._alone.wait()
        raise self._question


class Checkpoints(Protocol):
    """Where a run finds what earlier attempts have kept, and keeps what it has done. ``Call.checkpoints``.

    Keys are the names that events have: a step's id with what it is inside of, ``outer[2]/resize[5]``; a branch's in
    the same way; ``ask?1`` for the first question of the step ``ask``. Values are opaque here.

    Attributes:
        under_way: The steps of this attempt.
    """

    under_way: UnderWay

    def found(self, key: str) -> bytes | None:
        """What an earlier attempt has kept under ``key``. From any thread."""
        ...

    def note(self, key: str, value: bytes) -> None:
        """``value`` is to be kept. On the home loop; returns at once."""
        ...

    async def settle(self) -> None:
        """Return when all is kept that was noted before. Where it can be kept no more, the run is cancelled instead."""
        ...
