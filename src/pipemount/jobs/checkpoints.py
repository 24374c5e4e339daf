"""What a job's run keeps on its way, in the store that the job is in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from ..errors import StoreError
from ..runtime.checkpoints import UnderWay

__all__ = ["JobCheckpoints"]


class JobCheckpoints:
    """``Checkpoints`` of one attempt at a job. Belongs to the home loop, but for ``found``.

    What is noted while something is being kept is kept together, when that is done: steps that end at the same time
    share a transaction where the store has them share one.

    Args:
        found: What earlier attempts have kept, by key.
        save: Keeps a value; ``False`` where the job is another's now. Tries again where the store is not there.
        lost: Has the run cancelled.

    Attributes:
        under_way: As in ``Checkpoints``.
    """

    def __init__(
        self, found: Mapping[str, bytes], save: Callable[[str, bytes], Awaitable[bool]], lost: Callable[[], None]
    ) -> None:
        self._found, self._save, self._lost = found, save, lost
        self.under_way = UnderWay()
        self._noted: dict[str, bytes] = {}
        self._keeping: asyncio.Task[bool] | None = None

    def found(self, key: str) -> bytes | None:
        """As ``Checkpoints.found``."""
        return self._found.get(key)

    def note(self, key: str, value: bytes) -> None:
        """As ``Checkpoints.note``."""
        self._noted[key] = value

    async def settle(self) -> None:
        """As ``Checkpoints.settle``."""
        if not await self.keep_all():
            self._lost()
            await asyncio.get_running_loop().create_future()  # until the cancellation is here

    async def keep_all(self) -> bool:
        """Return when all is kept that was noted before; ``False`` where the job is another's now.

        It goes on if who waits here is cancelled: others wait for it, too.
        """
        if (keeping := self._keeping) is not None and not await asyncio.shield(keeping):  # begun before the last note
            return False
        if self._noted and self._keeping is None:
            self._keeping = asyncio.get_running_loop().create_task(self._keep())
        return self._keeping is None or await asyncio.shield(self._keeping)

    async def _keep(self) -> bool:
        noted, self._noted = self._noted, {}
        try:
            return all(await asyncio.gather(*(self._save(key, value) for key, value in noted.items())))
        except StoreError:  # nobody waits for the store any more: the runner stops
            return False
        finally:
            self._keeping = None
