"""RQ with Valkey: two workers, each of which forks for each job, as they do unless told otherwise."""

from __future__ import annotations

from redis import Redis
from rq import Queue

from queues.body import VALKEY, do

WORKERS = [["-m", "rq.cli", "worker", "--url", VALKEY, "--quiet", "--name", name] for name in ("a", "b")]


def job(number: int) -> int:
    """The work."""
    return do(number)


class Client:
    """Sends messages."""

    def __init__(self) -> None:
        self._queue = Queue(connection=Redis.from_url(VALKEY))

    def submit(self, number: int) -> None:
        """Returns when the server has it."""
        self._queue.enqueue(job, number)
