"""Who sends a request, and whether they may: decided from its headers, before its body is read."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from ..auth.keys import AuthKeys
from ..auth.tokens import Tokens
from ..errors import ForbiddenError, UnauthenticatedError
from ..types import Principal
from .exchange import Exchange
from .handover import handed_over
from .origin import refuse_foreign
from .table import Entry
from .tokens import bearer, shows_token

__all__ = ["Gate"]


class Gate(NamedTuple):
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
        host, permission = handed_over(exchange.scope), entry.permission
        principal = host.principal
        if permission is None:
            if principal is not None and not host.token_checked:
                refuse_foreign(exchange.scope, self.trusted_origins, vouched=True)
            return principal
        if entry.takes_token and shows_token(exchange.scope):
            return bearer(exchange, self.tokens, permission, keyed=self.auth is not None)
        headers = exchange.headers
        by_key = self.auth is not None and headers.presents_key
        if self.auth is not None and (by_key or principal is None):
            principal = self.auth.authenticate(headers.authorization, headers.api_key, duplicated=headers.duplicated)
        elif principal is None and host.guarded:
            raise ForbiddenError(permission=permission, principal=None)
        vouched = host.principal is not None
        by_itself = vouched or headers.cookie is not None or headers.authorization is not None
        if by_itself and not host.token_checked and not (by_key and headers.is_deliberate):
            refuse_foreign(exchange.scope, self.trusted_origins, vouched=vouched)
        if principal is not None and not principal.may(permission):
            raise ForbiddenError(permission=permission, principal=principal.name)
        return principal

    def still_holds(self, exchange: Exchange) -> bool:
        """Whether the key or the token that let a request in would do so now. A host's login is not asked again."""
        headers, allowed = exchange.headers, exchange.principal
        try:
            if exchange.token is not None:
                self.tokens.verify(exchange.token)
            elif self.auth is not None and headers.presents_key and allowed is not None:
                found = self.auth.authenticate(headers.authorization, headers.api_key)
                return found.permissions >= allowed.permissions
        except UnauthenticatedError:
            return False
        return True
