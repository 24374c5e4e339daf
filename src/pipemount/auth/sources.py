"""Keys as text: in an environment variable, or in a file that is read again when it changes.

One format for both, in one of two forms:

- entries on lines of their own or separated by commas, each ``name:key`` or a bare ``key``;
  what follows a ``#`` at the start of a line is a comment,
- a JSON array of such strings and of objects
  ``{"name": "ci", "key": "…", "permissions": ["invoke"], "expires": "2027-01-01T00:00:00Z"}``.

Wherever a key stands, its digest ``sha256:…`` can. No message of this module repeats what it read.
"""

from __future__ import annotations

import json
import logging
import os
import stat
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError
from .key import DEFAULT_PERMISSIONS, DIGEST, Key

__all__ = ["KeyFile", "parse_keys", "read_environment"]

logger = logging.getLogger("pipemount.auth")

FIELDS = frozenset({"name", "key", "permissions", "expires"})
CHECK_INTERVAL = 1.0


def read_environment(variable: str) -> tuple[Key, ...]:
    """The keys in an environment variable. Raises ``ConfigurationError`` if it is unset or empty."""
    text = os.environ.get(variable, "")
    if not text.strip():
        raise ConfigurationError(f"the environment variable {variable} is {'empty' if text else 'not set'}; set a key")
    return parse_keys(text, source=variable)


def parse_keys(text: str, *, source: str) -> tuple[Key, ...]:
    """The keys that are written in ``text``; ``source`` is named in errors. Raises ``ConfigurationError``."""
    entries = _json_entries(text, source) if text.lstrip().startswith("[") else _plain_entries(text)
    keys = tuple(_parse_entry(entry, number, source) for number, entry in enumerate(entries, start=1))
    if not keys:
        raise ConfigurationError(f"{source} has no key; write at least one")
    return keys


def _plain_entries(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    entries = (entry.strip() for line in lines for entry in line.split(","))
    return [entry for entry in entries if entry]


def _json_entries(text: str, source: str) -> list[Any]:
    try:
        entries: list[Any] = json.loads(text)
    except (ValueError, RecursionError):  # the error would carry the text along
        raise ConfigurationError(f"{source} starts with '[' but is not a JSON array; correct it") from None
    return entries


def _parse_entry(entry: Any, number: int, source: str) -> Key:
    if isinstance(entry, str):
        bare = DIGEST.fullmatch(entry) or ":" not in entry
        name, key = (f"key-{number}", entry) if bare else entry.split(":", 1)
        return Key(name.strip(), key.strip())
    if not isinstance(entry, dict) or not entry.keys() <= FIELDS or "key" not in entry:
        raise ConfigurationError(f"entry {number} of {source} must have 'key', and may have {sorted(FIELDS - {'key'})}")
    return Key(
        entry.get("name", f"key-{number}"),
        entry["key"],
        permissions=_permissions(entry.get("permissions"), number, source),
        expires=_expiry(entry.get("expires"), number, source),
    )


def _permissions(value: Any, number: int, source: str) -> Iterable[str]:
    if value is None:
        return DEFAULT_PERMISSIONS
    if not isinstance(value, list):
        raise ConfigurationError(f"entry {number} of {source}: permissions must be a list")
    return value


def _expiry(value: Any, number: int, source: str) -> datetime | None:
    if value is None:
        return None
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise ConfigurationError(f"entry {number} of {source}: expires must be like 2027-01-01T00:00:00Z") from None


class KeyFile:
    """A file of keys, and whether it has changed since it was last read.

    Replace the file by renaming another over it, as orchestrators do with mounted secrets: a file that is written in
    place can be read half-written. Any thread may poll.

    Args:
        path: The file.
        monotonic: The clock that spaces the checks.
    """

    __slots__ = ("_due", "_monotonic", "_seen", "path")

    def __init__(self, path: str | os.PathLike[str], *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.path = Path(path).absolute()
        self._monotonic = monotonic
        self._due = 0.0
        self._seen: tuple[int, ...] | None = None

    def read(self) -> tuple[Key, ...]:
        """The keys as the file has them now. Raises ``ConfigurationError``."""
        self._due = self._monotonic() + CHECK_INTERVAL
        try:
            with self.path.open(encoding="utf-8") as file:
                status = os.fstat(file.fileno())
                self._seen = _signature(status)
                text = file.read()
        except OSError as error:
            self._seen = self._now()
            raise ConfigurationError(f"the key file {self.path} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError:  # the error would carry the text along
            raise ConfigurationError(f"the key file {self.path} is not in UTF-8; write it so") from None
        if os.name == "posix" and status.st_mode & stat.S_IROTH:
            logger.warning("the key file %s can be read by every user of this machine; chmod 600 it", self.path)
        return parse_keys(text, source=str(self.path))

    def poll(self) -> tuple[Key, ...] | None:
        """The keys, if the file has changed; looks at most once per second.

        A changed file that cannot be used is logged, once per change, and the keys that were read before stay good.
        """
        if self._monotonic() < self._due:
            return None
        self._due = self._monotonic() + CHECK_INTERVAL
        if self._now() == self._seen:
            return None
        try:
            keys = self.read()
        except ConfigurationError as error:
            logger.error("keys stay as they were: %s", error)
            return None
        logger.info("read %d keys from %s", len(keys), self.path)
        return keys

    def _now(self) -> tuple[int, ...] | None:
        try:
            return _signature(self.path.stat())
        except OSError:
            return None


def _signature(status: os.stat_result) -> tuple[int, ...]:
    return status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size
