"""What comes while a statement is under way shares the next one, and with it a journey and a sync of the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Any, Generic, TypeVar

from .connections import RefusedError

__all__ = ["Gathering"]

AT_ONCE = 100
"""Rows that share a statement at most."""

AT_ONCE_BYTES = 4 * 2**20
"""Bytes, roughly, beyond which no other row joins."""

Row = TypeVar("Row")
Result = TypeVar("Result")


class Gathering(Generic[Row, Result]):
    """All belongs to the app's home loop.

    Where a statement of several rows is refused each is told by itself: the others need not suffer for one.

    Args:
        tell: Tells the database of some rows at once; what came of each, in order.
        size: Of a row, in bytes.
    """

    def __init__(
        self, tell: Callable[[Sequence[Row]], Awaitable[Sequence[Result]]], size: Callable[[Row], int]
    ) -> None:
        self._tell, self._size = tell, size
        self.forget()

    def forget(self) -> None:
        """Nobody waits."""
        self._waiting: list[tuple[Row, asyncio.Future[Result]]] = []
        self._telling: asyncio.Task[None] | None = None

    async def do(self, row: Row) -> Result:
        """What came of ``row``. Raises ``StoreError``."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Result] = loop.create_future()
        self._waiting.append((row, answer))
        if self._telling is None or self._telling.done():
            self._telling = loop.create_task(self._tell_all(), context=Context())
        return await answer

    async def _tell_all(self) -> None:
        await asyncio.sleep(0)  # who comes in this turn of the loop comes along
        while batch := self._next():
            await self._tell_some(batch)

    def _next(self) -> list[tuple[Row, asyncio.Future[Result]]]:
        """Those that share a statement; who has given up meanwhile is left out."""
        batch: list[tuple[Row, asyncio.Future[Result]]] = []
        size = 0
        while self._waiting and len(batch) < AT_ONCE and size < AT_ONCE_BYTES:
            row, answer = self._waiting.pop(0)
            if not answer.done():
                batch.append((row, answer))
                size += self._size(row)
        return batch

    async def _tell_some(self, batch: Sequence[tuple[Row, asyncio.Future[Result]]]) -> None:
        try:
            results: Sequence[Any] = await self._tell([row for row, _ in batch])
        except RefusedError as error:
            if len(batch) > 1:
                for one in batch:
                    await self._tell_some([one])
                return
            results = [error]
        except Exception as error:  # it is for all of them
            results = [error] * len(batch)
        except asyncio.CancelledError:
            for _, answer in batch:
                answer.cancel()
            raise
        for (_, answer), result in zip(batch, results, strict=True):
            _settle(answer, result)


def _settle(answer: asyncio.Future[Any], result: Any) -> None:
    if answer.done():
        return
    if isinstance(result, Exception):
        answer.set_exception(result)
    else:
        answer.set_result(result)
