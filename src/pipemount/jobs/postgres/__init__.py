"""Jobs in a PostgreSQL database, for several hosts. Imported where an app names one, and nowhere else."""

from ...errors import ConfigurationError

try:
    import psycopg  # noqa: F401  whether it is there is said at once, and by one sentence
except ImportError as error:
    raise ConfigurationError("jobs in PostgreSQL need an extra: pip install 'pipemount[postgres]'") from error

from .store import PostgresStore

__all__ = ["PostgresStore"]
