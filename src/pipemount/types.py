"""Values and aliases that every layer shares; nothing here has behaviour of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

__all__ = ["VERSION", "ASGIApp", "JsonObject", "Message", "Principal", "Receive", "Scope", "Send", "Trace"]

VERSION = "0.1.0"
"""Of the package; here so that every layer can tell it."""

JsonObject: TypeAlias = dict[str, Any]

# ASGI 3.0 (https://asgi.readthedocs.io/en/latest/specs/main.html), in our own words so that nothing
# below the HTTP layer has to import a framework.
Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling, and what they may do.

    Attributes:
        name: The key's or the user's name; safe to log.
        permissions: Of ``invoke``, ``read``, ``cancel`` and ``admin``; ``admin`` includes the others.
        source: ``"key"``, or the host that vouches for the user, e.g. ``"fastapi"``.
        user: The host's own user object, where there is one; never serialised.
        job_id: The one job that this principal is confined to: of one who comes with a signed token.
        sees_all: Whether that may be somebody else's job: of one whose token an admin signed, or the app itself.
    """

    name: str
    permissions: frozenset[str] = frozenset()
    source: str = "key"
    user: Any = field(default=None, compare=False, repr=False)
    job_id: str | None = None
    sees_all: bool = False

    def may(self, permission: str) -> bool:
        """Whether this principal holds ``permission``."""
        return permission in self.permissions or "admin" in self.permissions


@dataclass(frozen=True, slots=True)
class Trace:
    """The caller's place in a distributed trace (W3C Trace Context, level 1).

    Attributes:
        trace_id: 32 lower-case hexadecimal digits.
        parent_id: 16 lower-case hexadecimal digits.
        flags: 0 to 255; bit 0 is *sampled*.
        state: The ``tracestate`` header as it came, or an empty string.
    """

    trace_id: str
    parent_id: str
    flags: int
    state: str = ""


Metadata: TypeAlias = Mapping[str, Any]
