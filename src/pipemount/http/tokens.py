"""Signed tokens over HTTP: ``POST /tokens``, the links that carry one, and ``?token=`` where it stands for a key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NotRequired
from urllib.parse import quote, unquote, urlsplit

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import to_json
from typing_extensions import TypedDict

from ..auth.tokens import TOKEN_PERMISSIONS, Tokens
from ..errors import (
    ConfigurationError,
    ForbiddenError,
    InvalidInputsError,
    MalformedRequestError,
    NotAcceptableError,
    NotFoundError,
)
from ..jobs.desk import UNKNOWN_JOB
from ..pipelines.schema import Schema, describe_errors
from ..settings import Settings
from ..types import Message, Principal, Scope, Send
from .describe import link
from .exchange import Exchange
from .headers import accepts_json, check_body, presents_key
from .problems import Headers
from .reading import read_body
from .routes import PARAMETER, Route

__all__ = [
    "PLACES",
    "SignedToken",
    "Signing",
    "bearer",
    "hide_token",
    "private",
    "shows_token",
    "take_token",
    "token_request",
]

LARGEST_BODY = 64 * 1024
DEFAULT_MAX_AGE = 3600.0
PLACES: Mapping[tuple[str, str], str] = {
    ("job", "GET"): "read",
    ("job", "HEAD"): "read",
    ("events", "GET"): "read",
    ("events", "HEAD"): "read",
    ("cancel", "POST"): "cancel",
}
"""Endpoints and methods where a token stands for a key, and what it must permit there; sockets are the other place."""

Find = Callable[[str, Principal | None], Awaitable[object]]
"""Finds a job for whoever asks; raises ``NotFoundError``."""


@dataclass(frozen=True, slots=True)
class SignedToken:
    """A token, and the links that carry it.

    Attributes:
        token: What ``?token=`` takes. Not in the ``repr``, and not meant for logs.
        job_id: The one job that it is good for.
        permission: What it permits there, ``read`` or ``cancel``.
        expires_at: When it ends.
        paths: Below the app, by what is there: ``job``, ``events`` and ``websocket``; ``cancel`` and ``websocket``.
    """

    token: str = field(repr=False)
    job_id: str
    permission: str
    expires_at: datetime
    paths: Mapping[str, str] = field(repr=False)

    def url(self, base: str, what: str = "job") -> str:
        """A full link, e.g. for an e-mail.

        Args:
            base: Where the app is mounted, as its callers see it: ``"https://shop.example/ai"``.
            what: One of ``paths``. The scheme of ``websocket`` becomes ``ws`` or ``wss``.

        Raises:
            ConfigurationError: ``base`` is no such URL, or the token permits nothing there.
        """
        parts = urlsplit(base)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
            raise ConfigurationError(f"{base!r} is not where an app is mounted; give a URL as https://shop.example/ai")
        if what not in self.paths:
            raise ConfigurationError(f"a token to {self.permission} has links to: {', '.join(self.paths)}")
        scheme = parts.scheme.replace("http", "ws") if what == "websocket" else parts.scheme
        return parts._replace(scheme=scheme).geturl().rstrip("/") + self.paths[what]


class Signing:
    """Signs tokens, for ``POST /tokens`` and for the team's own code.

    Args:
        tokens: Of the app.
        routes: Of the app, sockets among them; links lead to those that there are.
        settings: Of the app.
        find: Finds a job for whoever asks for a token.
    """

    def __init__(self, tokens: Tokens, routes: Sequence[Route], settings: Settings, find: Find) -> None:
        self._tokens, self._find = tokens, find
        self._limit, self._max_body_bytes = settings.max_token_age, settings.max_body_bytes
        self._body_timeout = settings.body_timeout
        self._request = token_request(settings).adapter
        self._paths = list(_paths(routes))

    def sign(self, job_id: str, permission: str, max_age: float, signer: Principal | None) -> SignedToken:
        """A token of ``signer``; ``None`` is the app itself. Raises as ``Tokens.sign`` does.

        Raises:
            ConfigurationError: A permission that no token has, or an age that the settings do not allow.
        """
        if permission not in TOKEN_PERMISSIONS:
            raise ConfigurationError(f"a token permits one of: {', '.join(TOKEN_PERMISSIONS)}; not {permission!r}")
        if not 1 <= max_age <= self._limit:
            raise ConfigurationError(f"max_age={max_age!r}: from 1 to {self._limit:g} seconds (Settings.max_token_age)")
        token, expires = self._tokens.sign(job_id, permission, max_age, signer)
        carried = f"?token={token}"
        paths = {
            what: path.replace(PARAMETER, quote(job_id, safe="")) + carried
            for needed, what, path in self._paths
            if needed == permission
        }
        moment = datetime.fromtimestamp(expires, UTC)
        return SignedToken(token, job_id, permission, moment, paths)

    async def __call__(self, exchange: Exchange) -> None:
        """Answer ``POST /tokens``; every failure is raised as a ``PipemountError``."""
        asked = self._asked(await self._read(exchange))
        job_id, max_age = asked["job_id"], asked.get("max_age", min(DEFAULT_MAX_AGE, self._limit))
        signed = self.sign(job_id, asked.get("permission", "read"), max_age, exchange.principal)
        await self._find(job_id, exchange.principal)
        told = {
            "token": signed.token,
            "job_id": job_id,
            "permission": signed.permission,
            "expires_at": signed.expires_at,
            "urls": {what: _below(exchange.base, path) for what, path in signed.paths.items()},
        }
        body = to_json(told)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *PRIVATE]
        await exchange.respond(201, headers, body)

    async def _read(self, exchange: Exchange) -> bytes:
        headers = exchange.headers
        if not accepts_json(headers.get(b"accept")):
            raise NotAcceptableError("this route answers application/json; name it in Accept, or send no Accept")
        limit = min(LARGEST_BODY, self._max_body_bytes)
        declared = check_body(headers, limit)
        return await read_body(exchange, limit, declared, self._body_timeout)

    def _asked(self, body: bytes) -> Any:
        try:
            return self._request.validate_json(body)
        except ValidationError as error:
            faults = describe_errors(error)
            if faults[0]["type"] == "json_invalid":
                detail = f"the body is not JSON that this app reads: {faults[0]['msg']}"
                raise MalformedRequestError(detail) from None
            raise InvalidInputsError(errors=faults) from None


def _paths(routes: Sequence[Route]) -> Iterator[tuple[str, str, str]]:
    """Where links may lead: the permission that it takes, what is there, and the path."""
    for route in routes:
        if route.endpoint == "socket" and route.pipeline is None:
            yield from ((permission, "websocket", route.path) for permission in TOKEN_PERMISSIONS)
        elif route.documented and (permission := PLACES.get((route.endpoint, route.methods[0]))) is not None:
            yield permission, route.endpoint, route.path


def token_request(settings: Settings) -> Schema:
    """The body of ``POST /tokens``."""
    age = Field(ge=1, le=settings.max_token_age, allow_inf_nan=False, strict=True)
    members: dict[str, Any] = {
        "job_id": Annotated[str, Field(min_length=1, max_length=64, description="The one job that it is good for.")],
        "permission": NotRequired[Annotated[Literal["read", "cancel"], Field(description="What it permits there.")]],
        "max_age": NotRequired[Annotated[float, age, Field(description="Seconds until it ends; an hour if left out.")]],
    }
    make: Any = TypedDict
    asked = make("TokenRequest", members)
    asked.__pydantic_config__ = ConfigDict(extra="forbid")
    asked.__doc__ = "What a token is wanted for."
    asked.__module__ = __name__
    return Schema(asked, TypeAdapter(asked))


# ------------------------------------------------------------------------------------ presenting tokens


def shows_token(scope: Scope) -> bool:
    """Whether the query has a token."""
    query: bytes = scope.get("query_string") or b""
    return b"token=" in query and (query.startswith(b"token=") or b"&token=" in query)


def take_token(scope: Scope) -> str:
    """The value of ``?token=``, of which a dash is left in the scope: servers log the query when they have answered.

    Raises:
        MalformedRequestError: There are several.
    """
    fields: list[bytes] = scope["query_string"].split(b"&")
    tokens = [unquote(field[6:].decode("latin-1")) for field in fields if field.startswith(b"token=")]
    hide_token(scope)
    if len(tokens) > 1:
        raise MalformedRequestError("two tokens in one request; send one")
    return tokens[0]


def hide_token(scope: Scope) -> None:
    """Leave a dash of the tokens in the query."""
    fields: list[bytes] = scope["query_string"].split(b"&")
    scope["query_string"] = b"&".join(b"token=-" if field.startswith(b"token=") else field for field in fields)


def bearer(exchange: Exchange, tokens: Tokens, permission: str, *, keyed: bool) -> Principal:
    """Who comes with a token, to the job that it is for; the answer is kept by no cache.

    Args:
        exchange: With a token, and a job's id in its path.
        tokens: Of the app.
        permission: What the route takes.
        keyed: Whether a key that is sent as well would be looked at.

    Raises:
        UnauthenticatedError, MalformedRequestError, NotFoundError, ForbiddenError: The token does not let it in here.
    """
    exchange.send = private(exchange.send)
    token = exchange.token = take_token(exchange.scope)
    if keyed and presents_key(exchange.headers):
        raise MalformedRequestError("two credentials in one request; send a key or a token")
    principal = tokens.verify(token)
    if principal.job_id != exchange.params["job_id"]:
        raise NotFoundError(UNKNOWN_JOB)
    if not principal.may(permission):
        raise ForbiddenError(permission=permission, principal=principal.name)
    return principal


def private(send: Send) -> Send:
    """``send`` for an answer at an address that is a secret: no cache keeps it, no page tells where it came from."""

    async def send_privately(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [header for header in message["headers"] if header[0] not in PRIVATE_NAMES]
            message = {**message, "headers": [*kept, *PRIVATE]}
        await send(message)

    return send_privately


PRIVATE: Headers = [(b"cache-control", b"no-store"), (b"referrer-policy", b"no-referrer")]
PRIVATE_NAMES = frozenset(name for name, _ in PRIVATE)


def _below(base: str, path: str) -> str:
    path, _, query = path.partition("?")
    return f"{link(base, path)}?{query}"
