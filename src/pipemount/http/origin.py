"""Cross-site request forgery: posts that a browser sends with a login's cookies on behalf of another site's page.

A page of another origin can have a browser post to us, cookies included, but cannot hide where it is from: browsers
send ``Origin`` with every such request (Fetch standard, 3.2) and most send ``Sec-Fetch-Site`` (Fetch Metadata). So a
request that a login vouches for must come from the app's own origin or a trusted one, unless a token that the host
verified proves the same. No page of another origin makes a browser send ``Authorization: Bearer`` or ``X-API-Key``:
whoever presents a key so is not asked. ``Basic`` is like a cookie: once somebody has given a name and a key, the
browser sends them by itself, whether this app asked for them or a proxy before it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from ..errors import CrossOriginError
from ..types import Scope

__all__ = ["from_script", "refuse_foreign", "refuse_foreign_socket"]

SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
BY_ITSELF = frozenset({b"", b"basic", b"digest", b"negotiate", b"ntlm"})
"""Schemes of ``Authorization`` that a browser sends again once somebody has given a password."""

SENT_BY_ITSELF = frozenset({b"cookie", b"authorization"})
PORTS = {"http": 80, "https": 443}


def refuse_foreign(
    method: str, headers: Mapping[bytes, bytes], trusted: Collection[str], *, vouched: bool = False
) -> None:
    """Raise ``CrossOriginError`` for a request that changes something and is another origin's, with a browser's login.

    Args:
        method: Of the request.
        headers: Of it, by names in lower case.
        trusted: Origins that may, e.g. ``"https://app.example"``.
        vouched: Whether the host's login tells who it is, maybe by what no header shows: a certificate, an address.
    """
    if method in SAFE:
        return
    if not (vouched or headers.keys() & SENT_BY_ITSELF) or _is_deliberate(headers):
        return
    origin = headers.get(b"origin", b"").decode("latin-1")
    if origin and origin in trusted:
        return
    if origin and ((sent := _split(origin)) is None or sent != _own(origin, headers)):
        raise CrossOriginError(origin=origin)
    if headers.get(b"sec-fetch-site", b"none") not in (b"same-origin", b"none"):  # it tells schemes apart, too
        raise CrossOriginError(origin=origin or "another site")


def refuse_foreign_socket(headers: Mapping[bytes, bytes], trusted: Collection[str], *, vouched: bool) -> None:
    """Raise ``CrossOriginError`` for a WebSocket that a page of another origin opens.

    Unlike a request's, a socket's answers can be read by any page that opens it, so it is refused whether a cookie
    came along or not. All browsers send ``Origin`` with it (RFC 6455, 10.2): what comes without is none, and has to
    show something better than a cookie.

    Args:
        headers: Of the handshake, by names in lower case.
        trusted: Origins that may.
        vouched: Whether the host's login tells who it is.
    """
    if _is_deliberate(headers):
        return
    origin = headers.get(b"origin", b"").decode("latin-1")
    if not origin:
        if vouched and b"cookie" in headers:
            raise CrossOriginError(origin="no origin", socket=True)
    elif origin not in trusted and ((sent := _split(origin)) is None or sent != _own(origin, headers)):
        raise CrossOriginError(origin=origin, socket=True)


def _is_deliberate(headers: Mapping[bytes, bytes]) -> bool:
    """Whether there is a header that a page of another origin can only add if this app lets it (CORS)."""
    scheme = headers.get(b"authorization", b"").partition(b" ")[0].lower()
    return scheme not in BY_ITSELF or b"x-api-key" in headers


def from_script(scope: Scope) -> bool:
    """Whether a browser sent the request for a page's script rather than for its address bar (Fetch Metadata)."""
    return any(name == b"sec-fetch-mode" and value != b"navigate" for name, value in scope["headers"])


def _split(origin: str) -> tuple[str, int | None] | None:
    """Host and port; the scheme is left out, as a proxy that ends TLS may not tell it."""
    try:
        parts = urlsplit(origin)
        return (parts.hostname or "", parts.port or PORTS.get(parts.scheme)) if parts.hostname else None
    except ValueError:
        return None


def _own(origin: str, headers: Mapping[bytes, bytes]) -> tuple[str, int | None] | None:
    scheme = origin.partition(":")[0]  # behind a proxy the port that is left out is the one of the page's scheme
    return _split(f"{scheme}://{headers.get(b'host', b'').decode('latin-1')}")
