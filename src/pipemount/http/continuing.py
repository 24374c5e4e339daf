"""Runs that go on when their caller leaves: ``Settings(invoke_disconnect="continue")``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from ..runtime.call import Call
from ..runtime.stragglers import Stragglers
from ..runtime.threads import Errand

__all__ = ["to_the_end"]

T = TypeVar("T")

logger = logging.getLogger("pipemount")

_going_on: set[asyncio.Task[Any]] = set()


async def to_the_end(call: Call, run: Coroutine[Any, Any, T]) -> T:
    """Await ``run``, which is not cancelled with the awaiting task: it keeps its place until it has ended."""
    call.stragglers = Stragglers()
    task = asyncio.get_running_loop().create_task(run)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if not task.done():
            _let_go(call, task)
        raise


def _let_go(call: Call, task: asyncio.Task[Any]) -> None:
    errand = Errand()
    errand.begin()
    call.keep(errand)
    _going_on.add(task)

    def ended(task: asyncio.Task[Any]) -> None:
        _going_on.discard(task)
        errand.end()
        error = None if task.cancelled() else task.exception()
        logger.info("run %s ended without its caller: %s", call.run_id, "well" if error is None else repr(str(error)))

    task.add_done_callback(ended)
