"""Calling an author's hooks: sync or async, functions or ``"module:function"``."""

from __future__ import annotations

import asyncio
import functools
import importlib
import inspect
import logging
from collections.abc import Callable
from typing import Any

from ..errors import ConfigurationError
from ..pipelines.snapshot import Hook
from .guard import is_asked_for
from .threads import ThreadPool

__all__ = ["call_hook", "observe", "resolve"]

logger = logging.getLogger("pipemount")


def resolve(hook: Hook) -> Callable[..., Any]:
    """The hook's function. Imports its module where it was named; raises ``ConfigurationError``."""
    if not isinstance(hook.target, str):
        return hook.target
    module, _, path = hook.target.partition(":")
    try:
        value: Any = importlib.import_module(module)
        for name in path.split("."):
            value = getattr(value, name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(
            f"the hook {hook.target!r} cannot be found ({error}); "
            "name it 'module:function' and make the module importable"
        ) from error
    if not callable(value):
        raise ConfigurationError(f"the hook {hook.target!r} is not callable but {type(value).__name__}")
    return value  # type: ignore[no-any-return]  # callable() does not narrow Any


async def call_hook(hook: Hook, threads: ThreadPool, *offered: Any) -> Any:
    """Call ``hook`` with as many of ``offered`` as it takes by position, and its own keyword arguments.

    A coroutine function is awaited on the running loop, anything else is called in ``threads``.
    """
    function = resolve(hook)
    call = functools.partial(function, *offered[: _room(function, len(offered), hook)], **hook.kwargs)
    result = call() if inspect.iscoroutinefunction(inspect.unwrap(function)) else await threads.run(call)
    return await result if inspect.isawaitable(result) else result


async def observe(hook: Hook | None, threads: ThreadPool, *offered: Any) -> None:
    """Call a hook that only watches: what it raises is logged and changes nothing."""
    if hook is None:
        return
    try:
        await call_hook(hook, threads, *offered)
    except (Exception, asyncio.CancelledError) as error:
        if is_asked_for(error):
            raise
        logger.exception("the hook %r raised; the run is not affected", hook.target)


def _room(function: Callable[..., Any], wanted: int, hook: Hook) -> int:
    """How many positional arguments ``function`` takes, at most ``wanted``."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # builtins without a signature
        return 0
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return wanted
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return min(wanted, sum(p.name not in hook.kwargs for p in positional))
