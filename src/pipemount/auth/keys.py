"""The keys of an app, and who presents one.

Credentials come as HTTP Basic (RFC 7617), as a Bearer token (RFC 6750) or in ``X-API-Key``. What was presented is
hashed once and its digest compared with that of every key, in constant time and to the end, match or not.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import logging
import os
import time
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Self

from ..errors import ConfigurationError, MalformedRequestError, UnauthenticatedError
from ..types import Principal
from .key import DEFAULT_PERMISSIONS, Key, generate_key
from .sources import KeyFile, read_environment

__all__ = ["AuthKeys"]

SCHEMES = ("basic", "bearer", "api-key")

logger = logging.getLogger("pipemount.auth")
Clock = Callable[[], float]


class AuthKeys:
    """The keys that an app accepts. Any thread and any loop may use it.

    Args:
        keys: Strings (named ``key-1``, ``key-2``, …) and ``Key`` objects, or a mapping of names to strings. During a
            rotation the old and the new key may share a name.
        accept: How a key may be presented, of ``basic``, ``bearer`` and ``api-key``.
        realm: What a browser shows when it asks for the key.
        clock: Seconds since the epoch, for ``Key.expires``.

    Raises:
        ConfigurationError: No key at all, an empty one, one that is there twice.

    Example:
        >>> keys = AuthKeys(["correct horse battery staple"])
        >>> keys.authenticate(b"Bearer correct horse battery staple", None).name
        'key-1'
    """

    __slots__ = ("_challenges", "_file", "_generated", "_invalid_token", "_keys", "accept", "clock", "realm")

    def __init__(
        self,
        keys: Iterable[str | Key] | Mapping[str, str],
        *,
        accept: Iterable[str] = SCHEMES,
        realm: str = "pipemount",
        clock: Clock = time.time,
    ) -> None:
        self.accept = _checked_accept(accept)
        self.realm = _checked_realm(realm)
        self._challenges = tuple(_challenges(self.accept, realm))
        self._invalid_token = tuple(_challenges(self.accept, realm, error='error="invalid_token"'))
        self.clock = clock
        self._file: KeyFile | None = None
        self._generated: str | None = None
        self._keys = _hashes(_as_keys(keys))

    @classmethod
    def from_env(
        cls,
        variable: str,
        *,
        accept: Iterable[str] = SCHEMES,
        realm: str = "pipemount",
        clock: Clock = time.time,
    ) -> Self:
        """The keys in an environment variable: ``name:key`` or ``key``, separated by commas or lines; or JSON.

        Raises:
            ConfigurationError: The variable is not set, is empty or cannot be read.
        """
        return cls(read_environment(variable), accept=accept, realm=realm, clock=clock)

    @classmethod
    def from_file(
        cls,
        path: str | os.PathLike[str],
        *,
        accept: Iterable[str] = SCHEMES,
        realm: str = "pipemount",
        clock: Clock = time.time,
        monotonic: Clock = time.monotonic,
    ) -> Self:
        """The keys in a file, in the format of ``from_env``; read again, without a restart, when the file changes.

        The file is looked at when a request comes, at most once per second (by ``monotonic``). While a changed file
        cannot be used, the keys stay as they were and the log says why.

        Raises:
            ConfigurationError: The file cannot be read, or has no key.
        """
        file = KeyFile(path, monotonic=monotonic)
        keys = cls(file.read(), accept=accept, realm=realm, clock=clock)
        keys._file = file
        return keys

    @classmethod
    def generate(
        cls,
        name: str = "key-1",
        *,
        permissions: Iterable[str] = DEFAULT_PERMISSIONS,
        expires: datetime | None = None,
        accept: Iterable[str] = SCHEMES,
        realm: str = "pipemount",
        clock: Clock = time.time,
    ) -> Self:
        """One new key of 256 random bits; ``generated`` tells it, once."""
        secret = generate_key()
        key = Key(name, secret, permissions=permissions, expires=expires)
        keys = cls([key], accept=accept, realm=realm, clock=clock)
        keys._generated = secret
        return keys

    @property
    def generated(self) -> str | None:
        """The key that ``generate`` made, the first time this is read; ``None`` ever after."""
        secret, self._generated = self._generated, None
        return secret

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the keys, as they are now."""
        return tuple(key.name for _, key in self._keys)

    def live(self) -> tuple[Key, ...]:
        """The keys that are accepted now, in their order."""
        if self._file is not None:
            self._refresh(self._file)
        now = self.clock()
        return tuple(key for _, key in self._keys if not _has_expired(key, now))

    def __repr__(self) -> str:
        return f"AuthKeys(names={self.names!r}, accept={self.accept!r})"

    def authenticate(
        self, authorization: bytes | None, api_key: bytes | None, *, duplicated: bool = False
    ) -> Principal:
        """Who sends these headers.

        Args:
            authorization: The value of ``Authorization``.
            api_key: The value of ``X-API-Key``; not looked at unless ``api-key`` is accepted.
            duplicated: Whether one of them came more than once.

        Raises:
            UnauthenticatedError: No key, a wrong one or one that has expired.
            MalformedRequestError: Two credentials in one request.
        """
        if self._file is not None:
            self._refresh(self._file)
        if "api-key" not in self.accept:
            api_key = None
        if duplicated or (authorization is not None and api_key is not None):
            raise MalformedRequestError("two credentials in one request; send one of Authorization and X-API-Key, once")
        if authorization is not None:
            return self._by_authorization(authorization)
        if api_key is not None:
            return self._admit(self._find(api_key), self._challenges)
        logger.info("refused: no key")
        raise UnauthenticatedError("this needs a key; " + self._way_in(), challenges=self._challenges)

    def _by_authorization(self, authorization: bytes) -> Principal:
        scheme, _, credentials = authorization.partition(b" ")
        scheme = scheme.lower()
        if scheme == b"bearer" and "bearer" in self.accept:
            return self._admit(self._find(credentials.strip()), self._invalid_token)
        if scheme == b"basic" and "basic" in self.accept:
            return self._admit(self._find_named(credentials.strip()), self._challenges)
        logger.info("refused: a scheme that is not accepted")
        raise UnauthenticatedError("this scheme is not accepted; " + self._way_in(), challenges=self._challenges)

    def _find(self, presented: bytes) -> Key | None:
        """The key with this digest, after comparing it with that of every key."""
        if not presented.isascii():
            presented = _as_text(presented).encode()
        presented_hash = hashlib.sha256(presented).digest()
        found = None
        for known_hash, key in self._keys:
            if hmac.compare_digest(known_hash, presented_hash):
                found = key
        return found

    def _find_named(self, credentials: bytes) -> Key | None:
        """The key of an RFC 7617 user name and password; the user name may be empty."""
        try:
            name, colon, presented = binascii.a2b_base64(credentials, strict_mode=True).partition(b":")
        except binascii.Error:
            return None
        found = self._find(presented)
        if found is None or not colon or (name and _as_text(name) != found.name):
            return None
        return found

    def _admit(self, key: Key | None, challenges: tuple[str, ...]) -> Principal:
        if key is None:
            logger.warning("refused: a wrong key")
            raise UnauthenticatedError("this is not a key of this app; " + self._way_in(), challenges=challenges)
        if key.expires is not None and _has_expired(key, self.clock()):
            logger.warning("refused: the key %r has expired", key.name)
            raise UnauthenticatedError("this key has expired; ask for a new one", challenges=challenges)
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("admitted: the key %r", key.name)
        return key.principal

    def _way_in(self) -> str:
        return "send one as " + " or ".join(WAYS_IN[scheme] for scheme in self.accept)

    def _refresh(self, file: KeyFile) -> None:
        keys = file.poll()
        if keys is None:
            return
        try:
            self._keys = _hashes(keys)
        except ConfigurationError as error:
            logger.error("keys stay as they were: %s", error)


