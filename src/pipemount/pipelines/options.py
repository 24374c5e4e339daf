"""Options of steps and pipelines, checked where they are written. All raise ``ConfigurationError``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from math import inf
from sys import float_info
from typing import Any, TypeAlias

from ..errors import ConfigurationError
from .places import underlying
from .specs import Affinity, Hook, Hooks, Retry

__all__ = [
    "STEP_HOOKS",
    "HookTarget",
    "checked_affinity",
    "checked_count",
    "checked_errors",
    "checked_job",
    "checked_key",
    "checked_name",
    "checked_queue",
    "checked_retry",
    "checked_statuses",
    "checked_timeout",
    "make_hooks",
    "name_of",
    "replaced_hooks",
    "taken_hooks",
]

STEP_HOOKS = ("on_start", "on_success", "on_failure", "on_end")

LONGEST_NAME = 200

HookTarget: TypeAlias = Callable[..., Any] | str
"""A function, sync or async, or the ``"module:function"`` that names one."""


def name_of(function: Callable[..., Any]) -> str:
    """What a function is called, wherever its name is kept."""
    target = underlying(function)
    name: str = getattr(function, "__name__", "") or getattr(target, "__name__", "")
    return type(function).__name__ if name == "__call__" else name.strip("<>")


def checked_name(name: str) -> str:
    """A name that can be an id, a file and a URL part."""
    if not name or "/" in name or not name.isprintable():
        raise ConfigurationError(f"the name {name!r} cannot be used: write printable text without a slash")
    return name


def checked_affinity(affinity: Affinity | None) -> Affinity | None:
    """``"any"``, ``"request"`` or nothing."""
    if affinity in (None, "any", "request"):
        return affinity
    raise ConfigurationError(f"affinity={affinity!r}: 'any', or 'request' for the thread that handles the request")


def checked_retry(retry: Retry | None) -> Retry | None:
    """A ``Retry`` or nothing."""
    if retry is None or isinstance(retry, Retry):
        return retry
    raise ConfigurationError(f"retry={retry!r}: write Retry(attempts=…)")


def checked_timeout(timeout: float | None, name: str = "timeout") -> float | None:
    """Seconds above 0 or nothing."""
    if timeout is None or timeout == inf:
        return timeout
    if isinstance(timeout, int | float) and not isinstance(timeout, bool) and 0 < timeout <= float_info.max:
        return timeout
    raise ConfigurationError(f"{name}={timeout!r}: seconds, above 0")


def checked_key(key: str | None) -> str | None:
    """What an ``Idempotency-Key`` can be, or nothing."""
    if key is None or (isinstance(key, str) and key.isascii() and key.isprintable() and 0 < len(key) <= 255):
        return key
    raise ConfigurationError(f"idempotency_key={key!r}: use 1 to 255 printable ASCII characters")


def checked_count(count: int, what: str) -> int:
    """A whole number above 0."""
    if isinstance(count, int) and not isinstance(count, bool) and count > 0:
        return count
    raise ConfigurationError(f"{what}={count!r}: a whole number, above 0")


def checked_queue(name: str) -> str:
    """The name of a queue of jobs, as every database can write it."""
    if isinstance(name, str) and name.isprintable() and 0 < len(name) <= LONGEST_NAME:
        return name
    raise ConfigurationError(f"queue={name!r}: give it a name, of {LONGEST_NAME} letters at most")


def checked_job(job: object) -> str:
    """The id of a job, which may be given in its place."""
    found = job if isinstance(job, str) else getattr(job, "id", None)
    if isinstance(found, str):
        return found.encode(errors="replace").decode()  # a text may hold what nothing can look for
    raise ConfigurationError(f"{job!r} is no job: give what submit returned, or its id, a str")


def checked_errors(errors: Any) -> tuple[type[BaseException], ...]:
    """Exception classes, as a tuple."""
    found = errors if isinstance(errors, tuple) else (errors,)
    if all(isinstance(error, type) and issubclass(error, BaseException) for error in found):
        return found
    raise ConfigurationError(f"public_errors={errors!r}: write a tuple of exception classes")


def checked_statuses(statuses: Mapping[type[BaseException], int]) -> Mapping[type[BaseException], int]:
    """HTTP statuses of failures by exception class."""
    checked_errors(tuple(statuses))
    if all(400 <= status <= 599 for status in statuses.values()):
        return dict(statuses)
    raise ConfigurationError(f"error_statuses={statuses!r}: choose statuses from 400 to 599")


def make_hooks(targets: Mapping[str, HookTarget | None], kwargs: Mapping[str, Mapping[str, Any] | None]) -> Hooks:
    """Hooks from targets and keyword arguments by hook name."""
    return Hooks(**{name: _hook(name, target, kwargs.get(name)) for name, target in targets.items()})


def taken_hooks(options: dict[str, Any]) -> Hooks:
    """A step's hooks out of the options that its decorator was given."""
    targets = {name: options.pop(name, None) for name in STEP_HOOKS}
    return make_hooks(targets, {name: options.pop(f"{name}_kwargs", None) for name in STEP_HOOKS})


def _hook(name: str, target: HookTarget | None, kwargs: Mapping[str, Any] | None) -> Hook | None:
    if target is None:
        if kwargs:
            raise ConfigurationError(f"{name}_kwargs is given without {name}")
        return None
    module, _, function = target.partition(":") if isinstance(target, str) else ("", "", "")
    if not (callable(target) or (module and function)):
        raise ConfigurationError(f'{name}={target!r}: write a function or "module:function"')
    return Hook(target, dict(kwargs or {}))


def replaced_hooks(hooks: Hooks, options: Mapping[str, Any], names: Collection[str]) -> Hooks:
    """``hooks`` with some of those that have ``names``, or their keyword arguments, replaced."""
    if unknown := [option for option in options if option.removesuffix("_kwargs") not in names]:
        raise ConfigurationError(f"with_options() knows no {', '.join(unknown)}")
    found: dict[str, Hook | None] = {}
    for name in names:
        old: Hook | None = getattr(hooks, name)
        target = options.get(name, old.target if old else None)
        kept = old.kwargs if old and name not in options else None
        found[name] = _hook(name, target, options.get(f"{name}_kwargs", kept))
    return Hooks(**found)
