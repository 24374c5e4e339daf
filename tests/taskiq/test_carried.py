"""Jobs carried by Taskiq: a real broker, a real worker, a web process."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.brokers import redis
from tests.support.carried_jobs import Flushed, Killed, Performed
from tests.support.carrying import Carrying
from tests.support.engines import TASKIQ

pytestmark = pytest.mark.server


@pytest.mark.full
class TestFlushed(Flushed):
    """On Redis."""


class TestPerformed(Performed):
    """What comes to the worker of this module."""


@pytest.mark.full
class TestKilled(Killed):
    """The last tests: the worker of the others is killed."""


@pytest.mark.full
def test_a_broker_that_is_away_keeps_nobody_from_submitting(tmp_path: Path) -> None:
    with redis("taskiq", "taskiq_redis") as broker:
        folder = f"sqlite:///{tmp_path}/jobs.db"
        with Carrying(TASKIQ, broker.url, folder, tmp_path).serving() as carrying:
            with carrying.worker():
                assert carrying.ended(carrying.submit("counting", name="before"))["status"] == "succeeded"
            broker.kill()
            meanwhile = [carrying.submit("counting", name=f"meanwhile-{number}") for number in range(3)]
            broker.start()
            with carrying.worker(), carrying.watched(meanwhile):
                assert {carrying.ended(job_id)["status"] for job_id in meanwhile} == {"succeeded"}
        assert set(carrying.begun().values()) == {1}
