"""What an app tells browsers: which pages may read its answers (CORS), and how answers are to be handled.

Frozen values, checked when they are made; ``http`` sends them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields

from .errors import ConfigurationError

__all__ = ["Cors", "SecureHeaders", "checked_host", "checked_origin"]

ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:[0-9]{1,5})?")
HOST = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]|\*")
TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
VALUE = re.compile(r"[!-~]([ -~]*[!-~])?")
WORDS = frozenset({"", "0", "1", "auto", "default", "disable", "disabled", "enable", "enabled", "false", "no", "none"})
WORDS |= {"null", "off", "on", "true", "yes"}
"""What a configuration may say for *on* and *off*, and what no browser understands as the value of a header."""


def checked_origin(origin: str, where: str) -> str:
    """``origin`` if a browser could send it. Raises ``ConfigurationError``."""
    if not isinstance(origin, str) or not ORIGIN.fullmatch(origin):
        raise ConfigurationError(
            f"{where}: {origin!r} is no origin; write scheme and host in lower case, and the port where there is one, "
            "e.g. 'https://app.example'"
        )
    return origin


def checked_host(host: str, where: str) -> str:
    """``host`` if it can be a name in a ``Host`` header, or ``*.`` before one. Raises ``ConfigurationError``."""
    if not isinstance(host, str) or not HOST.fullmatch(host.lower()):
        raise ConfigurationError(
            f"{where}: {host!r} is no host; write a name without scheme and port, e.g. 'app.example', '*.example' "
            "for all below a domain, or '[::1]'"
        )
    return host.lower()


@dataclass(frozen=True, slots=True)
class Cors:
    """Which pages of other origins may have a browser call the app, and read what it answers (Fetch standard, 3.2).

    Attributes:
        allow_origins: The pages' origins, e.g. ``("https://app.example",)``; ``("*",)`` for all. Never both ``*`` and
            credentials: any page could act with its visitor's login then.
        allow_methods: What those pages may ask with.
        allow_headers: Headers that they may send; ``("*",)`` for all.
        allow_credentials: Whether the browser sends its cookies and passwords along. A request with cookies that
            changes something needs its origin in ``Settings(trusted_origins=…)`` as well.
        expose_headers: Headers of an answer that they may read.
        max_age: Seconds for which a browser remembers the permission.
    """

    allow_origins: Sequence[str]
    allow_methods: Sequence[str] = ("GET", "POST", "DELETE")
    allow_headers: Sequence[str] = (
        "Authorization",
        "Content-Type",
        "Idempotency-Key",
        "Last-Event-ID",
        "X-API-Key",
        "X-Request-ID",
        "traceparent",
        "tracestate",
    )
    allow_credentials: bool = False
    expose_headers: Sequence[str] = (
        "Idempotency-Replayed",
        "Location",
        "RateLimit",
        "RateLimit-Policy",
        "Retry-After",
        "X-Request-ID",
        "X-Run-ID",
    )
    max_age: int = 600

    def __post_init__(self) -> None:
        for name in ("allow_origins", "allow_methods", "allow_headers", "expose_headers"):
            object.__setattr__(self, name, _texts(getattr(self, name), f"Cors({name}=…)"))
        if "*" in self.allow_origins:
            self._check_wildcard()
        else:
            for origin in self.allow_origins:
                checked_origin(origin, "Cors(allow_origins=…)")
        for name in ("allow_methods", "allow_headers", "expose_headers"):
            for text in getattr(self, name):
                if not TOKEN.fullmatch(text):
                    raise ConfigurationError(f"Cors({name}=…): {text!r} cannot be in a header")
        if not (isinstance(self.max_age, int) and self.max_age >= 0):
            raise ConfigurationError(f"Cors(max_age={self.max_age!r}): give whole seconds, 0 or more")

    def _check_wildcard(self) -> None:
        if len(self.allow_origins) > 1:
            raise ConfigurationError("Cors(allow_origins=…): '*' is every origin; leave out the others, or it")
        if self.allow_credentials:
            raise ConfigurationError(
                "Cors(allow_origins=('*',), allow_credentials=True): every page could act with its visitor's login; "
                "name the origins that may"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureHeaders:
    """Headers of every answer that tell browsers to be careful with it; each may be another text, or ``None``: off.

    The outputs of a run that was waited for are data, which no browser shows and, as they answer a POST, no cache keeps
    (RFC 9111, section 3): they have ``content_type_options`` and ``strict_transport_security``. An answer that has a
    header of its own keeps that: the page at ``/docs`` has a content security policy that lets its own scripts run.
    Words such as ``"disabled"`` are refused, as a browser would be sent them.

    Attributes:
        content_type_options: ``X-Content-Type-Options``.
        frame_options: ``X-Frame-Options``.
        content_security_policy: ``Content-Security-Policy``: what an answer may load if a browser shows it.
        referrer_policy: ``Referrer-Policy``.
        permissions_policy: ``Permissions-Policy``.
        cache_control: ``Cache-Control``.
        cross_origin_resource_policy: ``Cross-Origin-Resource-Policy``: who may embed an answer.
        strict_transport_security: ``Strict-Transport-Security``, e.g. ``"max-age=31536000"``. Off unless asked for: it
            binds the whole host. Sent over TLS only (RFC 6797, section 7.2), as ``scheme`` of the ASGI scope tells.
    """

    content_type_options: str | None = "nosniff"
    frame_options: str | None = "DENY"
    content_security_policy: str | None = "default-src 'none'; frame-ancestors 'none'"
    referrer_policy: str | None = "no-referrer"
    permissions_policy: str | None = "camera=(), geolocation=(), microphone=()"
    cache_control: str | None = "no-store"
    cross_origin_resource_policy: str | None = "same-origin"
    strict_transport_security: str | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and (not isinstance(value, str) or _is_no_value(value)):
                raise ConfigurationError(
                    f"SecureHeaders({field.name}={value!r}): give the text to send, or None for no such header"
                )

    @staticmethod
    def names() -> tuple[bytes, ...]:
        """What the headers are called."""
        return tuple(NAMES.values())

    def lines(self, *, encrypted: bool, data: bool = False) -> tuple[tuple[bytes, bytes], ...]:
        """The headers as ASGI has them.

        Args:
            encrypted: Whether the answer is sent over TLS.
            data: Only those that concern more than a document that a browser shows.
        """
        names = [name for name in NAMES if encrypted or name != "strict_transport_security"]
        values = ((NAMES[name], getattr(self, name)) for name in names if not data or name in OF_DATA)
        return tuple((name, value.encode("ascii")) for name, value in values if value is not None)


OF_DATA = frozenset({"content_type_options", "strict_transport_security"})

NAMES = {
    "content_type_options": b"x-content-type-options",
    "frame_options": b"x-frame-options",
    "content_security_policy": b"content-security-policy",
    "referrer_policy": b"referrer-policy",
    "permissions_policy": b"permissions-policy",
    "cache_control": b"cache-control",
    "cross_origin_resource_policy": b"cross-origin-resource-policy",
    "strict_transport_security": b"strict-transport-security",
}


def _is_no_value(value: str) -> bool:
    return value.strip().lower() in WORDS or not VALUE.fullmatch(value)


def _texts(values: Sequence[str], where: str) -> tuple[str, ...]:
    if isinstance(values, str) or not all(isinstance(value, str) for value in values):
        raise ConfigurationError(f"{where}: give a list of texts, not {values!r}")
    return tuple(values)
