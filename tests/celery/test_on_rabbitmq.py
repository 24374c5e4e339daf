"""Jobs carried by Celery over RabbitMQ."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.brokers import Broker, rabbitmq
from tests.support.carried_jobs import Flushed, Killed, Performed

pytestmark = [pytest.mark.server, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with rabbitmq("celery") as broker:
        yield broker


class TestFlushed(Flushed):
    """The bounded form of all."""


@pytest.mark.full
class TestPerformed(Performed):
    """What comes to the worker of this module."""


@pytest.mark.full
class TestKilled(Killed):
    """The last tests: the worker of the others is killed."""
