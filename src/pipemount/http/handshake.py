"""The handshake of a WebSocket: who may open one, and how the others are told why not.

Everything is decided before it is accepted (RFC 6455, 4.2.2): from which origin the page is, whose key, token or login
came along. What the visitor may do is asked of each message then, and whether the key still holds as well.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

from ..auth.keys import AuthKeys
from ..errors import ForbiddenError, MalformedRequestError, PipemountError
from ..types import Principal, Scope, Send
from .handover import handed_over
from .headers import DUPLICATED, RequestHeaders, presents_key
from .origin import refuse_foreign_socket
from .problems import problem
from .tokens import shows_token, take_token

__all__ = ["Guards", "Visitor", "admit", "refuse"]

FORBIDDEN = 1008
"""Before a socket is accepted servers answer 403, whatever the code."""


class Visitor:
    """Who is at the other end of a socket.

    Attributes:
        principal: As which the jobs are asked for; ``None`` where nobody is asked who he is.
    """

    __slots__ = ("_identify", "principal")

    def __init__(self, identify: Callable[[], Principal | None]) -> None:
        self._identify = identify
        self.principal = identify()

    def check(self) -> None:
        """Raises ``UnauthenticatedError`` when the key or the token has ended since."""
        self.principal = self._identify()

    def check_may(self, permission: str, job_id: str | None = None) -> None:
        """Raises ``ForbiddenError`` unless the visitor may do that, with this job if one is named."""
        self.check()
        principal = self.principal
        if principal is None:
            return
        if not principal.may(permission) or principal.job_id not in (None, job_id):
            raise ForbiddenError(permission=permission, principal=principal.name)


class Guards(NamedTuple):
    """What a visitor has to pass.

    Attributes:
        keys: Of the app; ``None`` where everybody may come in.
        verify: Tells whose a signed token is.
        trusted: Origins beside the app's own.
    """

    keys: AuthKeys | None
    verify: Callable[[str], Principal]
    trusted: Collection[str]


def admit(scope: Scope, headers: RequestHeaders, guards: Guards) -> Visitor:
    """Whoever asks for a socket, if he may have one.

    Raises:
        CrossOriginError: A page of a foreign origin asks, with nothing that only its author can know.
        UnauthenticatedError: No key, no token, or none of this app's.
        ForbiddenError: The host lets nobody in whom it does not know.
        MalformedRequestError: Two credentials.
    """
    keys, host = guards.keys, handed_over(scope)
    by_key = keys is not None and presents_key(headers)
    if shows_token(scope):
        token = take_token(scope)
        if by_key:
            raise MalformedRequestError("two credentials in one request; send a key or a token")
        return Visitor(lambda: guards.verify(token))
    refuse_foreign_socket(headers, guards.trusted, vouched=host.principal is not None)
    if keys is not None and (by_key or host.principal is None):
        authorization, api_key = headers.get(b"authorization"), headers.get(b"x-api-key")
        duplicated = DUPLICATED in headers
        return Visitor(lambda: keys.authenticate(authorization, api_key, duplicated=duplicated))
    if host.principal is None and host.guarded:
        raise ForbiddenError(permission="read", principal=None)
    return Visitor(lambda: host.principal)


async def refuse(scope: Scope, send: Send, error: PipemountError, instance: str) -> None:
    """Answer a handshake with a problem document, where the server can send one; else it answers 403."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": FORBIDDEN})
        return
    status, headers, body = problem(error, instance=instance)
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})
