"""Keys of users for their programs: made, found again by digest, revoked."""

from __future__ import annotations

import hashlib
import secrets

from sqlalchemy import select

from .extensions import db
from .models import ApiKey, User, now

__all__ = ["PREFIX", "make_key", "revoke_key", "user_of"]

PREFIX = "kettle_"


def make_key(user: User, label: str) -> str:
    """A new key for ``user``, told this once. The caller commits."""
    key = PREFIX + secrets.token_urlsafe(32)
    db.session.add(ApiKey(user_id=user.id, label=label, digest=_digest(key), ending=key[-4:]))
    return key


def revoke_key(key: ApiKey) -> None:
    """From now on ``key`` opens nothing. The caller commits."""
    key.revoked_at = key.revoked_at or now()


def user_of(key: str) -> User | None:
    """Whose key it is, unless it is nobody's or was revoked.

    A key has 256 random bits: finding it by a plain digest gives nothing away that could be guessed at.
    """
    found = select(User).join(ApiKey.user).where(ApiKey.digest == _digest(key), ApiKey.revoked_at.is_(None))
    return db.session.scalar(found)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
