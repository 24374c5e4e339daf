"""A wire that can be cut: between a store and its database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

__all__ = ["Wire", "a_wire"]


class Wire:
    """Carries what is said to a server on loopback, and what it answers.

    Attributes:
        port: Where it listens.
        cuts: How often it has been cut.
    """

    def __init__(self, to: int) -> None:
        self._to, self._shut = to, False
        self._armed: bytes | None = None
        self._writers: list[asyncio.StreamWriter] = []
        self.port = self.cuts = 0

    def cut_before_answer(self, to: str) -> None:
        """What is said next with ``to`` in it arrives and is carried out; the answer is lost, with the connection."""
        self._armed = to.encode()

    def shut(self) -> None:
        """Nothing comes through any more."""
        self._shut = True
        for writer in self._writers:
            writer.transport.abort()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Of one who connects."""
        self._writers.append(writer)
        if self._shut:
            writer.transport.abort()
            return
        there, here = await asyncio.open_connection("127.0.0.1", self._to)
        asked = asyncio.Event()
        ways = asyncio.gather(self._forward(reader, here, asked), self._answer(there, writer, asked))
        with suppress(ConnectionError):
            await ways
        for each in (here, writer):
            each.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: asyncio.Event) -> None:
        while data := await reader.read(65536):
            if self._armed is not None and self._armed in data:
                self._armed = None
                asked.set()
            writer.write(data)
            await writer.drain()
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: asyncio.Event) -> None:
        while data := await reader.read(65536):
            if asked.is_set():
                self.cuts += 1
                writer.transport.abort()
                raise ConnectionError
            writer.write(data)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def a_wire(to: int) -> AsyncIterator[Wire]:
    """A wire to a port."""
    wire = Wire(to)
    carried: set[asyncio.Task[None]] = set()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        carried.add(asyncio.ensure_future(wire.carry(reader, writer)))

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    wire.port = server.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        server.close()
        for task in carried:
            task.cancel()
        await asyncio.gather(*carried, return_exceptions=True)
