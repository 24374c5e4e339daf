"""What a host adapter hands over to the app in the scope: for whom the host vouches, and what it has checked."""

from __future__ import annotations

from typing import NamedTuple

from ..runtime.acting import as_principal
from ..types import Principal, Scope

__all__ = ["Handover", "as_principal", "hand_over", "handed_over"]

KEY = "pipemount.handover"


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
