"""What is true of jobs that an engine carries, whichever it is: one suite, over all of them.

A module that derives from it has fixtures ``engine`` and ``broker`` of its own, and those of this one. The tests are in
the order in which they are to run.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.brokers import Broker
from tests.support.carrying import Carrying, Worker
from tests.support.engines import Engine
from tests.support.servers import wait_until

__all__ = ["Flushed", "Killed", "Performed", "carrying", "worker"]


@pytest.fixture(scope="module")
def carrying(engine: Engine, broker: Broker | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Carrying]:
    """A web process, with jobs in a file."""
    folder = tmp_path_factory.mktemp("carried")
    url = "" if broker is None else broker.url
    with Carrying(engine, url, f"sqlite:///{folder}/jobs.db", folder).serving() as carrying:
        yield carrying


@pytest.fixture(scope="module")
def worker(carrying: Carrying) -> Iterator[Worker]:
    """One for those tests that ask for it."""
    with carrying.worker() as worker:
        yield worker


class Flushed:
    """What is lost on the way, and what comes twice."""

    def test_broker_flushed_and_each_message_sent_twice(
        self, carrying: Carrying, request: pytest.FixtureRequest
    ) -> None:
        names = [f"twice-{number}" for number in range(12)]
        jobs = [carrying.submit("counting", name=name, total=3) for name in names]
        expired = carrying.submit("counting", expires=0.1, name="expired")
        with carrying.watched(jobs):
            assert carrying.ended(expired)["error"]["code"] == "job-expired"
            carrying.flush()
            carrying.deliver(expired)
            for job_id in jobs[::3]:
                carrying.deliver(job_id, times=2)
            request.getfixturevalue("worker")
            for job_id in jobs[1::3]:  # whoever has it by now; the others' messages stay lost
                carrying.deliver(job_id, times=2)
            assert {carrying.ended(job_id)["status"] for job_id in jobs} == {"succeeded"}
        for job_id in jobs:  # once more, when all is over
            carrying.deliver(job_id)
        last = carrying.submit("counting", name="twice-last")
        assert carrying.ended(last)["status"] == "succeeded"
        with carrying.watched(jobs):
            assert {carrying.begun()[name] for name in [*names, "twice-last"]} == {1}
        assert "expired" not in carrying.begun()


class Performed:
    """What workers do with what comes."""

    def test_a_job_is_performed_by_a_worker_and_its_events_are_read_while_they_come(
        self, carrying: Carrying, worker: Worker
    ) -> None:
        job_id = carrying.submit("counting", name="watched", total=40, pause=0.02)
        with carrying.web.stream(f"/jobs/{job_id}/events") as stream:
            first = [stream.told() for _ in range(4)]
            assert carrying.job(job_id)["status"] == "running", "events come before the job has ended"
            told = first + stream.all_told()
        assert [each.number for each in told] == list(range(1, len(told) + 1))
        assert told[-1].kind == "run_completed"
        assert carrying.job(job_id)["outputs"] == {"output": "watched"}

    def test_cancel_reaches_the_worker(self, carrying: Carrying, worker: Worker) -> None:
        job_id = carrying.submit("counting", name="cancelled", total=10_000, pause=0.05)
        carrying.until_begun("cancelled")
        assert carrying.web.post(f"/jobs/{job_id}/cancel", {}).status == 200
        assert carrying.ended(job_id)["status"] == "cancelled"
        assert carrying.ended(carrying.submit("counting", name="after"))["status"] == "succeeded"


class Killed:
    """What becomes of jobs when workers come to an end; the last one of a module, as it ends the worker of all."""

    def test_worker_killed_in_the_middle_and_another_one_goes_on(self, carrying: Carrying, worker: Worker) -> None:
        job_id = carrying.submit("waiting", name="lost")
        with carrying.watched([job_id]):
            carrying.until_begun("lost")
            worker.kill()
            waits = carrying.submit("counting", name="waits")
            with carrying.worker(), carrying.watched([waits]):
                assert {carrying.ended(each)["status"] for each in (job_id, waits)} == {"succeeded"}
        assert (carrying.begun()["lost"], carrying.begun()["waits"]) == (2, 1)
        assert (carrying.job(job_id)["attempt"], carrying.job(waits)["attempt"]) == (2, 1)

    @pytest.mark.full
    def test_a_worker_without_the_pipeline_leaves_the_job_to_another(self, carrying: Carrying) -> None:
        with carrying.worker(PIPELINES="stubborn") as wrong:
            job_id = carrying.submit("counting", name="elsewhere")
            wait_until(lambda: "a job of the pipeline 'counting' came to a worker that does not have it" in wrong.log)
            assert carrying.job(job_id)["status"] == "queued"
        with carrying.worker(), carrying.watched([job_id]):
            assert carrying.ended(job_id)["status"] == "succeeded"

    @pytest.mark.full
    def test_a_job_that_kills_its_worker_is_performed_alone(self, carrying: Carrying) -> None:
        with carrying.worker():
            job_id = carrying.submit("killing", name="deadly-once")
            carrying.until_begun("deadly-once")
            with carrying.worker():
                assert carrying.ended(job_id)["status"] == "succeeded"
        assert carrying.begun()["deadly-once"] == 2

    @pytest.mark.full
    def test_a_worker_that_is_told_to_end_finishes_what_it_has_begun(self, carrying: Carrying) -> None:
        with carrying.worker() as worker:
            job_id = carrying.submit("counting", name="finished", total=20, pause=0.05)
            carrying.until_begun("finished")
            assert worker.end() == 0
            assert (carrying.job(job_id)["status"], carrying.job(job_id)["attempt"]) == ("succeeded", 1)

    @pytest.mark.full
    @pytest.mark.timeout(240)
    def test_workers_killed_broker_flushed_and_all_sent_twice_while_jobs_run(self, carrying: Carrying) -> None:
        names = [f"chaos-{number}" for number in range(30)]
        jobs = [carrying.submit("counting", name=name, total=10, pause=0.05) for name in names]
        with carrying.watched(jobs):
            with carrying.worker() as first, carrying.worker():
                for number, job_id in enumerate(jobs):
                    carrying.deliver(job_id, times=2)
                    if number == 10:
                        first.kill()
                carrying.flush()
            with carrying.worker():  # the second kill: a third one could end a job
                assert {carrying.ended(job_id)["status"] for job_id in jobs} == {"succeeded"}
        again = carrying.begun()
        assert all(1 <= again[name] <= 3 for name in names)
