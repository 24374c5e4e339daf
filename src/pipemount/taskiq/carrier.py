"""The way to Taskiq's broker, which lives on the app's home loop."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from taskiq import AsyncBroker
from taskiq.kicker import AsyncKicker

from ..jobs.sending import RUN_JOB, Letter

__all__ = ["TaskiqCarrier"]

logger = logging.getLogger("pipemount")

PATIENCE = 30.0
"""Seconds in which a broker has to take a message."""


class TaskiqCarrier:
    """Taskiq, as a ``Carrier``.

    Args:
        engine: Its broker.
        startup: Whether to start it, where its own worker has not.
    """

    broker = "Taskiq's broker"
    passing = (Exception,)
    """What brokers raise that cannot be reached is their own matter, and not the same in any two."""

    def __init__(self, engine: AsyncBroker, *, startup: bool) -> None:
        self.engine, self._startup = engine, startup
        self._loop: asyncio.AbstractEventLoop | None = None
        self._started = False

    def begin(self) -> None:
        self._loop, self._started = asyncio.get_running_loop(), False

    def send(self, letter: Letter) -> None:
        if (loop := self._loop) is None:  # it ends
            return
        sending = asyncio.run_coroutine_threadsafe(self._send(letter), loop)
        try:
            sending.result(PATIENCE)
        finally:
            sending.cancel()

    def hang_up(self) -> None:
        """The broker sees to its connections itself."""

    async def _send(self, letter: Letter) -> None:
        if self._is_ours and not self._started:
            await self.engine.startup()
            self._started = True
        # What a broker could bring a second time is sent again by us: a message is done with when it has come.
        labels = {"ack_type": "when_received"} | ({} if letter.queue is None else {"queue_name": letter.queue})
        kicker: AsyncKicker[Any, Any] = AsyncKicker(RUN_JOB, self.engine, labels)
        await kicker.with_task_id(letter.job_id).kiq(letter.job_id, letter.pipeline)

    @property
    def _is_ours(self) -> bool:
        return self._startup and not self.engine.is_worker_process

    async def shut_down(self) -> None:
        """The app stops, and nothing is sent any more."""
        self._loop = None
        if self._started:
            self._started = False
            try:
                await self.engine.shutdown()
            except Exception as error:
                logger.warning("Taskiq's broker could not be shut down: %s", error)
