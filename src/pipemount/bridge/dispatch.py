"""A WSGI callable in front of any WSGI host, under a path of its own."""

from __future__ import annotations

from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from ..errors import ConfigurationError

__all__ = ["Dispatcher"]


class Dispatcher:
    """Serves ``inner`` under ``path`` and everything else from ``app``.

    Args:
        app: The host, any WSGI callable.
        inner: Sees ``path`` at the end of ``SCRIPT_NAME`` and what follows as ``PATH_INFO``.
        path: Below the host's own mount, e.g. ``"/ai"``; matched by whole segments.
    """

    def __init__(self, app: WSGIApplication, inner: WSGIApplication, path: str) -> None:
        self.app, self.inner = app, inner
        self.path = "/" + path.strip("/")
        if self.path == "/":
            raise ConfigurationError(f"path={path!r} would hide the host; name a segment, e.g. '/ai'")
        self._sent = self.path.encode().decode("latin-1")  # as PEP 3333 spells it
        self._below = self._sent + "/"

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Routes one request; for the host nothing is changed."""
        path: str = environ.get("PATH_INFO", "")
        if path != self._sent and not path.startswith(self._below):
            return self.app(environ, start_response)
        root = environ.get("SCRIPT_NAME", "").rstrip("/")
        inside = {**environ, "SCRIPT_NAME": root + self._sent, "PATH_INFO": path[len(self._sent) :]}
        return self.inner(inside, start_response)
