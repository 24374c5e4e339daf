"""What surrounds a step: an application context of its own, with what the host wants steps to find in ``g``."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Self
from weakref import WeakKeyDictionary

from flask import Flask, has_app_context
from flask.globals import app_ctx

if TYPE_CHECKING:
    from flask.ctx import AppContext

    from ..runtime.context import StepContext
    from ..runtime.environment import StepEnvironment

__all__ = ["FlaskEnvironment"]


class FlaskEnvironment:
    """Gives each step a fresh context of the application that asked, so that none shares a database session.

    A step for which no request asked, such as ``on_init``, gets one of the application that was set up last.
    """

    def __init__(self) -> None:
        self._hosts: WeakKeyDictionary[Flask, tuple[str, ...]] = WeakKeyDictionary()

    @classmethod
    def among(cls, environments: list[StepEnvironment]) -> Self:
        """The one in ``environments``; it is added where there is none."""
        found = next((each for each in environments if isinstance(each, cls)), None)
        if found is None:
            environments.append(found := cls())
        return found

    def add(self, app: Flask, names: Iterable[str]) -> None:
        """Knows a host, and which names of its ``g`` steps see."""
        self._hosts[app] = tuple(dict.fromkeys((*self._hosts.pop(app, ()), *names)))

    def __call__(self, context: StepContext | None) -> AbstractContextManager[object]:
        """The context to be entered in the step's thread, under the context variables of whoever asked."""
        if not has_app_context():
            latest = next(reversed(list(self._hosts)), None)
            return nullcontext() if latest is None else latest.app_context()
        asking: AppContext = app_ctx._get_current_object()  # type: ignore[attr-defined]  # of the proxy
        fresh = asking.app.app_context()
        for name in self._hosts.get(asking.app, ()):
            if name in asking.g:
                setattr(fresh.g, name, asking.g.get(name))
        return fresh
