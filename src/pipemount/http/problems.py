"""Errors as problem documents (RFC 9457): every failure that leaves the app leaves it from here."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from ..errors import PipemountError, RunError
from ..errors.problems import members_of

__all__ = ["Headers", "log_failure", "problem"]

Headers = list[tuple[bytes, bytes]]

logger = logging.getLogger("pipemount")

MEDIA_TYPE = b"application/problem+json"


def problem(
    error: PipemountError, *, instance: str, extra: Mapping[str, Any] | None = None
) -> tuple[int, Headers, bytes]:
    """``error`` as status, headers and body.

    Args:
        error: What happened. Of the author's own faults callers learn that there is one, not which.
        instance: The path that was asked for.
        extra: Further members; those of the error win.
    """
    document = {**(extra or {}), **members_of(error), "instance": instance}
    # Messages may quote anything, also lone surrogates, which UTF-8 does not have.
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":"), default=str).encode(errors="replace")
    return error.status, _headers(error, body), body


def _headers(error: PipemountError, body: bytes) -> Headers:
    headers = [(b"content-type", MEDIA_TYPE), (b"content-length", b"%d" % len(body))]
    for name, value in error.headers.items():
        headers.append((name.encode("ascii"), value.encode("latin-1")))
    if isinstance(error, RunError) and error.run_id:
        headers.append((b"x-run-id", error.run_id.encode("ascii")))
    return headers


def log_failure(error: PipemountError) -> None:
    """Of a run that failed: whole where that may be the app's fault, else what its caller is told."""
    if not isinstance(error, RunError):
        return
    if error.status >= 500:
        logger.error("run %s failed: %s", error.run_id, error, exc_info=error)
    else:  # it may quote the caller, so line ends are escaped
        logger.info("run %s was answered %d: %r", error.run_id, error.status, str(error))
