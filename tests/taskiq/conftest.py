from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.brokers import Broker, redis
from tests.support.carried_jobs import carrying, worker
from tests.support.engines import TASKIQ, Engine

__all__ = ["carrying", "worker"]


@pytest.fixture(scope="session")
def engine() -> Engine:
    return TASKIQ


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with redis("taskiq", "taskiq_redis") as broker:
        yield broker
