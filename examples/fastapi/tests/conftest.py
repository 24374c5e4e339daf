"""Meadow under a real uvicorn, once per test session, and clients that are and are not signed in."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

EXAMPLE = Path(__file__).parents[1]
for folder in (EXAMPLE / "tests", EXAMPLE):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from live import LiveServer  # noqa: E402

PASSWORD = "cowslip"
KEY = "a key that only the tests know"


@pytest.fixture(scope="session")
def meadow_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A database in a folder of its own, a password and a key."""
    database = tmp_path_factory.mktemp("meadow") / "meadow.sqlite3"
    return {
        "MEADOW_DATABASE": str(database),
        "MEADOW_PASSWORD": PASSWORD,
        "MEADOW_KEYS": f"tests:{KEY}",
        "MEADOW_PACE": "0.005",
    }


@pytest.fixture(scope="session")
def meadow(meadow_environment: dict[str, str]) -> Iterator[LiveServer]:
    """The running server."""
    with LiveServer(meadow_environment) as server:
        yield server


@pytest.fixture
def visitor(meadow: LiveServer) -> Iterator[httpx.Client]:
    """A client that is not signed in, has no key, and follows no redirects."""
    with httpx.Client(base_url=meadow.url, trust_env=False) as client:
        yield client


@pytest.fixture
def rosa(visitor: httpx.Client) -> httpx.Client:
    """A client that is signed in."""
    answer = visitor.post("/login", data={"name": "rosa", "password": PASSWORD})
    assert answer.status_code == 303, answer.text
    return visitor


@pytest.fixture
def program(visitor: httpx.Client) -> httpx.Client:
    """A client that has the key of the pipelines."""
    visitor.headers["Authorization"] = f"Bearer {KEY}"
    return visitor
