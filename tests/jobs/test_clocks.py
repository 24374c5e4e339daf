"""Wall clocks that jump by an hour while jobs run: no job is stolen, none is lost, none waits for the hour to pass."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.servers import wait_until
from tests.support.services import shared_postgres
from tests.support.workers import begun, ended, kinds, record, submit, website, worker

pytestmark = pytest.mark.server

SHIFTED = Path(__file__).parents[1] / "support" / "shifted"


class Clock:
    """What the wall clock of some processes says, beside what the machine's does."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.env = {"PYTHONPATH": str(SHIFTED), "CLOCK": str(path)}
        self.jump(0)

    def jump(self, seconds: int) -> None:
        """In one go: whoever reads sees the one or the other."""
        new = self._path.with_suffix(".new")
        new.write_text(str(seconds))
        new.rename(self._path)


@pytest.mark.parametrize(
    ("store", "whose"),
    [
        ("sqlite", "everybody's"),
        pytest.param("postgres", "one worker's", marks=pytest.mark.full),
        pytest.param("sqlite", "one worker's", marks=pytest.mark.full),
        pytest.param("postgres", "everybody's", marks=pytest.mark.full),
    ],
)
def test_a_clock_that_jumps_by_an_hour_steals_no_job_and_loses_none(store: str, whose: str, tmp_path: Path) -> None:
    database = {"DATABASE": "sqlite:///jobs.db" if store == "sqlite" else shared_postgres().new_schema()}
    clock, still = Clock(tmp_path / "clock"), Clock(tmp_path / "still")
    jumping, others = {**database, **clock.env}, {**database, **(clock if whose == "everybody's" else still).env}
    with (
        website(tmp_path, env=others) as web,
        worker(tmp_path, "--concurrency", "3", env=jumping) as one,
        worker(tmp_path, "--concurrency", "3", env=others) as other,
    ):
        ids = [submit(web, name=f"long{number}", steps=40, seconds=0.05) for number in range(4)]
        wait_until(lambda: all(begun(tmp_path, f"long{number}") for number in range(4)))
        for seconds in (3600, -3600, 0):
            short = [submit(web, name=f"short{seconds}", steps=10) for _ in range(6)]  # due at once, whatever it says
            clock.jump(seconds)
            assert {ended(web, job_id)["status"] for job_id in short} == {"succeeded"}
        for job_id in ids:
            job = ended(web, job_id)
            assert (job["status"], job["attempt"]) == ("succeeded", 1), one.log + other.log
            assert kinds(web, job_id).count("run_started") == 1
        for number in range(4):
            assert len(begun(tmp_path, f"long{number}")) == 1
        assert {one.process.pid, other.process.pid} == {pid for n in range(4) for pid in begun(tmp_path, f"long{n}")}


@pytest.mark.full
def test_what_a_killed_process_left_is_taken_back_at_once_whatever_the_clocks_say(tmp_path: Path) -> None:
    clock = Clock(tmp_path / "clock")
    with website(tmp_path) as web, worker(tmp_path, env=clock.env) as one:
        clock.jump(3600)
        job_id = submit(web, name="left", steps=100)
        wait_until(lambda: begun(tmp_path, "left") != [])
        clock.jump(-3600)
        one.process.kill()
        with worker(tmp_path, env=clock.env):
            assert ended(web, job_id)["status"] == "succeeded"
        assert record(web, job_id)["attempt"] == 2
