"""Jobs across real processes: workers that are killed, told to stop, and poisoned; a web process that only submits."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.support.servers import Server, wait_until
from tests.support.services import shared_postgres
from tests.support.workers import begun, desks, ended, everybody, kinds, record, said, submit, website, worker

from pipemount.testing.hosts.process import serving

pytestmark = pytest.mark.server


class Workers:
    """Those of this module, which share a database; a test has as many as it wants, and may end them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self._running: list[Server] = []

    def up(self, count: int) -> list[Server]:
        """So many, each with two jobs at the same time; those that there are, and new ones."""
        self._running = [each for each in self._running if each.process.poll() is None]
        while len(self._running) < count:
            self._running.append(self._stack.enter_context(worker(self._folder, "--concurrency", "2")))
        assert len(self._running) == count
        return list(self._running)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("jobs")


@pytest.fixture(scope="module")
def web(folder: Path) -> Iterator[Server]:
    with website(folder) as web:
        yield web


@pytest.fixture(scope="module")
def workers(folder: Path) -> Iterator[Workers]:
    with ExitStack() as stack:
        yield Workers(folder, stack)


def test_jobs_of_a_process_that_is_killed_are_performed_by_others(web: Server, workers: Workers, folder: Path) -> None:
    one, other = workers.up(2)
    ids = [submit(web, name=f"n{number}", steps=30, seconds=0.02) for number in range(6)]
    wait_until(
        lambda: {one.process.pid, other.process.pid} <= {pid for n in range(6) for pid in begun(folder, f"n{n}")}
    )
    one.process.kill()
    one.process.wait(30)
    found = [ended(web, job_id) for job_id in ids]
    assert [job["status"] for job in found] == ["succeeded"] * 6, other.log
    assert {job["attempt"] for job in found} == {1, 2}
    for job in found:
        told = kinds(web, job["job_id"])
        assert told.count("run_completed") == 1
        assert 1 <= told.count("run_started") <= job["attempt"], "a process may end between a claim and its first event"
    assert web.get("/pipelines/counting/info").json()["jobs"] == {"durable": True, "runner": "external"}


def test_a_worker_that_is_told_to_stop_leaves_its_jobs_to_others(web: Server, workers: Workers, folder: Path) -> None:
    [one] = workers.up(1)
    job_id = submit(web, "staying", name="long")
    wait_until(lambda: begun(folder, "long") != [])
    assert one.terminate() == 0, one.log
    job = record(web, job_id)
    assert (job["status"], job["attempt"], job["cancel_requested"]) == ("queued", 0, False)
    (folder / "long.go").touch()
    workers.up(1)
    job = ended(web, job_id)
    assert (job["status"], job["attempt"]) == ("succeeded", 1), "the attempt that was cut short went on"
    assert kinds(web, job_id).count("run_started") == 2
    assert kinds(web, job_id).count("run_cancelled") == 0


def test_a_job_that_kills_its_processes_fails_the_third_time_and_harms_nobody(
    web: Server, workers: Workers, folder: Path
) -> None:
    [first] = workers.up(1)
    victim = submit(web, "staying", name="victim")
    wait_until(lambda: begun(folder, "victim") != [])
    deadly = submit(web, "poison", name="deadly")
    wait_until(lambda: begun(folder, "deadly") != [])
    (folder / "go").touch()
    assert first.process.wait(30) == -signal.SIGKILL
    (folder / "victim.go").touch()
    [second] = workers.up(1)
    neighbours = [submit(web, name=f"neighbour-{number}", steps=50, seconds=0.02) for number in range(3)]
    job = ended(web, deadly)
    assert (job["status"], job["error"]["code"], job["attempt"]) == ("failed", "worker-lost", 3), second.log
    assert kinds(web, deadly)[-1] == "run_failed"
    for job_id in (victim, *neighbours):
        assert ended(web, job_id)["status"] == "succeeded"
    assert [record(web, job_id)["attempt"] for job_id in neighbours] == [1, 1, 1]
    assert second.process.poll() is None
    pids = [first.process.pid, *begun(folder, "deadly")[1:]]
    assert begun(folder, "deadly") == pids
    assert len(set(pids) - {second.process.pid}) == 3, "twice it was alone in a process of its own"


def test_what_ends_processes_before_they_begin_a_job_again_is_not_its_doing(
    web: Server, workers: Workers, folder: Path
) -> None:
    [first] = workers.up(1)
    job_id = submit(web, "staying", name="innocent")
    wait_until(lambda: begun(folder, "innocent") != [])
    (folder / "hold").touch()
    first.process.kill()
    first.process.wait(30)
    for number in range(2):
        [one] = workers.up(1)
        wait_until(lambda number=number: len(begun(folder, "it")) > number)  # type: ignore[misc]  # bound now
        one.process.kill()
        one.process.wait(30)
    (folder / "innocent.go").touch()
    (folder / "hold").unlink()
    [last] = workers.up(1)
    job = ended(web, job_id)
    assert (job["status"], job["attempt"]) == ("succeeded", 2), (job, last.log)


