"""Who is calling: Django's user as our principal, and Django's permissions as ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async
from django.http import HttpRequest
from django.utils.functional import LazyObject, empty

from ..auth.key import PERMISSIONS
from ..errors import ConfigurationError
from ..http.handover import as_principal
from ..types import Principal

__all__ = ["Users"]

SOURCE = "django"
USUAL = frozenset({"invoke", "read", "cancel"})
FALLBACK = {"cancel": "invoke"}
"""Of permissions that a mapping does not name: what is asked for instead. Others take a login and no more."""


class Users:
    """How requests tell who they are from, in one mount.

    Args:
        principal: Called with the request, gives a ``Principal``, a user or ``None``; may be a coroutine function. By
            default Django's own user, if logged in.
        permissions: Ours by name, and the permissions of Django that each takes: one, or several of which all are
            needed. Whoever has none of ours is refused, as is who is not logged in.
    """

    def __init__(
        self, principal: Callable[..., Any] | None, permissions: Mapping[str, str | Iterable[str]] | None
    ) -> None:
        self._find, self._needed = principal, _checked(permissions)

    @property
    def guarded(self) -> bool:
        """Whether nobody may come in for whom the project does not vouch."""
        return self._find is not None or self._needed is not None

    def principal(self, request: HttpRequest) -> Principal | None:
        """Who calls, told in the request's thread: users and permissions may come from the database."""
        if self._find is None:
            return self._as_principal(_user_of(request))
        if iscoroutinefunction(self._find):
            return self._as_principal(async_to_sync(self._find)(request))
        return self._as_principal(self._find(request))

    async def aprincipal(self, request: HttpRequest) -> Principal | None:
        """As ``principal``, on the loop; what may wait for the database is asked in the request's thread."""
        if self._find is not None and iscoroutinefunction(self._find):
            found = await self._find(request)
            return await sync_to_async(self._as_principal)(found) if self._needed else self._as_principal(found)
        if self._find is None and self._needed is None:
            if not _is_unknown(request):
                return self._as_principal(_user_of(request))
            if _is_djangos(request):
                return self._as_principal(await request.auser())
        return await sync_to_async(self.principal)(request)

    def _as_principal(self, user: Any) -> Principal | None:
        if not hasattr(user, "get_username"):
            return as_principal(user, SOURCE)
        if not user.is_authenticated:
            return None
        return Principal(str(user.get_username()), self._permissions(user), SOURCE, user)

    def _permissions(self, user: Any) -> frozenset[str]:
        admin = {"admin"} if user.is_active and getattr(user, "is_superuser", False) else set()
        if self._needed is None:
            return USUAL | admin
        return frozenset(ours for ours, needed in self._needed.items() if user.has_perms(needed)) | admin


def _checked(permissions: Mapping[str, str | Iterable[str]] | None) -> Mapping[str, tuple[str, ...]] | None:
    """For each of our permissions those of Django that it takes."""
    if permissions is None:
        return None
    if unknown := sorted(set(permissions) - set(PERMISSIONS)):
        raise ConfigurationError(f"permissions names {', '.join(unknown)}; choose of: {', '.join(PERMISSIONS)}")
    given = {ours: (needed,) if isinstance(needed, str) else tuple(needed) for ours, needed in permissions.items()}
    wrong = sorted(str(one) for needed in given.values() for one in needed if "." not in str(one))
    if wrong:
        raise ConfigurationError(f"{wrong[0]!r} is no permission of Django; write 'app.codename', as in 'desk.run'")
    return {ours: given.get(ours, given.get(FALLBACK.get(ours, ""), ())) for ours in USUAL} | given


def _user_of(request: HttpRequest) -> Any:
    """The project's user, and not the lazy stand-in for it, which another thread must not ask."""
    user = getattr(request, "user", None)
    if isinstance(user, LazyObject):
        user.is_authenticated  # noqa: B018 - has it looked up
        return user._wrapped
    return user


def _is_unknown(request: HttpRequest) -> bool:
    """Whether the user has still to be looked up."""
    user = getattr(request, "user", None)
    return isinstance(user, LazyObject) and user._wrapped is empty


def _is_djangos(request: HttpRequest) -> bool:
    """Whether ``request.user`` is what Django's own middleware put there: then ``request.auser`` knows the same.

    A middleware behind it may have put another user there, whom ``auser`` does not know.
    """
    find = vars(request.user).get("_setupfunc")
    return hasattr(request, "auser") and getattr(find, "__module__", "") == "django.contrib.auth.middleware"
