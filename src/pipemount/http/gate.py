"""Who sends a request, and whether they may: decided from its headers, before its body is read."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ..auth.keys import AuthKeys
from ..auth.tokens import Tokens
from ..errors import ForbiddenError, UnauthenticatedError
from ..types import Principal
from .exchange import Exchange
from .handover import handed_over
from .headers import DUPLICATED, presents_key
from .origin import refuse_foreign
from .table import Entry
from .tokens import bearer, shows_token

__all__ = ["Gate"]


@dataclass(frozen=True, slots=True)
class Gate:
    """What decides it."""

    auth: AuthKeys | None
    tokens: Tokens
    trusted_origins: Collection[str]

    def identify(self, exchange: Exchange, entry: Entry) -> Principal | None:
        """Who is calling, and that they may. Decided from the headers, or from a token in the query.

        A user for whom the host vouches needs no key; a key or a token that is sent all the same is checked.

        Raises:
            UnauthenticatedError, ForbiddenError, CrossOriginError: They may not.
        """
        host, permission, headers = handed_over(exchange.scope), entry.permission, exchange.headers
        principal = host.principal
        if permission is None:
            if principal is not None and not host.token_checked:
                refuse_foreign(exchange.scope["method"], headers, self.trusted_origins, vouched=True)
            return principal
        if entry.takes_token and shows_token(exchange.scope):
            return bearer(exchange, self.tokens, permission, keyed=self.auth is not None)
        auth, vouched = self.auth, principal is not None
        authorization, api_key = headers.get(b"authorization"), headers.get(b"x-api-key")
        if auth is not None and (not vouched or authorization is not None or api_key is not None):
            principal = auth.authenticate(authorization, api_key, duplicated=DUPLICATED in headers)
        elif not vouched and host.guarded:
            raise ForbiddenError(permission=permission, principal=None)
        if (b"origin" in headers or b"sec-fetch-site" in headers) and not host.token_checked:
            refuse_foreign(exchange.scope["method"], headers, self.trusted_origins, vouched=vouched)
        if principal is not None and not principal.may(permission):
            raise ForbiddenError(permission=permission, principal=principal.name)
        return principal

    def still_holds(self, exchange: Exchange) -> bool:
        """Whether the key or the token that let a request in would do so now. A host's login is not asked again."""
        headers, allowed = exchange.headers, exchange.principal
        try:
            if exchange.token is not None:
                self.tokens.verify(exchange.token)
            elif self.auth is not None and presents_key(headers) and allowed is not None:
                found = self.auth.authenticate(headers.get(b"authorization"), headers.get(b"x-api-key"))
                return found.permissions >= allowed.permissions
        except UnauthenticatedError:
            return False
        return True
