"""The query of a URL, read within limits."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs

from ..errors import MalformedRequestError
from ..types import Scope

__all__ = ["read_query"]

MAX_FIELDS = 1000


def read_query(scope: Scope) -> Mapping[str, list[str]]:
    """The values by name, empty ones too. Raises ``MalformedRequestError`` for more fields than anybody needs."""
    sent = scope["query_string"].decode("latin-1")
    try:
        return parse_qs(sent, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise MalformedRequestError(f"the query has more than {MAX_FIELDS} fields; send fewer") from None
