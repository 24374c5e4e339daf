"""A network that breaks: a TCP proxy that cuts connections after so many bytes, wherever that is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from random import Random

__all__ = ["Chaos"]


class Chaos:
    """Passes bytes on between clients and one server, and breaks off.

    Args:
        port: Of the server.
        seed: Which connections are cut, and where.
        share: How many of a hundred connections are cut.
        most: The most bytes that a connection that is cut gets through.

    Attributes:
        cuts: How many were cut.
        url: Where clients find it.
    """

    def __init__(self, port: int, *, seed: int = 0, share: int = 70, most: int = 3000) -> None:
        self._upstream, self._random, self._share, self._most = port, Random(seed), share, most
        self._passing: set[asyncio.Task[None]] = set()
        self.cuts = 0
        self.url = ""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Takes connections until the block ends."""
        server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield
        finally:
            server.close()
            for task in self._passing:
                task.cancel()
            if self._passing:
                await asyncio.wait(self._passing)

    def _take(self, requests: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._pass(requests, answers))
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)

    async def _pass(self, requests: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        left = self._random.randrange(self._most) if self._random.randrange(100) < self._share else None
        server, upstream = await asyncio.open_connection("127.0.0.1", self._upstream)
        asking = asyncio.create_task(pump(requests, upstream))
        try:
            with contextlib.suppress(OSError):
                await self._answer(server, answers, left)
        finally:
            asking.cancel()
            await asyncio.wait([asking])
            upstream.transport.abort()
            for writer in (upstream, answers):
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

    async def _answer(self, server: asyncio.StreamReader, answers: asyncio.StreamWriter, left: int | None) -> None:
        while chunk := await server.read(4096):
            answers.write(chunk if left is None else chunk[:left])
            await answers.drain()
            if left is not None and (left := left - len(chunk)) <= 0:
                self.cuts += 1
                if self._random.random() < 0.5:  # some connections are reset, some merely end
                    answers.transport.abort()
                return


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(4096):
            writer.write(chunk)
            await writer.drain()
