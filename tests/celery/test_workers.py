"""What Celery's workers and its broker do that no other engine's do, and where jobs are."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.brokers import Broker, redis
from tests.support.carrying import Carrying
from tests.support.engines import CELERY
from tests.support.servers import wait_until
from tests.support.services import shared_postgres

pytestmark = [pytest.mark.server, pytest.mark.full]


def all_well(carrying: Carrying, jobs: list[str]) -> None:
    with carrying.watched(jobs):
        assert {carrying.ended(job_id)["status"] for job_id in jobs} == {"succeeded"}


def crashes(carrying: Carrying, job_id: str) -> int:
    with closing(sqlite3.connect(f"file:{carrying.folder}/jobs.db?mode=ro", uri=True)) as connection:
        [found] = connection.execute("SELECT crashes FROM jobs WHERE id = ?", [job_id]).fetchone()
        return int(found)


def test_in_postgres_a_dead_workers_job_is_taken_over_when_its_lease_is_over(broker: Broker, tmp_path: Path) -> None:
    with Carrying(CELERY, broker.url, shared_postgres().new_schema(), tmp_path).serving() as carrying:
        with carrying.worker() as worker:
            job_id = carrying.submit("waiting", name="lost")
            carrying.until_begun("lost")
            worker.kill()
        with carrying.worker():
            all_well(carrying, [job_id])
        assert (carrying.begun()["lost"], carrying.job(job_id)["attempt"]) == (2, 2)


def test_a_broker_that_is_killed_and_started_again_while_jobs_run_loses_none(tmp_path: Path) -> None:
    with redis("celery") as broker:
        with (
            Carrying(CELERY, broker.url, f"sqlite:///{tmp_path}/jobs.db", tmp_path).serving() as carrying,
            carrying.worker(),
        ):
            all_well(carrying, [carrying.submit("counting", name="before")])
            under_way = [
                carrying.submit("counting", name=f"runs-{number}", total=40, pause=0.05) for number in range(2)
            ]
            carrying.until_begun("runs-0")
            carrying.until_begun("runs-1")
            waiting = [carrying.submit("counting", name=f"waits-{number}") for number in range(6)]  # their messages go
            broker.kill()
            meanwhile = [carrying.submit("counting", name=f"meanwhile-{number}") for number in range(3)]
            broker.start()
            with carrying.worker():  # as who watches over workers starts one for one that ends without its broker
                all_well(carrying, [*under_way, *waiting, *meanwhile])
        assert set(carrying.begun().values()) == {1}


@pytest.mark.parametrize("pool", [("--pool", "threads", "--concurrency", "3"), ("--pool", "solo")])
def test_workers_that_do_not_fork_perform_jobs_as_well(carrying: Carrying, pool: tuple[str, ...]) -> None:
    with carrying.worker(*pool) as worker:
        all_well(carrying, [carrying.submit("counting", name=f"{pool[1]}-{number}") for number in range(3)])
        assert worker.end() == 0


def test_workers_whose_threads_are_none_are_refused(carrying: Carrying) -> None:
    pytest.importorskip("gevent")
    with carrying.worker("--pool", "gevent", ready=False) as worker:
        worker.process.wait(30)
        assert "pipelines need real threads" in worker.log


def test_a_worker_that_is_told_to_hurry_gives_back_what_it_has_begun(carrying: Carrying) -> None:
    with carrying.worker() as worker:
        job_id = carrying.submit("counting", name="hurried", total=10_000, pause=0.05)
        carrying.until_begun("hurried")
        worker.end(signal.SIGQUIT)
        wait_until(lambda: carrying.job(job_id)["status"] == "queued")
        assert crashes(carrying, job_id) == 0
        carrying.web.post(f"/jobs/{job_id}/cancel", {})
        assert carrying.ended(job_id)["status"] == "cancelled"
