"""Jobs in processes of their own, as far as it needs no other process."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from tests.support.stores import Database, Kept

from pipemount import PipelineApp, Settings, pipeline, step
from pipemount.jobs import alone, room
from pipemount.jobs.alone import Alone
from pipemount.jobs.models import Job, JobRequest, Lease, Outcome
from pipemount.jobs.work import Work
from pipemount.testing.hosts.process import environment


def job(number: int) -> Lease:
    request = JobRequest(job_id=f"j{number}", pipeline="sum", fingerprint="", inputs=b"{}")
    return Lease(Job(request=request, status="running", created=0.0, crashes=1), 1)


async def test_there_are_not_too_many_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    under_way: list[str] = []
    most = 0
    ends = asyncio.Event()

    async def performed(self: Alone, target: str, lease: Lease, work: Work) -> str:
        nonlocal most
        under_way.append(lease.job.id)
        most = max(most, len(under_way))
        await ends.wait()
        under_way.remove(lease.job.id)
        return "done"

    monkeypatch.setattr(alone, "AT_ONCE", 2)
    monkeypatch.setattr(Alone, "_perform", performed)
    one = Alone(lambda: "shop:app", 1.0)
    works = [Work(job(number).job) for number in range(6)]
    tasks = [asyncio.create_task(one.perform(job(number), works[number])) for number in range(6)]
    for _ in range(20):
        await asyncio.sleep(0)
    assert under_way == ["j0", "j1"]
    for number, work in enumerate(works):
        work.placed()
        if number in (2, 5):
            work.cancel("enough")
    assert await asyncio.wait_for(tasks[2], 30) == "crashed", "it was let go of before it began"
    ends.set()
    found: list[Any] = await asyncio.gather(*tasks)
    assert found == ["done", "done", "crashed", "done", "done", "crashed"]
    assert most == 2
    assert one._turns._value == 2, "every turn was given back"


CONFIGURED = "from django.conf import settings; settings.configure()"
FROM_A_MODULE = "import os; os.environ['DJANGO_SETTINGS_MODULE'] = 'django.conf.global_settings'"
SET_UP = "import django; django.setup()"


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (f"{FROM_A_MODULE}; {SET_UP}", ["django:setup"]),
        (f"{CONFIGURED}; {SET_UP}", []),  # the app's module does it again
        ("import django.conf, django.apps", []),
        ("", []),
    ],
)
def test_django_is_set_up_as_it_was_where_that_can_be(before: str, expected: list[str]) -> None:
    script = f"{before}\nfrom pipemount.jobs import room\nprint(room._preparations())"
    done = subprocess.run([sys.executable, "-c", script], env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(expected)


async def test_an_app_that_is_nowhere_to_be_found() -> None:
    assert await Alone(lambda: None, 1.0).perform(job(0), Work(job(0).job)) == "unable"


@pytest.mark.parametrize(
    ("ending", "begun", "expected"),
    [
        ("SIGTERM", False, "unable"),
        ("SIGINT", False, "unable"),
        ("SIGKILL", True, "crashed"),
        ("SIGSEGV", True, "crashed"),
        ("SIGKILL", False, "unable"),
        ("SIGSEGV", False, "unable"),
    ],
)
async def test_a_process_that_was_told_to_end_or_had_not_begun_did_not_crash(
    ending: str, begun: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    say = f"os.write(int(sys.argv[4]), {room.BEGUN!r}); " if begun else ""
    end = f"signal.signal(signal.SIGINT, signal.SIG_DFL); os.kill(os.getpid(), signal.{ending})"
    monkeypatch.setattr(room, "COMMAND", [sys.executable, "-c", f"import os, signal, sys; {say}{end}"])
    assert await Alone(lambda: "shop:app", 1.0).perform(job(0), Work(job(0).job)) == expected


async def test_a_process_that_cannot_be_started_is_one_that_cannot_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*_: object, **__: object) -> subprocess.Popen[bytes]:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(subprocess, "Popen", started)
    one = Alone(lambda: "shop:app", 1.0)
    assert [await one.perform(job(0), Work(job(0).job)) for _ in range(2)] == ["unable"] * 2
    assert one.pause == 2


async def test_a_job_that_was_let_go_of_before_waits_for_no_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alone, "AT_ONCE", 1)
    one, work = Alone(lambda: "shop:app", 1.0), Work(job(0).job)
    await one._turns.acquire()
    work.cancel("enough")
    async with asyncio.timeout(30):
        assert await one.perform(job(0), work) == "crashed"


async def test_a_job_whose_process_cannot_begin_waits_longer_each_time_and_at_most_a_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(room, "COMMAND", [sys.executable, "-I", "-S", "-c", f"raise SystemExit({room.UNABLE})"])
    one = Alone(lambda: "shop:app", 1.0)
    pauses = []
    for number in range(8):
        assert await one.perform(job(number), Work(job(number).job)) == "unable"
        pauses.append(one.pause)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60], "what keeps one from it keeps all"
    warned = [record.getMessage() for record in caplog.records if "could not begin" in record.getMessage()]
    assert len(warned) == 8
    assert (
        "job j7: its process could not begin (75), nor could 7 before it; the log of that process says why" in warned[7]
    )
    monkeypatch.setattr(room, "COMMAND", [sys.executable, "-c", "import os, sys; os.write(int(sys.argv[4]), b'!')"])
    assert await one.perform(job(0), Work(job(0).job)) == "done"
    monkeypatch.setattr(room, "COMMAND", [sys.executable, "-I", "-S", "-c", "raise SystemExit(1)"])
    assert await one.perform(job(0), Work(job(0).job)) == "unable"
    assert one.pause == 1


async def test_jobs_that_wait_for_a_turn_are_left_to_other_processes_and_hold_up_no_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever has no turn for a job that crashed before does not claim it: it would keep a place and do nothing."""
    under_way: dict[Alone, list[str]] = defaultdict(list)
    ends = asyncio.Event()

    async def performed(self: Alone, target: str, lease: Lease, work: Work) -> str:
        under_way[self].append(lease.job.id)
        await ends.wait()
        await database.hand_over(lease, "alone")
        await database.finish(lease, Outcome(status="succeeded"))
        return "done"

    monkeypatch.setattr(alone, "AT_ONCE", 2)
    monkeypatch.setattr(Alone, "_perform", performed)
    database = Database(Settings())
    for number in range(6):
        await database.submit(JobRequest(job_id=f"crashed-{number}", pipeline="ending", fingerprint="", inputs=b"{}"))
        assert await database.requeue(await database.claim_job(f"crashed-{number}", "w"), crashed=True)
    for number in range(6):
        await database.submit(JobRequest(job_id=f"fresh-{number}", pipeline="ending", fingerprint="", inputs=b"{}"))
    settings = Settings(max_concurrency=4, cleanup_timeout=0.2)
    one, two = [PipelineApp(ending, settings=settings, jobs=Kept(database, app="shop:app")) for _ in range(2)]
    async with one.lifespan(None), asyncio.timeout(60):
        await ended(database, "fresh")
        assert [*under_way.values()] == [["crashed-0", "crashed-1"]]
        async with two.lifespan(None):
            while len(under_way) < 2:
                await asyncio.sleep(0.01)
            assert [*under_way.values()] == [["crashed-0", "crashed-1"], ["crashed-2", "crashed-3"]]
            ends.set()
            await ended(database, "crashed")
    assert sorted(job for jobs in under_way.values() for job in jobs) == [f"crashed-{number}" for number in range(6)]


