"""Calling an author's hooks: sync or async, functions or ``"module:function"``."""

from __future__ import annotations

import functools
import importlib
import inspect
import logging
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

from ..errors import ConfigurationError
from ..pipelines.snapshot import Snapshot
from ..pipelines.specs import Hook
from .context import CURRENT, current_call
from .environment import StepEnvironment
from .failures import is_signal
from .threads import ThreadPool

__all__ = ["call_hook", "find_hooks", "observe", "resolve"]

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


async def find_hooks(snapshot: Snapshot, threads: ThreadPool) -> None:
    """Import every hook that is given by name: a wrong name is found at start, and not by a run that ends."""
    named = [hook for hook in _hooks_of(snapshot) if isinstance(hook.target, str)]
    if named:
        await threads.run(lambda: [resolve(hook) for hook in named])


def _hooks_of(snapshot: Snapshot) -> Iterator[Hook]:
    for hooks in (snapshot.hooks, *(node.step.hooks for node in snapshot.nodes)):
        yield from (hook for field in fields(hooks) if (hook := getattr(hooks, field.name)) is not None)
    for node in snapshot.nodes:
        if node.body is not None:
            yield from _hooks_of(node.body)


async def call_hook(hook: Hook, threads: ThreadPool, *offered: Any, environment: StepEnvironment | None = None) -> Any:
    """Call ``hook`` with its own keyword arguments, and ``offered`` for the first parameters that these leave free.

    What it has no parameters for is not handed over. A coroutine function is awaited on the running loop, anything
    else is called in ``threads``, in ``environment`` unless it belongs to a run, which has its own.
    """
    function = resolve(hook)
    args, kwargs = _arguments(function, offered, hook)
    call = functools.partial(function, *args, **kwargs)
    if inspect.iscoroutinefunction(inspect.unwrap(function)):
        return await call()
    result = await threads.run(functools.partial(_surrounded, call, environment), current_call())
    return await result if inspect.isawaitable(result) else result


def _surrounded(call: Callable[[], Any], environment: StepEnvironment | None) -> Any:
    """In a thread: ``call`` in the environment of the step that it belongs to, or in the one that is given."""
    context = CURRENT.get(None)
    if context is not None:
        environment = context._run.call.environment
    if environment is None:
        return call()
    with environment(context):
        return call()


async def observe(hook: Hook | None, threads: ThreadPool, *offered: Any) -> None:
    """Call a hook that only watches: what it raises is logged and changes nothing."""
    if hook is None:
        return
    try:
        await call_hook(hook, threads, *offered)
    except BaseException as error:
        if is_signal(error):
            raise
        logger.exception("the hook %r raised; the run is not affected", hook.target)


def _arguments(
    function: Callable[..., Any], offered: tuple[Any, ...], hook: Hook
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError:  # builtins without a signature
        return (), dict(hook.kwargs)
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return offered, dict(hook.kwargs)
    free = [p for p in parameters if p.name not in hook.kwargs and _takes(p)]
    filled = list(zip(free, offered, strict=False))
    args = tuple(value for p, value in filled if p.kind is p.POSITIONAL_ONLY)
    return args, {**hook.kwargs, **{p.name: value for p, value in filled if p.kind is not p.POSITIONAL_ONLY}}


def _takes(parameter: inspect.Parameter) -> bool:
    """Whether a value may be handed over here; an option by keyword that has a default stays as it is."""
    if parameter.kind is parameter.KEYWORD_ONLY:
        return parameter.default is parameter.empty
    return parameter.kind is not parameter.VAR_KEYWORD
