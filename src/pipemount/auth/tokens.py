"""Signed tokens: one permission for one job until a moment, for what cannot send headers.

A token is ``payload.signature`` (itsdangerous, HMAC-SHA256), both readable by whoever holds it: the payload has the
permission, the job's id, the moment, and who signed, where that is no key. The secret of a signature comes from the
digest and the name of the key that signed, so that a token ends with its key, and every process that has the key
accepts it. Who has a key can make such tokens without asking us: so they open nothing that the key itself does not.
What a host's user or the app itself signs takes the app's own secret, which nobody else knows.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

from itsdangerous import BadData, Signer
from itsdangerous.encoding import base64_decode, base64_encode
from pydantic_core import from_json, to_json

from ..errors import ConfigurationError, ForbiddenError, UnauthenticatedError
from ..types import Principal
from .key import Key
from .keys import AuthKeys

__all__ = ["TOKEN_PERMISSIONS", "Signed", "TokenSecret", "Tokens"]

TOKEN_PERMISSIONS = ("read", "cancel")
LONGEST = 2048
WEAK = 32
SALT = b"pipemount.token.1"

TokenSecret: TypeAlias = str | Sequence[str]
"""One secret, or several for a rotation: the first signs, each is accepted."""

logger = logging.getLogger("pipemount.auth")


class Signed(NamedTuple):
    """A new token, and when it ends: seconds since the epoch."""

    token: str
    expires: int


class Pen(NamedTuple):
    """What signs.

    Attributes:
        signer: With its secret.
        key: Of whose digest the secret is made; ``None`` if it is the app's own alone.
        own: Whether the app's own secret is in it: then what it signs can say who signed.
    """

    signer: Signer
    key: Key | None
    own: bool


class Tokens:
    """Signs tokens and tells whose a token is. Any thread and any loop may use it.

    Args:
        keys: Of the app, if it has any.
        secret: The app's own secret, for signers who have no key, and mixed into every signature. Without one it is
            random: what it signs ends with this process, and no other process accepts it.
        clock: Seconds since the epoch; that of the keys if left out.

    Raises:
        ConfigurationError: A secret that is empty or can be guessed.

    Example:
        >>> tokens = Tokens(None, "a secret of thirty-two characters")
        >>> token = tokens.sign("0191", "read", 60, Principal("ada", frozenset({"read"}), "flask")).token
        >>> found = tokens.verify(token)
        >>> found.name, found.job_id
        ('ada', '0191')
    """

    __slots__ = ("_clock", "_given", "_keys", "_own", "_warned")

    def __init__(
        self, keys: AuthKeys | None, secret: TokenSecret | None = None, *, clock: Callable[[], float] | None = None
    ) -> None:
        self._keys, self._clock = keys, clock or (time.time if keys is None else keys.clock)
        given = _checked(secret)
        self._own = given or (secrets.token_bytes(32),)
        self._given = self._warned = bool(given)

    def sign(self, job_id: str, permission: str, max_age: float, signer: Principal | None) -> Signed:
        """A token of ``signer``, who must hold the permission; ``None`` is the app itself.

        Args:
            job_id: Of the one job that the token is good for.
            permission: ``read`` or ``cancel``.
            max_age: Seconds from now on; a key that expires earlier ends its tokens with it.
            signer: Who the bearer will be: named as the signer, with this permission and this job only, if the signer
                may see it. Of the app itself, which sees all; it signs with its first key, unless there is a secret.

        Raises:
            ForbiddenError: The signer lacks the permission, or came with a token.
            UnauthenticatedError: The signer's key is no key of the app any more.
        """
        if signer is not None and (signer.job_id is not None or not signer.may(permission)):
            raise ForbiddenError(permission=permission, principal=signer.name)
        expires = int(self._clock() + max_age)
        pen = self._pen_of(signer, permission)
        who: tuple[object, ...] = ()
        if signer is None:
            who = APP
        elif pen.key is None:
            who = (signer.name, signer.source, signer.may("admin"))
        if pen.key is not None and pen.key.expires is not None:
            expires = min(expires, int(pen.key.expires.timestamp()))
        payload = to_json((permission, job_id, expires, *who))
        return Signed(pen.signer.sign(base64_encode(payload)).decode(), expires)

    def verify(self, token: str) -> Principal:
        """Who comes with ``token``; compared with what every secret gives, in constant time and to the end.

        Raises:
            UnauthenticatedError: Nobody signed it who still may, or it has expired.
        """
        found = self._find(token.encode()) if token.isascii() and len(token) <= LONGEST else None
        if found is None:
            logger.warning("refused: a wrong token")
            raise self._refusal("this token is not valid, or not any more; ask for a new one")
        pen, (permission, job_id, expires, *who) = found
        name, source, sees_all = who if pen.key is None or (pen.own and who) else _of_key(pen.key)
        if self._clock() >= expires:
            logger.info("refused: a token of %r has expired", name)
            raise self._refusal("this token has expired; ask for a new one")
        if pen.key is not None and not pen.key.principal.may(permission):
            logger.warning("refused: a token of %r, which has lost the permission", name)
            raise self._refusal("this token is not valid, or not any more; ask for a new one")
        return Principal(name, frozenset({permission}), source, job_id=job_id, sees_all=sees_all)

    def _find(self, token: bytes) -> tuple[Pen, Sequence[Any]] | None:
        found = None
        for pen in self._pens():
            try:
                payload = pen.signer.unsign(token)
            except BadData:
                continue
            # Base64 has several spellings of the same signature; one of them is the token's.
            if hmac.compare_digest(pen.signer.sign(payload), token):
                found = pen, payload
        said = None if found is None else _read(found[1])
        return None if found is None or said is None else (found[0], said)

    # ------------------------------------------------------------------------------------------ secrets

    def _pens(self) -> Iterator[Pen]:
        for key in self._keys.live() if self._keys else ():
            if not self._given:
                yield _pen_of_key(b"", key)
            for secret in self._own:
                yield _pen_of_key(secret, key)
        for secret in self._own:
            yield _pen(secret)

    def _pen_of(self, signer: Principal | None, permission: str) -> Pen:
        key = None if self._keys is None else self._key_of(self._keys, signer, permission)
        if key is not None and signer is not None and not self._given:
            return _pen_of_key(b"", key)
        if not self._warned:
            self._warned = True
            logger.warning("a token was signed without a token_secret: only this process accepts it, while it lives")
        return _pen(self._own[0]) if key is None else _pen_of_key(self._own[0], key)

    def _key_of(self, keys: AuthKeys, signer: Principal | None, permission: str) -> Key | None:
        """The very key that the signer came with; after its file was read again, the last one of its name."""
        live = keys.live()
        if signer is None:
            return None if self._given else next((key for key in live if key.principal.may(permission)), None)
        if signer.source != "key":
            return None
        own = [key for key in live if key.name == signer.name]
        if not own:
            raise self._refusal(f"the key {signer.name!r} has ended, and signs nothing any more")
        return next((key for key in own if key.principal is signer), own[-1])

    def _refusal(self, detail: str) -> UnauthenticatedError:
        realm = self._keys.realm if self._keys else "pipemount"
        return UnauthenticatedError(detail, challenges=[f'Bearer realm="{realm}", error="invalid_token"'])


APP = ("app", "app", True)
"""Name and source of who signs where nobody is named, the team's own code, and that it sees all jobs."""


