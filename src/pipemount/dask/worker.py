"""What a Dask worker calls for a step."""

from __future__ import annotations

import itertools
from uuid import uuid4

from distributed import get_worker

from ..runtime.outpost import perform

__all__ = ["work"]

UNWANTED = ("cancelled", "released", "forgotten")
"""States of a task that nobody waits for any more."""


def work(topic: str, task: str, key: str, head: bytes, item: bytes) -> tuple[str, int, bytes]:
    """Perform one call. What it says goes to ``topic``; the answer tells how much that was, and the outcome.

    Where the scheduler has lost sight of a worker, it has another one perform the same task: a name that each time
    chooses for itself tells what they say apart.
    """
    worker, mine, count = get_worker(), uuid4().hex, itertools.count()

    def say(message: bytes) -> None:
        next(count)
        worker.log_event(topic, (task, mine, message))

    def unwanted() -> bool:
        state = worker.state.tasks.get(task)
        return state is None or state.state in UNWANTED

    outcome = perform(key, lambda: head, item, say, unwanted)
    return mine, next(count), outcome
