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
        self.cuts = 0
        self.url = ""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Takes connections until the block ends."""
        server = await asyncio.start_server(self._pass, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield
        finally:
            server.close()
            await server.wait_closed()

    async def _pass(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        left = self._random.randrange(self._most) if self._random.randrange(100) < self._share else None
        try:
            server, requests = await asyncio.open_connection("127.0.0.1", self._upstream)
        except OSError:
            answers.transport.abort()
            return
        asking = asyncio.create_task(pump(client, requests))
        try:
            while chunk := await server.read(4096):
                answers.write(chunk if left is None else chunk[:left])
                await answers.drain()
                if left is not None and (left := left - len(chunk)) <= 0:
                    self.cuts += 1
                    self._cut(answers)
                    return
        except OSError:
            pass
        finally:
            asking.cancel()
            await asyncio.wait([asking])
            requests.transport.abort()
            answers.close()

    def _cut(self, answers: asyncio.StreamWriter) -> None:
        """Some connections are reset, some merely end."""
        if self._random.random() < 0.5:
            answers.transport.abort()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(4096):
            writer.write(chunk)
            await writer.drain()
