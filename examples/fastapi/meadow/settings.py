"""What Meadow is told by its environment."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Settings"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Where Meadow keeps its data, and what it signs sessions with.

    Attributes:
        database: The SQLite file; made and filled with a first few specimens where there is none.
        secret: Signs the session cookie, and links to jobs. Without one every start makes its own, which signs
            everybody out.
        password: The password that the first member of staff, ``rosa``, gets in a new database.
        pace: Seconds that the stand-in for a language model takes for a word.
        jobs: Where jobs are kept, from the moment in which they are asked for: the URL of an SQLite file, or of a
            PostgreSQL.
    """

    database: Path
    secret: str
    password: str
    pace: float
    jobs: str

    @classmethod
    def from_env(cls) -> Settings:
        """Settings from ``MEADOW_DATABASE`` and its like; README.md has a table of them."""
        database = Path(os.environ.get("MEADOW_DATABASE", "meadow.sqlite3")).absolute()
        return cls(
            database=database,
            secret=os.environ.get("MEADOW_SECRET") or secrets.token_hex(32),
            password=os.environ.get("MEADOW_PASSWORD", "bluebell"),
            pace=float(os.environ.get("MEADOW_PACE", "0.05")),
            jobs=os.environ.get("MEADOW_JOBS", f"sqlite:///{database.with_suffix('.jobs')}"),
        )
