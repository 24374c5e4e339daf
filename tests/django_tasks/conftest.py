from __future__ import annotations

import pytest
from tests.support.carried_jobs import carrying, worker
from tests.support.engines import DJANGO_TASKS, Engine

__all__ = ["carrying", "worker"]


@pytest.fixture(scope="session")
def engine() -> Engine:
    return DJANGO_TASKS


@pytest.fixture(scope="session")
def broker() -> None:
    """Messages are in the project's own database."""
