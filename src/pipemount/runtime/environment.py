"""Step environments: what surrounds a sync step in its thread, e.g. a host's own context or its connections."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from importlib import import_module
from typing import TypeAlias

from .context import StepContext

__all__ = ["StepEnvironment", "ambient", "combined"]

StepEnvironment: TypeAlias = Callable[[StepContext | None], AbstractContextManager[object]]
"""Makes a context manager that is entered in the worker thread around a sync step, or with ``None`` around a sync hook
of the pipeline. What entering raises fails the step."""

AMBIENT = {"django.db": "pipemount.django.environment:step_environment"}
"""Environments that every step needs once a library is in use, whichever way it was asked for."""


def ambient() -> tuple[StepEnvironment, ...]:
    """Those of the libraries that this process has imported."""
    return tuple(_imported(target) for library, target in AMBIENT.items() if library in sys.modules)


def combined(environments: Sequence[StepEnvironment]) -> StepEnvironment | None:
    """All of them as one, the first outermost; ``None`` for none."""
    if len(environments) <= 1:
        return environments[0] if environments else None

    @contextmanager
    def environment(context: StepContext | None) -> Iterator[None]:
        with ExitStack() as stack:
            for each in environments:
                stack.enter_context(each(context))
            yield

    return environment


def _imported(target: str) -> StepEnvironment:
    module, _, name = target.partition(":")
    environment: StepEnvironment = getattr(import_module(module), name)
    return environment
