"""The table of specimens and the list of staff, in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request
from pydantic import BaseModel, Field

from .passwords import hash_password

__all__ = [
    "Connection",
    "NewSpecimen",
    "Short",
    "Specimen",
    "add_model",
    "add_specimen",
    "connect",
    "find_specimen",
    "list_specimens",
    "newest_model",
    "prepare",
    "stored_password",
]

SCHEMA = """
CREATE TABLE IF NOT EXISTS staff (name TEXT PRIMARY KEY, password TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS specimens (
    id INTEGER PRIMARY KEY,
    label TEXT NOT NULL,
    bed TEXT NOT NULL,
    species TEXT NOT NULL,
    note TEXT NOT NULL,
    recorded_by TEXT NOT NULL,
    recorded_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS models (
    number INTEGER PRIMARY KEY,
    training TEXT NOT NULL UNIQUE,
    candidate TEXT NOT NULL,
    accuracy REAL NOT NULL,
    trained_by TEXT NOT NULL,
    trained_at TEXT NOT NULL,
    model BLOB NOT NULL
);
"""


Short = Annotated[str, Field(min_length=1, max_length=40)]


class NewSpecimen(BaseModel):
    """A plant as the desk writes it down."""

    label: Annotated[Short, Field(examples=["MW-0004"])]
    bed: Annotated[Short, Field(examples=["Pond"])]
    species: Annotated[str, Field(min_length=1, max_length=80, examples=["Iris versicolor"])]
    note: Annotated[str, Field(max_length=400)] = ""


class Specimen(NewSpecimen):
    """A plant as the table holds it."""

    id: int
    recorded_by: str
    recorded_at: datetime


FIRST_SPECIMENS = (
    NewSpecimen(label="MW-0001", bed="South slope", species="Salvia pratensis", note="Flowering since May."),
    NewSpecimen(label="MW-0002", bed="Pond", species="Caltha palustris"),
    NewSpecimen(label="MW-0003", bed="South slope", species="Leucanthemum vulgare", note="Divide in autumn."),
)


def prepare(path: Path, password: str) -> None:
    """Make and fill the database where there is none yet."""
    with closing(connect(path)) as connection:
        connection.executescript(SCHEMA)
        with connection:  # of several workers that start together, one adds a row and goes on
            first = ("rosa", hash_password(password))
            new = connection.execute("INSERT OR IGNORE INTO staff VALUES (?, ?)", first).rowcount == 1
        for specimen in FIRST_SPECIMENS if new else ():
            add_specimen(connection, specimen, recorded_by="rosa")


def list_specimens(connection: sqlite3.Connection) -> list[Specimen]:
    """All specimens, the newest first."""
    rows = connection.execute("SELECT * FROM specimens ORDER BY id DESC")
    return [Specimen.model_validate(dict(row)) for row in rows]


def find_specimen(connection: sqlite3.Connection, specimen_id: int) -> Specimen | None:
    """The specimen with this number, if there is one."""
    row = connection.execute("SELECT * FROM specimens WHERE id = ?", (specimen_id,)).fetchone()
    return Specimen.model_validate(dict(row)) if row else None


def add_specimen(connection: sqlite3.Connection, specimen: NewSpecimen, *, recorded_by: str) -> Specimen:
    """Write a specimen down and answer it as it was stored."""
    with connection:
        row = connection.execute(
            "INSERT INTO specimens (label, bed, species, note, recorded_by, recorded_at)"
            " VALUES (:label, :bed, :species, :note, :recorded_by, :recorded_at) RETURNING *",
            specimen.model_dump() | {"recorded_by": recorded_by, "recorded_at": datetime.now(UTC).isoformat()},
        ).fetchone()
    return Specimen.model_validate(dict(row))


def add_model(
    connection: sqlite3.Connection, training: str, candidate: str, accuracy: float, trained_by: str, model: bytes
) -> int:
    """Store what a training gave, unless it is there already; its number."""
    stored = (training, candidate, accuracy, trained_by, datetime.now(UTC).isoformat(), model)
    with connection:
        connection.execute(
            "INSERT INTO models (training, candidate, accuracy, trained_by, trained_at, model)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (training) DO NOTHING",
            stored,
        )
    (number,) = connection.execute("SELECT number FROM models WHERE training = ?", (training,)).fetchone()
    return int(number)


def newest_model(path: Path) -> bytes | None:
    """The model that was stored last, if there is a database, and one in it."""
    if not path.exists():
        return None
    with closing(connect(path)) as connection:
        row = connection.execute("SELECT model FROM models ORDER BY number DESC LIMIT 1").fetchone()
    return bytes(row["model"]) if row else None


def stored_password(connection: sqlite3.Connection, name: str) -> str | None:
    """The password hash of a member of staff, or ``None`` where nobody has that name."""
    row = connection.execute("SELECT password FROM staff WHERE name = ?", (name,)).fetchone()
    return str(row["password"]) if row else None


def connect(path: Path) -> sqlite3.Connection:
    """A connection to the database in ``path``; whoever opens one closes it."""
    # FastAPI may open, use and close it in three threads of its pool, one after the other.
    connection = sqlite3.connect(path, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    return connection


def _connection(request: Request) -> Iterator[sqlite3.Connection]:
    with closing(connect(request.app.state.settings.database)) as connection:
        yield connection


Connection = Annotated[sqlite3.Connection, Depends(_connection)]
"""A connection of the request's own."""
