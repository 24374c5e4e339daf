"""Dramatiq with Valkey as its broker: two worker processes of eight threads each, as it has unless told otherwise."""

from __future__ import annotations

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from queues.body import VALKEY, do

dramatiq.set_broker(RedisBroker(url=VALKEY or "redis://127.0.0.1"))
WORKERS = [["-m", "dramatiq", "queues.dramatiq", "--processes", "2", "--threads", "8"]]


@dramatiq.actor
def job(number: int) -> None:
    """The work."""
    do(number)


class Client:
    """Sends messages."""

    def submit(self, number: int) -> None:
        """Returns when the broker has it."""
        job.send(number)
