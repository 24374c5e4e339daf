"""What a Ray worker calls for a step."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias

import ray

from ..runtime.outpost import perform

__all__ = ["Batch", "collected", "work"]

Batch: TypeAlias = "tuple[list[bytes], bytes | None]"
"""What a call has said, and its outcome once there is one."""

LOOK = 0.1
"""Seconds after which a worker that waits can be told that it is not wanted any more."""


def work(key: str, head: Sequence[Any], item: bytes) -> Iterator[Batch]:
    """Perform one call; gives what it says, as much at a time as there is, with the outcome in the end.

    The step has a thread of its own, as a step of the app has; this one hears of a cancellation, which Ray tells by a
    ``KeyboardInterrupt``, and hands it on as ``context.cancelled``.

    Args:
        key: Of the head.
        head: The head, or where it is kept, in a list: Ray would fetch it for each call.
        item: The call.
    """
    said: SimpleQueue[bytes | None] = SimpleQueue()
    unwanted = threading.Event()
    outcome: list[bytes] = []

    def perform_here() -> None:
        try:
            outcome.append(perform(key, lambda: _fetched(head[0]), item, said.put, unwanted.is_set))
        finally:
            said.put(None)

    thread = threading.Thread(target=perform_here, name="pipemount-step", daemon=True)
    thread.start()
    try:
        ended = False
        while not ended:
            batch, ended = _batch(said)
            yield batch, outcome[0] if ended else None
    except (KeyboardInterrupt, GeneratorExit):
        unwanted.set()
        while thread.is_alive():
            with suppress(KeyboardInterrupt):  # the step ends by itself, or this process is ended
                thread.join(LOOK)
        raise


def collected(key: str, head: Sequence[Any], item: bytes) -> list[Batch]:
    """All that ``work`` gives, at once."""
    return list(work(key, head, item))


def _batch(said: SimpleQueue[bytes | None]) -> tuple[list[bytes], bool]:
    """What is there, once there is something; and whether that is the end."""
    batch: list[bytes] = []
    message = _waited(said.get)
    with suppress(Empty):
        while message is not None:
            batch.append(message)
            message = said.get_nowait()
    return batch, message is None


def _waited(get: Callable[..., bytes | None]) -> bytes | None:
    while True:  # a wait without end would not hear of an interrupt
        with suppress(Empty):
            return get(timeout=LOOK)


def _fetched(head: Any) -> bytes:
    content: bytes = head if isinstance(head, bytes) else ray.get(head)
    return content