WAYS_IN = {
    "basic": "HTTP Basic (name and key)",
    "bearer": "Authorization: Bearer",
    "api-key": "X-API-Key",
}


def _has_expired(key: Key, now: float) -> bool:
    return key.expires is not None and now >= key.expires.timestamp()


def _as_text(presented: bytes) -> str:
    """UTF-8, or else ISO-8859-1, which older clients send; composed as RFC 7617 asks."""
    try:
        text = presented.decode()
    except UnicodeDecodeError:
        text = presented.decode("latin-1")
    return unicodedata.normalize("NFC", text)


def _as_keys(keys: Iterable[str | Key] | Mapping[str, str]) -> list[Key]:
    if isinstance(keys, str | bytes):
        raise ConfigurationError("AuthKeys takes several keys; write AuthKeys([key])")
    if isinstance(keys, Mapping):
        return [Key(name, secret) for name, secret in keys.items()]
    return [key if isinstance(key, Key) else Key(f"key-{n}", key) for n, key in enumerate(keys, start=1)]


def _hashes(keys: Iterable[Key]) -> tuple[tuple[bytes, Key], ...]:
    hashes: dict[bytes, Key] = {}
    for key in keys:
        twin = hashes.setdefault(key.hash, key)
        if twin is not key:
            raise ConfigurationError(f"{twin.name!r} and {key.name!r} are the same key; give each its own")
    if not hashes:
        raise ConfigurationError("AuthKeys has no key; give one, or leave auth out to serve without keys")
    return tuple(hashes.items())


def _checked_accept(accept: Iterable[str]) -> tuple[str, ...]:
    chosen = (accept,) if isinstance(accept, str) else tuple(dict.fromkeys(accept))
    if not chosen or not set(chosen) <= set(SCHEMES):
        raise ConfigurationError(f"AuthKeys(accept={chosen!r}): choose of: {', '.join(SCHEMES)}")
    return chosen


def _checked_realm(realm: str) -> str:
    if not (realm.isascii() and realm.isprintable()) or '"' in realm or "\\" in realm:
        raise ConfigurationError(f"AuthKeys(realm={realm!r}): use printable ASCII without quotes and backslashes")
    return realm


def _challenges(accept: tuple[str, ...], realm: str, *, error: str = "") -> Iterable[str]:
    if "basic" in accept:
        yield f'Basic realm="{realm}", charset="UTF-8"'
    if "bearer" in accept:
        yield f'Bearer realm="{realm}"' + (f", {error}" if error else "")
    if accept == ("api-key",):  # no registered scheme, but a 401 must carry a challenge (RFC 9110, section 15.5.2)
        yield f'ApiKey realm="{realm}"'
