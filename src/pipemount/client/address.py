"""Where an app is, and its pipeline: the URLs of routes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import SplitResult, quote, urlencode, urlsplit

from ..errors import ConfigurationError

__all__ = ["Address"]

ROUTES = re.compile(r"/(invoke|submit)\Z")
OF_PIPELINE = re.compile(r"(?P<mount>.*)/pipelines/[^/]+\Z", re.DOTALL)


class Address(NamedTuple):
    """A mount, and one of its pipelines.

    Attributes:
        parts: The URL as it was given.
        mount: The path of the mount, without a slash at its end.
        pipeline: The path below which the pipeline's own routes are.
        token: A signed token, which speaks for whoever asks for its job.
        paths: Where the app has its routes, by their usual paths: those of ``Settings(paths=…)``.
    """

    parts: SplitResult
    mount: str
    pipeline: str
    token: str | None = None
    paths: Mapping[str, str] = MappingProxyType({})

    @classmethod
    def of(
        cls,
        url: str,
        name: str | None = None,
        *,
        relative: bool = False,
        token: str | None = None,
        paths: Mapping[str, str] | None = None,
    ) -> Address:
        """The address that ``url`` says: of the mount, of a pipeline, or of one of their routes.

        Args:
            url: With ``http`` or ``https``.
            name: The pipeline's name in the app, for the URL of a mount.
            relative: Whether ``url`` may be a path, for an HTTP client that has a ``base_url``.
            token: See the attribute.
            paths: See the attribute.
        """
        try:
            parts = urlsplit(url)
        except ValueError:
            parts = urlsplit("")
        if not (parts.scheme in ("http", "https") and parts.netloc) and not (relative and not parts.scheme):
            raise ConfigurationError(f"{url!r} is not an address; write http://host:port/mount")
        path, moved = ROUTES.sub("", parts.path.rstrip("/")), _checked(paths or {})
        if found := OF_PIPELINE.fullmatch(path):
            return cls(parts, found["mount"], path, token, moved)
        return cls(parts, path, path if name is None else f"{path}/pipelines/{quote(name, safe='')}", token, moved)

    def of_app(self, route: str, query: str = "") -> str:
        """The URL of a route of the whole app."""
        return self._at(self.mount + self._moved(f"/{route}"), query)

    def of_pipeline(self, route: str, query: str = "") -> str:
        """The URL of a route of the pipeline."""
        return self._at(self.pipeline + self._moved(f"/{route}"), query)

    def of_job(self, job_id: str, route: str = "") -> str:
        """The URL of a job, or of a route of it."""
        query = "" if self.token is None else urlencode({"token": self.token})
        return self._at(f"{self.mount}{self._moved('/jobs')}/{quote(job_id, safe='')}{route}", query)

    def _moved(self, route: str) -> str:
        return self.paths.get(route, route)

    def _at(self, path: str, query: str = "") -> str:
        both = "&".join(filter(None, (self.parts.query, query)))
        return self.parts._replace(path=path, query=both, fragment="").geturl()


def _checked(paths: Mapping[str, str]) -> Mapping[str, str]:
    for usual, own in paths.items():
        if not (usual.startswith("/") and own.startswith("/")):
            raise ConfigurationError(f"paths={{{usual!r}: {own!r}}}: each is a path that starts with '/'")
    return MappingProxyType({usual: own.rstrip("/") for usual, own in paths.items()})
