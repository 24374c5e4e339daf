"""For whom the team's own code runs a pipeline: the user whose request is handled, or whom the code names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from ..types import Principal
from .call import Call
from .context import current_call

__all__ = ["PRINCIPAL", "Acting", "UserProvider", "acting_as", "acting_principal", "as_principal"]

PERMISSIONS = frozenset({"invoke", "read", "cancel"})

NAMES = ("username", "sub", "identity", "id", "get_id", "display_name", "name")

UserProvider: TypeAlias = Callable[[], Any]
"""Asked in the thread of whoever calls, under its context variables; answers a user, a ``Principal`` or ``None``."""


class Acting(NamedTuple):
    """Who acts, and the run inside which that was said: what runs inside another one has that one's principal."""

    principal: Principal | None
    within: Call | None


PRINCIPAL: ContextVar[Acting | None] = ContextVar("pipemount_principal", default=None)


@contextmanager
def acting_as(user: Any, *, source: str = "host") -> Iterator[Principal | None]:
    """Runs that are asked for inside the block are on behalf of ``user``: ``context.principal`` in their steps.

    ::

        with acting_as(request.user):
            pipelines.run_sync("triage", ticket=17)

    Holds for what the block calls and for tasks that it starts, not for threads that it starts.

    Args:
        user: A ``Principal``, a name, or the host's user object; ``None`` for nobody.
        source: The host that vouches, e.g. ``"django"``.
    """
    principal = as_principal(user, source)
    token = PRINCIPAL.set(Acting(principal, current_call()))
    try:
        yield principal
    finally:
        PRINCIPAL.reset(token)


def acting_principal(providers: Sequence[UserProvider]) -> Principal | None:
    """Who asks for a run here: whom the code named, else the principal of the run around it, else the host's user."""
    stated, outer = PRINCIPAL.get(), current_call()
    if stated is not None and stated.within is outer:
        return stated.principal
    if outer is not None:
        return outer.principal
    users = (provider() for provider in providers)
    return as_principal(next((user for user in users if user is not None), None), "host")


def as_principal(user: Any, source: str) -> Principal | None:
    """The host's user as a principal who may invoke, read and cancel; ``None`` stays ``None``.

    Args:
        user: A ``Principal``, a name, or the host's user, an object or a mapping. What it is called by is unique and
            fit for logs: the first that it has of ``username``, ``sub``, ``identity``, ``id`` and ``get_id()``. Only
            one that has none of them is called by its ``display_name`` or ``name``.
        source: The host that vouches, e.g. ``"fastapi"``.
    """
    if user is None or isinstance(user, Principal):
        return user
    return Principal(_name(user), PERMISSIONS, source, user)


def _name(user: Any) -> str:
    """What the host calls its user; never the whole object, whose text may hold anything."""
    if isinstance(user, str | int):
        return str(user)
    said = (_said(user, key) for key in NAMES)
    return next((str(name) for name in said if isinstance(name, str | int | UUID) and name != ""), type(user).__name__)


def _said(user: Any, key: str) -> Any:
    """What ``user`` says for ``key``; ``None`` where it says nothing, as users of Starlette and Flask-Login may."""
    if isinstance(user, Mapping):
        return user.get(key)
    with suppress(AttributeError, NotImplementedError):
        value = getattr(user, key)
        return value() if key == "get_id" else value
    return None
