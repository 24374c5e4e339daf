"""Where the database is, as its URL says it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from ...errors import ConfigurationError

__all__ = ["Address"]

SCHEMA = "pipemount"

CONNECTIONS = 8

DEFAULTS = {
    "application_name": "pipemount",
    "connect_timeout": "5",
    **{"keepalives_idle": "10", "keepalives_interval": "5", "keepalives_count": "3"},
    "tcp_user_timeout": "20000",
}
"""Without these a host that vanished is waited for as long as the kernel likes: for hours."""


@dataclass(frozen=True, slots=True)
class Address:
    """A database, and what is ours in it.

    Attributes:
        parameters: Of libpq; a password may be among them.
        schema: In which the tables are.
        connections: How many are open at most, beside the one that listens.
    """

    parameters: dict[str, Any] = field(repr=False)
    schema: str = SCHEMA
    connections: int = CONNECTIONS

    @classmethod
    def of(cls, url: str) -> Address:
        """What ``postgresql://user:password@host:5432/database?schema=jobs&connections=4`` says.

        All that libpq knows may be there (``sslmode``, ``options``, several hosts). Raises ``ConfigurationError``.
        """
        place, _, query = url.partition("?")  # a plus stands for itself there
        options = dict(parse_qsl(query.replace("+", "%2B"), keep_blank_values=True))
        schema, connections = options.pop("schema", SCHEMA), options.pop("connections", str(CONNECTIONS))
        if not re.fullmatch("[a-z_][a-z0-9_]{0,62}", schema):
            raise ConfigurationError(f"schema={schema!r} of the jobs' database: small letters, digits, _")
        if not re.fullmatch("[1-9][0-9]{0,2}", connections):
            raise ConfigurationError(f"connections={connections!r} of the jobs' database: a number from 1 to 999")
        try:
            parameters = conninfo_to_dict(f"{place}?{urlencode(options, quote_via=quote)}")
        except ProgrammingError as error:  # its words do not repeat the URL
            raise ConfigurationError(f"the URL of the jobs' database cannot be read: {str(error).strip()}") from None
        return cls({**DEFAULTS, **parameters}, schema, int(connections))

    def __str__(self) -> str:
        """Without the password."""
        said = self.parameters
        return f"{said.get('dbname', '')!r} at {said.get('host', 'the default host')}:{said.get('port', '5432')}"
