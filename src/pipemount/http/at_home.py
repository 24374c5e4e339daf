"""Requests come from any event loop; what belongs to the home loop is done there."""

from __future__ import annotations

from asyncio import get_running_loop
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ..runtime.lifecycle import Lifecycle

__all__ = ["at_home"]

T = TypeVar("T")


async def at_home(lifecycle: Lifecycle, function: Callable[[], Awaitable[T]]) -> T:
    """Await ``function()`` on the home loop of a runtime that is ready; at no cost where that is this loop."""
    if get_running_loop() is lifecycle.home:
        return await function()
    return await lifecycle.call(function)
