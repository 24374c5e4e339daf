"""What a host adapter hands over to the app in the scope: for whom the host vouches, and what it has checked."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from ..types import Principal, Scope

__all__ = ["Handover", "as_principal", "hand_over", "handed_over"]

KEY = "pipemount.handover"
PERMISSIONS = frozenset({"invoke", "read", "cancel"})


class Handover(NamedTuple):
    """What the host knows of a request.

    Attributes:
        principal: The host's user, for whom it vouches.
        guarded: Whether the host lets nobody through for whom neither it nor a key vouches.
        token_checked: Whether the host has verified that a page of its own sent the request (a CSRF token).
    """

    principal: Principal | None = None
    guarded: bool = False
    token_checked: bool = False


NOTHING = Handover()


def hand_over(
    scope: Scope, *, principal: Principal | None = None, guarded: bool = False, token_checked: bool = False
) -> None:
    """Put what the host knows into ``scope``, a copy of the host's own, see ``Handover``."""
    scope[KEY] = Handover(principal, guarded, token_checked)


def handed_over(scope: Scope) -> Handover:
    """What the host put into ``scope``."""
    found: Handover = scope.get(KEY, NOTHING)
    return found


def as_principal(user: Any, source: str) -> Principal | None:
    """The host's user as a principal who may invoke, read and cancel; ``None`` stays ``None``.

    Args:
        user: A ``Principal``, a name, or an object or mapping with a name: ``username``, ``name``, ``sub`` or ``id``.
        source: The host that vouches, e.g. ``"fastapi"``.
    """
    if user is None or isinstance(user, Principal):
        return user
    return Principal(_name(user), PERMISSIONS, source, user)


def _name(user: Any) -> str:
    """What the host calls its user; never the whole object, whose text may hold anything."""
    if isinstance(user, str | int):
        return str(user)
    get = user.get if isinstance(user, Mapping) else partial(getattr, user)
    names = (get(key, None) for key in ("username", "display_name", "name", "sub", "id"))
    return next((str(name) for name in names if isinstance(name, str | int | UUID)), type(user).__name__)
