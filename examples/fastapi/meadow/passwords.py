"""Passwords at rest: salted scrypt, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import secrets

__all__ = ["hash_password", "verify_password"]


def hash_password(password: str) -> str:
    """``password`` as ``salt$digest``, both hexadecimal."""
    salt = secrets.token_bytes(16)
    return f"{salt.hex()}${_digest(password, salt).hex()}"


def verify_password(password: str, stored: str | None) -> bool:
    """Whether ``password`` is the one that was stored; as slow for a name that nobody has."""
    salt, _, digest = (stored or NOBODY).partition("$")
    same = hmac.compare_digest(_digest(password, bytes.fromhex(salt)), bytes.fromhex(digest))
    return same and stored is not None


def _digest(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1)


NOBODY = hash_password(secrets.token_hex(16))