def _read(payload: bytes) -> Sequence[Any] | None:
    """What a payload says, ``None`` if it is none of ours: whoever has a key can sign what he likes."""
    try:
        said: Sequence[Any] = from_json(base64_decode(payload))
        kinds = tuple(map(type, said))
    except (BadData, TypeError, ValueError):
        return None
    known = kinds[:3] == (str, str, int) and kinds[3:] in ((), (str, str, bool))
    return said if known and said[0] in TOKEN_PERMISSIONS else None


def _of_key(key: Key) -> tuple[str, str, bool]:
    return key.name, key.principal.source, key.principal.may("admin")


def _pen_of_key(root: bytes, key: Key) -> Pen:
    return Pen(_signer(hmac.digest(key.hash, root + b":" + key.name.encode(), "sha256")), key, bool(root))


def _pen(secret: bytes) -> Pen:
    return Pen(_signer(secret), None, True)


def _signer(secret: bytes) -> Signer:
    return Signer(secret, salt=SALT, key_derivation="hmac", digest_method=hashlib.sha256)


def _checked(secret: TokenSecret | None) -> tuple[bytes, ...]:
    if secret is None:
        return ()
    given = (secret,) if isinstance(secret, str) else tuple(secret)
    if not given or not all(isinstance(one, str) and len(one) >= WEAK for one in given):
        raise ConfigurationError(
            f"token_secret must have {WEAK} characters or more; `pipemount keys generate` makes one"
        )
    return tuple(one.encode() for one in given)
