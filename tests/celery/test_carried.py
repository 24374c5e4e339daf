"""Jobs carried by Celery: a real broker, a real worker, a web process."""

from __future__ import annotations

import os

import pytest
from tests.support.carried_jobs import Flushed, Killed, Performed
from tests.support.carrying import Carrying, Worker
from tests.support.servers import wait_until

pytestmark = pytest.mark.server


class TestFlushed(Flushed):
    """On Redis."""


class TestPerformed(Performed):
    """What comes to the worker of this module."""


class TestProcesses:
    """What only Celery does: a worker has processes, and ends one of them."""

    def test_one_that_dies_takes_only_its_own_job_with_it(self, carrying: Carrying, worker: Worker) -> None:
        first = carrying.submit("killing", name="deadly")
        others = [carrying.submit("counting", name=f"neighbour-{number}") for number in range(4)]
        assert {carrying.ended(job_id)["status"] for job_id in (first, *others)} == {"succeeded"}
        assert worker.process.poll() is None
        assert carrying.begun()["deadly"] == 2

    def test_those_that_do_not_heed_a_cancel_or_a_timeout_are_ended_after_the_grace(
        self, carrying: Carrying, worker: Worker
    ) -> None:
        deaf = carrying.submit("stubborn", name="deaf", seconds=600)
        late = carrying.submit("stubborn", name="late", seconds=600, timeout=0.5)
        carrying.until_begun("deaf")
        carrying.until_begun("late")
        pids = [int((carrying.folder / f"{name}.pid").read_text()) for name in ("deaf", "late")]
        carrying.web.post(f"/jobs/{deaf}/cancel", {})
        assert carrying.ended(deaf)["status"] == "cancelled"
        job = carrying.ended(late)
        assert (job["status"], job["error"]["code"]) == ("failed", "deadline-exceeded")
        wait_until(lambda: not any(exists(pid) for pid in pids))
        assert carrying.ended(carrying.submit("counting", name="next"))["status"] == "succeeded"
        assert worker.process.poll() is None
        assert (carrying.begun()["deaf"], carrying.begun()["late"]) == (1, 1)
        assert carrying.job(late)["status"] == "failed", "its process was ended, which is no crash of the job"


class TestKilled(Killed):
    """The last tests: the worker of the others is killed."""


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