@pytest.mark.full
def test_a_job_that_is_alone_in_its_process_can_be_cancelled_and_outlives_its_worker(tmp_path: Path) -> None:
    with website(tmp_path) as web:
        with worker(tmp_path) as first:
            ids = [submit(web, name=name, steps=600, seconds=0.02) for name in ("one", "two")]
            wait_until(lambda: begun(tmp_path, "one") != [] != begun(tmp_path, "two"))
            first.process.kill()
        with worker(tmp_path) as second:
            wait_until(lambda: len(begun(tmp_path, "one")) == 2 == len(begun(tmp_path, "two")))
            assert begun(tmp_path, "two")[1] != second.process.pid
            assert web.post(f"/jobs/{ids[0]}/cancel", None).status == 200
            job = ended(web, ids[0])
            assert (job["status"], job["reason"]) == ("cancelled", "cancelled on request"), second.log
            with worker(tmp_path):  # which looks for what the second one leaves behind
                second.process.kill()
                job = ended(web, ids[1])
            assert (job["status"], job["attempt"]) == ("succeeded", 2), "what ended its worker was not its doing"


@pytest.mark.full
def test_a_cancel_reaches_the_worker(tmp_path: Path) -> None:
    with website(tmp_path) as web, worker(tmp_path) as one:
        job_id = submit(web, name="long", steps=3000, seconds=0.02)
        wait_until(lambda: begun(tmp_path, "long") != [])
        assert web.post(f"/jobs/{job_id}/cancel", None).json()["status"] == "cancelling"
        job = ended(web, job_id)
        assert (job["status"], job["reason"]) == ("cancelled", "cancelled on request"), one.log
        assert kinds(web, job_id)[-1] == "run_cancelled"


@pytest.mark.full
def test_a_worker_takes_jobs_only_from_the_queues_it_is_given(tmp_path: Path) -> None:
    with website(tmp_path) as web, worker(tmp_path, "--queue", "night"):
        job_id = submit(web, name="day")
        with worker(tmp_path, "--queue", "default"):
            assert ended(web, job_id)["status"] == "succeeded"


def test_a_child_that_a_job_forks_is_idle_and_keeps_nothing_of_its_parents(
    web: Server, workers: Workers, folder: Path
) -> None:
    running = {each.process.pid: each for each in workers.up(2)}
    try:
        assert ended(web, submit(web, "forking", name="fork"))["status"] == "succeeded"
        parent, child = begun(folder, "fork")
        assert parent in running
        assert len(list(Path(f"/proc/{child}/task").iterdir())) == 1, "nothing of ours runs in it"
        names = [f"left{number}" for number in range(4)]  # two in each of the workers
        ids = [submit(web, name=name, steps=50, seconds=0.02) for name in names]
        wait_until(lambda: all(begun(folder, name) for name in names))
        assert {pid for name in names for pid in begun(folder, name)} == set(running), "none of them in the child"
        running[parent].process.kill()
        jobs = [ended(web, job_id) for job_id in ids]
        assert [job["status"] for job in jobs] == ["succeeded"] * 4
        assert sorted(job["attempt"] for job in jobs) == [1, 1, 2, 2]
        assert Path(f"/proc/{child}").exists(), "it lives on, and holds up nobody"
    finally:
        (folder / "leave").touch()


@pytest.mark.full
def test_a_worker_that_is_paused_longer_than_its_lease_changes_nothing_when_it_goes_on(tmp_path: Path) -> None:
    env = {"DATABASE": shared_postgres().new_schema(), "LEASE": "3"}
    with website(tmp_path, env=env) as web, worker(tmp_path, env=env) as one:
        job_id = submit(web, name="paused", steps=100, seconds=0.02)
        wait_until(lambda: begun(tmp_path, "paused") != [])
        one.process.send_signal(signal.SIGSTOP)
        with worker(tmp_path, env=env):
            wait_until(lambda: len(begun(tmp_path, "paused")) == 2)
            one.process.send_signal(signal.SIGCONT)
            job = ended(web, job_id)
            assert (job["status"], job["attempt"]) == ("succeeded", 2), one.log
            told = kinds(web, job_id)
            assert (told.count("run_started"), told.count("run_completed")) == (2, 1)
            assert said(web, job_id)[-100:] == list(range(100)), "nothing of the paused one is among it"
        assert len(begun(tmp_path, "paused")) == 2
        after = submit(web, name="after")
        assert ended(web, after)["status"] == "succeeded", "the paused one works on"
        assert begun(tmp_path, "after") == [one.process.pid]


def test_nothing_is_begun_before_a_fork(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gunicorn", "desks:application", "--preload", "-w", "2", "--threads", "4"]
    command += ["-b", "127.0.0.1:{port}", "--worker-class", "gthread"]
    with serving(command, folder=tmp_path, env=desks()) as server:
        assert not (tmp_path / "jobs.db").exists()
        threads = list(Path(f"/proc/{server.process.pid}/task").iterdir())
        assert len(threads) == 1, "the process that forks has no thread of ours"
        ids = [submit(server, name=f"n{number}") for number in range(20)]
        assert {ended(server, job_id)["status"] for job_id in ids} == {"succeeded"}, server.log
        assert server.process.pid not in everybody(tmp_path)
        assert server.terminate() == 0, server.log
