"""``GET /docs``: Swagger UI from an installed package (extra ``docs``), else a plain page. Never a CDN."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import secrets
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from starlette.responses import HTMLResponse, Response

from ..errors import NotFoundError
from .describe import link, place
from .routes import DOCS_ASSETS, Route

__all__ = ["asset", "page"]

MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".png": "image/png"}
POLICY = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)

# The document's address starts with the origin: where a browser was given the key in the address, as in
# https://name:key@host/docs, it fetches nothing that is relative to it.
INTERACTIVE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="{icon}">
<link rel="stylesheet" href="{style}">
</head>
<body>
<div id="docs"></div>
<script src="{script}"></script>
<script nonce="{nonce}">
SwaggerUIBundle({{url: location.origin + {document}, dom_id: "#docs", deepLinking: true, validatorUrl: null}});
</script>
</body>
</html>
"""
PLAIN = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
</head>
<body>
<h1>{title}</h1>
{document}
<ul>
{routes}
</ul>
<p>To read and try it here, install the extra: <code>pip install "pipemount[docs]"</code></p>
</body>
</html>
"""

CONTRACT = '<p>The whole contract is in <a href="{document}">openapi.json</a>.</p>'


def page(base: str, title: str, routes: Sequence[Route]) -> Response:
    """The page, for the mount at ``base``; its links and assets are built from there."""
    nonce = secrets.token_urlsafe(16)
    html = _interactive(base, title, nonce, routes) if _is_interactive(routes) else _plain(base, title, routes)
    return HTMLResponse(html, headers=_headers({"Content-Security-Policy": POLICY.format(nonce=nonce)}))


def asset(name: str) -> Response:
    """One of ``DOCS_ASSETS``. Raises ``NotFoundError`` where the extra is not installed."""
    if name not in ASSETS:
        raise NotFoundError('this file comes with the extra: pip install "pipemount[docs]"')
    body = ASSETS[name]
    headers = {"Cache-Control": "private, max-age=3600", "ETag": f'"{hashlib.sha256(body).hexdigest()[:32]}"'}
    return Response(body, headers=_headers(headers), media_type=MEDIA_TYPES[Path(name).suffix])


def _headers(headers: Mapping[str, str]) -> dict[str, str]:
    return {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", **headers}


def _is_interactive(routes: Sequence[Route]) -> bool:
    return bool(ASSETS) and place(routes, "/openapi.json") is not None


def _interactive(base: str, title: str, nonce: str, routes: Sequence[Route]) -> str:
    style, script, icon = (escape(link(base, place(routes, f"/docs/{name}") or "")) for name in DOCS_ASSETS)
    document = json.dumps(link(base, place(routes, "/openapi.json") or "")).replace("<", "\\u003c")
    return INTERACTIVE.format(
        title=escape(title), icon=icon, style=style, script=script, nonce=nonce, document=document
    )


def _plain(base: str, title: str, routes: Sequence[Route]) -> str:
    entries = (
        f'<li>{"/".join(route.methods)} <a href="{escape(link(base, route.path))}">{escape(route.path)}</a></li>'
        for route in routes
        if route.documented
    )
    contract = place(routes, "/openapi.json")
    document = CONTRACT.format(document=escape(link(base, contract))) if contract else ""
    return PLAIN.format(title=escape(title), document=document, routes="\n".join(entries))


def _load() -> dict[str, bytes]:
    """The assets, read once at import: a request must not wait for a disk on the event loop."""
    found = importlib.util.find_spec("openapi_ui_bundles")
    if found is None or found.origin is None:
        return {}
    folder = Path(found.origin).parent / "swagger_ui" / "vendor"
    return {name: (folder / name).read_bytes() for name in DOCS_ASSETS}


ASSETS: Mapping[str, bytes] = _load()
