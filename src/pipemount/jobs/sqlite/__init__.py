"""The store in an SQLite database. Imported only by apps whose jobs are kept in one."""

from .store import SQLiteStore

__all__ = ["SQLiteStore"]
