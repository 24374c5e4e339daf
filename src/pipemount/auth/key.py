"""One key: its name, its digest, what it permits and until when."""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
import unicodedata
from collections.abc import Iterable
from datetime import datetime

from ..errors import ConfigurationError
from ..types import Principal

__all__ = ["DEFAULT_PERMISSIONS", "PERMISSIONS", "Key", "digest", "generate_key"]

PERMISSIONS = ("invoke", "read", "cancel", "admin")
DEFAULT_PERMISSIONS = ("invoke", "read", "cancel")
PREFIX = "pm_"
WEAK = 16

DIGEST = re.compile(r"sha256:([0-9a-f]{64})")

logger = logging.getLogger("pipemount.auth")


def generate_key() -> str:
    """A new key: 256 bits from the operating system's random source, URL-safe, recognisable by ``pm_``."""
    return PREFIX + secrets.token_urlsafe(32)


def digest(key: str) -> str:
    """``sha256:`` and 64 hexadecimal digits: what can be written wherever ``key`` can, and gives nothing away.

    A plain SHA-256 suits keys that were generated; a key short enough to be guessed is not made safe by it.
    """
    return "sha256:" + _hash(key).hex()


class Key:
    """One key of an app. Only its SHA-256 digest is kept.

    Args:
        name: What logs and steps see of it, and the user name in HTTP Basic.
        secret: The key itself, or its ``digest``.
        permissions: Of ``invoke``, ``read``, ``cancel`` and ``admin``; ``admin`` includes the others.
        expires: From when on it is refused; must carry a time zone.

    Example:
        >>> Key("ci", "correct horse battery staple", permissions=("invoke",))
        Key('ci', permissions=('invoke',))
    """

    __slots__ = ("expires", "hash", "name", "permissions", "principal")

    name: str
    hash: bytes
    permissions: tuple[str, ...]
    expires: datetime | None
    principal: Principal

    def __init__(
        self,
        name: str,
        secret: str,
        *,
        permissions: Iterable[str] = DEFAULT_PERMISSIONS,
        expires: datetime | None = None,
    ) -> None:
        self.name = _checked_name(name)
        self.hash = _hash_of_secret(name, secret)
        self.permissions = _checked_permissions(name, permissions)
        self.expires = _checked_expiry(name, expires)
        self.principal = Principal(name, frozenset(self.permissions))

    def __repr__(self) -> str:
        expires = f", expires={self.expires.isoformat()}" if self.expires else ""
        return f"Key({self.name!r}, permissions={self.permissions!r}{expires})"


def _hash(key: str) -> bytes:
    return hashlib.sha256(unicodedata.normalize("NFC", key).encode()).digest()


def _hash_of_secret(name: str, secret: object) -> bytes:
    if not isinstance(secret, str):
        raise ConfigurationError(f"key {name!r} is {type(secret).__name__}; give a string")
    if written := DIGEST.fullmatch(secret):
        return bytes.fromhex(written[1])
    if not secret.strip():
        raise ConfigurationError(f"key {name!r} is empty; make one with `pipemount keys generate`")
    if not secret.isprintable() or secret != secret.strip():
        raise ConfigurationError(f"key {name!r} has control characters, or white space at an end; remove them")
    if len(secret) < WEAK:
        logger.warning("key %r is shorter than %d characters; `pipemount keys generate` makes better ones", name, WEAK)
    return _hash(secret)


def _checked_name(name: object) -> str:
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or ":" in name:
        raise ConfigurationError("a key's name must have printable characters and no colon (RFC 7617)")
    return name


def _checked_permissions(name: str, permissions: Iterable[str]) -> tuple[str, ...]:
    chosen = (permissions,) if isinstance(permissions, str) else tuple(permissions)
    unknown = [permission for permission in chosen if permission not in PERMISSIONS]
    if unknown or not chosen:
        raise ConfigurationError(f"key {name!r} has permissions {chosen!r}; choose of: {', '.join(PERMISSIONS)}")
    return chosen


def _checked_expiry(name: str, expires: datetime | None) -> datetime | None:
    if expires is not None and expires.tzinfo is None:
        raise ConfigurationError(f"key {name!r} expires at a time without a zone; add one, e.g. tzinfo=timezone.utc")
    return expires
