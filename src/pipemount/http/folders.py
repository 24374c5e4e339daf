"""Files beside the API, by Starlette's ``StaticFiles``: what is no file is no page either."""

from __future__ import annotations

import os
import re
from collections.abc import Collection

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from ..errors import NotFoundError
from ..types import Message, Scope, Send
from .arranging import below
from .custom import permission_for
from .describe import link
from .exchange import Exchange
from .extras import StaticFolder
from .headers import prefers_html

__all__ = ["Folder"]

INDEX = "index.html"
RANGE = re.compile(rb"([0-9]{0,18})-([0-9]{0,18})")
MOST_RANGES = 8
"""Parts of a file that one request may ask for; one that asks for more is sent the whole (RFC 9110, section 14.2)."""


class Folder:
    """Answers with the files of one folder.

    Args:
        given: The folder.
        api: First segments of the API's own paths, below which nothing falls back on ``index.html``.
    """

    def __init__(self, given: StaticFolder, api: Collection[str]) -> None:
        self.given, self._api = given, frozenset(api)
        self._files = StaticFiles(directory=given.folder)
        self.has_index = os.path.isfile(os.path.join(given.folder, INDEX))  # noqa: PTH113, PTH118 - as Starlette has it

    def covers(self, rest: str) -> bool:
        """Whether a path of the app is in the folder."""
        return self.given.path == "/" or below(rest, self.given.path)

    def permission(self, method: str) -> str | None:
        """What a caller must hold."""
        return permission_for(self.given.permission, method)

    async def __call__(self, exchange: Exchange, rest: str) -> None:
        """Answer with a file. Raises ``NotFoundError``."""
        relative = rest.removeprefix(self.given.path).strip("/")
        if not relative and self.has_index and not exchange.scope["path"].endswith("/"):
            await _to_slash(exchange, rest)  # else what the page has beside it would be looked for above
            return
        scope = {**exchange.scope, "headers": _without_odd_ranges(exchange.scope)}
        response = await self._find(relative or INDEX, scope) or await self._fall_back(rest, scope, exchange)
        if response is None:
            raise NotFoundError(f"there is no file {rest}")
        html = response.headers.get("content-type", "").startswith("text/html")
        response.headers["cache-control"] = "no-cache" if html else self._caching
        if self.given.content_security_policy is not None:
            response.headers["content-security-policy"] = self.given.content_security_policy
        else:
            kept = tuple(line for line in exchange.always.pages if line[0] != b"content-security-policy")
            exchange.always = exchange.always._replace(pages=kept)
        last = _LastPart(exchange.send_finished)
        await response(scope, exchange.receive, last.keep)
        await last.send()

    @property
    def _caching(self) -> str:
        return f"{'public' if self.given.permission is None else 'private'}, max-age={self.given.max_age}"

    async def _find(self, relative: str, scope: Scope) -> Response | None:
        segments = relative.split("/")
        if "\0" in relative or any(segment.startswith(".") and segment != ".well-known" for segment in segments):
            return None  # neither what is above nor what is hidden, nor what can be no file
        try:
            return await self._files.get_response(os.path.join(*segments), scope)  # noqa: PTH118 - as Starlette has it
        except HTTPException:
            return None

    async def _fall_back(self, rest: str, scope: Scope, exchange: Exchange) -> Response | None:
        if (
            not self.given.fallback
            or rest.split("/")[1] in self._api
            or not prefers_html(exchange.headers.get(b"accept"))
        ):
            return None
        return await self._find(INDEX, scope)


class _LastPart:
    """Keeps the last message until the file is closed: who has read all may end the loop that would close it."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._kept: Message | None = None

    async def keep(self, message: Message) -> None:
        """As ``send``, except for the last message."""
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self._kept = message
        else:
            await self._send(message)

    async def send(self) -> None:
        """Sends that one."""
        if self._kept is not None:
            await self._send(self._kept)


async def _to_slash(exchange: Exchange, rest: str) -> None:
    location = link(exchange.base, rest.rstrip("/") + "/").encode("ascii")
    await exchange.respond(307, [(b"location", location), (b"content-length", b"0")], b"")


def _without_odd_ranges(scope: Scope) -> list[tuple[bytes, bytes]]:
    """The headers without a ``Range`` that is invalid, or asks for too many parts: it is ignored."""
    return [(name, value) for name, value in scope["headers"] if name.lower() != b"range" or _is_ranges(value)]


def _is_ranges(value: bytes) -> bool:
    unit, _, parts = value.partition(b"=")
    if unit.strip().lower() != b"bytes" or parts.count(b",") >= MOST_RANGES:
        return False
    found = [RANGE.fullmatch(part.strip()) for part in parts.split(b",")]
    return all(one is not None and _is_range(one[1], one[2]) for one in found)


def _is_range(first: bytes, last: bytes) -> bool:
    return bool(first or last) and not (first and last and int(first) > int(last))