async def test_jobs_in_the_line_that_crashed_elsewhere_take_no_places_to_wait_for_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another process had claimed them meanwhile, and came to its end."""
    under_way: list[str] = []
    ends = asyncio.Event()

    async def performed(self: Alone, target: str, lease: Lease, work: Work) -> str:
        under_way.append(lease.job.id)
        await ends.wait()
        await database.finish(lease, Outcome(status="succeeded"))
        return "done"

    monkeypatch.setattr(alone, "AT_ONCE", 1)
    monkeypatch.setattr(Alone, "_perform", performed)
    database = Database(Settings())
    settings = Settings(max_concurrency=2, cleanup_timeout=0.2)
    app = PipelineApp(ending, settings=settings, jobs=Kept(database, app="shop:app"))
    async with asyncio.timeout(60), app.lifespan(None):
        for _ in range(2):
            await app.admission.enter()
        waiting = [await app.submit() for _ in range(4)]
        for job in waiting:
            lease = await database.claim_job(job.id, "w")
            assert lease is not None and await database.requeue(lease, crashed=True)
        fresh = await app.submit()
        for _ in range(2):
            app.admission.leave(0)
        assert (await app.jobs.until_ended(fresh.id, None)).status == "succeeded"
        assert len(under_way) == 1
        ends.set()
        found = [await app.jobs.until_ended(job.id, None) for job in waiting]
    assert {(job.status, job.attempt) for job in found} == {("succeeded", 2)}
    assert sorted(under_way) == sorted(job.id for job in waiting)


async def ended(database: Database, name: str) -> None:
    """Return when all jobs that are called so have succeeded."""
    for number in range(6):
        while (await database.get(f"{name}-{number}")).status != "succeeded":
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("how", ["raise OSError", "sys.exit('no key')", "sys.exit(0)", "os.kill(os.getpid(), 9)"])
async def test_a_deployment_in_which_no_such_process_can_begin_fails_no_job(
    how: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """It waits, with all its attempts, and is performed when a process can begin again."""
    (tmp_path / "cannot_begin.py").write_text(f"import os, sys\n{how}\n")
    monkeypatch.syspath_prepend(tmp_path)
    database = Database(Settings())
    asked = JobRequest(job_id="broken", pipeline="ending", fingerprint="", inputs=b"{}")
    await database.submit(asked)
    lease = await database.claim_job("broken", "w")
    assert await database.requeue(lease, crashed=True)
    app = PipelineApp(ending, settings=Settings(cleanup_timeout=0.2), jobs=Kept(database, app="cannot_begin:app"))
    monkeypatch.setattr(alone, "FIRST", 0.01)
    async with app.lifespan(None), asyncio.timeout(60):
        while caplog.text.count("could not begin") < 4:
            await asyncio.sleep(0.01)
    found = await database.get("broken")
    assert (found.status, found.attempt, found.crashes) == ("queued", 1, 1)


@step
def end() -> str:
    return "ended"


@pipeline
def ending() -> Any:
    return end()


async def test_an_orderly_stop_is_no_crash_of_a_job_whose_process_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as of a function that no cancel reaches: its process has to be killed, and the job waits again."""
    begun = asyncio.Event()

    async def performed(self: Alone, target: str, lease: Lease, work: Work) -> str:
        assert await database.hand_over(lease, "alone")
        begun.set()
        await asyncio.sleep(60)
        return "crashed"

    monkeypatch.setattr(Alone, "_perform", performed)
    database = Database(Settings())
    await database.submit(JobRequest(job_id="long", pipeline="ending", fingerprint="", inputs=b"{}"))
    assert await database.requeue(await database.claim_job("long", "w"), crashed=True)
    app = PipelineApp(ending, settings=Settings(cleanup_timeout=0.2), jobs=Kept(database, app="shop:app"))
    async with asyncio.timeout(60), app.lifespan(None):
        await begun.wait()
    found = await database.get("long")
    assert (found.status, found.attempt, found.crashes) == ("queued", 1, 1)


async def test_a_process_that_is_told_to_end_while_it_takes_on_its_job_gives_it_back() -> None:
    database = Database(Settings())
    app = PipelineApp(ending, settings=Settings(cleanup_timeout=0.2), jobs=Kept(database))
    app.runner.takes = False
    async with asyncio.timeout(60), app.lifespan(None):
        await database.submit(JobRequest(job_id="long", pipeline="ending", fingerprint="", inputs=b"{}"))
        assert await database.requeue(await database.claim_job("long", "w"), crashed=True)
        lease = await database.claim_job("long", "w")
        performing = asyncio.ensure_future(app.runner.perform_alone("long", lease.fence))
        await asyncio.sleep(0)
        app.runner.cut()
        await performing
    found = await database.get("long")
    assert (found.status, found.attempt, found.crashes) == ("queued", 1, 1)
