"""Processes for jobs that crashed before: real ones, over a file."""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.support.servers import wait_until

from pipemount.jobs import alone
from pipemount.jobs.models import Job, JobRequest
from pipemount.testing.hosts.process import environment

PRODUCT = """
import os, sys, time
from pathlib import Path
from pipemount import Local, PipelineApp, Settings, StepContext, pipeline, step

LINGER = Path("linger")
if Path(sys.argv[0]).name == "inside.py" and LINGER.exists():
    sys.modules["__main__"].LINGER = float(LINGER.read_text())

@step
def tell(kills: bool, stays: float) -> int:
    with Path("begun").open("a") as notes:
        notes.write(f"{os.getpid()}\\n")
    if kills:
        os.kill(os.getpid(), 9)
    time.sleep(stays)
    return os.getpid()

def done():
    while Path("hold-up").exists():
        time.sleep(0.01)
    (Path(__file__).parent / f"cleaned-up-{os.getpid()}").touch()

@pipeline(on_cleanup=done)
def telling(kills: bool = False, stays: float = 0.0):
    return tell(kills, stays)

pipelines = PipelineApp(telling, settings=Settings(cleanup_timeout=5.0), jobs=Local("sqlite:///jobs.db"))
"""


@pytest.fixture
async def product(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ModuleType]:
    """Its app has started, and performs jobs that crashed one after another."""
    name = f"rooms_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(PRODUCT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(alone, "AT_ONCE", 1)
    module = importlib.import_module(name)
    async with asyncio.timeout(100), module.pipelines.lifespan(None):
        yield module
    del sys.modules[name]


async def crashed(product: ModuleType, job_id: str, times: int = 1, inputs: bytes = b"{}", **terms: Any) -> Job:
    """What comes of a job that crashed before so many times."""
    runner, jobs = product.pipelines.runner, product.pipelines.jobs
    async with runner._claiming._asking:  # it is not claimed meanwhile
        await runner._store.submit(
            JobRequest(job_id=job_id, pipeline="telling", fingerprint="", inputs=inputs, **terms)
        )
        for _ in range(times):
            assert await runner._store.requeue(await runner._store.claim_job(job_id, runner.worker), crashed=True)
    found: Job = await jobs.until_ended(job_id, None)
    return found


async def pid_of(product: ModuleType, job_id: str, times: int = 1, **terms: Any) -> int:
    """The process in which such a job succeeded."""
    job = await crashed(product, job_id, times, **terms)
    assert (job.status, job.crashes) == ("succeeded", times), job.error
    return int(begun()[-1])


def code_of(job: Job) -> str:
    assert job.error is not None
    return str(job.error["code"])


def begun() -> list[int]:
    return [int(line) for line in Path("begun").read_text().split()]


def gone(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return False
    return True


async def free(product: ModuleType) -> None:
    """A job's end is told before its process says that it is free."""
    while not product.pipelines.runner.performing.alone._free:
        await asyncio.sleep(0.005)


async def test_one_process_performs_jobs_one_after_another_and_ends_with_its_runner(product: ModuleType) -> None:
    pids = {await pid_of(product, f"j{number}") for number in range(4)}
    assert len(pids) == 1
    (pid,) = pids
    assert pid != os.getpid()
    await product.pipelines.runner.stop("enough")
    assert gone(pid)
    assert Path(f"cleaned-up-{pid}").exists(), "in its own order"


async def test_what_crashed_twice_has_a_process_that_nobody_had_before(product: ModuleType) -> None:
    first = await pid_of(product, "first")
    await free(product)
    assert await pid_of(product, "suspect", times=2) != first


async def test_a_process_that_ends_while_nobody_is_in_it_is_nobodys_doing(
    product: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    first = await pid_of(product, "first")
    await free(product)
    rooms = product.pipelines.runner.performing.alone._free
    (room,) = rooms
    os.kill(first, signal.SIGKILL)
    await room.ended
    rooms.append(room)  # as if that were not known yet
    assert await pid_of(product, "second") != first
    assert "could not begin" not in caplog.text, "it did not wait"


async def test_what_ends_it_while_a_job_is_in_it_is_that_ones_doing_and_the_next_has_another(
    product: ModuleType,
) -> None:
    first = await pid_of(product, "first")
    await free(product)
    job = await crashed(product, "deadly", inputs=b'{"kills":true}')
    assert (job.status, code_of(job), job.crashes) == ("failed", "worker-lost", 3)
    assert begun()[1] == first
    assert begun()[2] not in (first, os.getpid())
    assert len(begun()) == 3
    assert await pid_of(product, "last") not in begun()[:3]


async def test_it_waits_for_another_job_for_a_while(product: ModuleType) -> None:
    Path("linger").write_text("0.1")
    first = await pid_of(product, "first")
    while product.pipelines.runner.performing.alone._free or not gone(first):
        await asyncio.sleep(0.01)
    assert Path(f"cleaned-up-{first}").exists()
    assert await pid_of(product, "second") != first


async def test_one_that_ends_by_itself_holds_up_no_job(product: ModuleType) -> None:
    Path("linger").write_text("0.1")
    Path("hold-up").touch()
    first = await pid_of(product, "first")
    await free(product)
    (room,) = product.pipelines.runner.performing.alone._free
    await room.closed
    product.pipelines.runner.performing.alone._free[:] = [room]  # as if that were not known yet
    assert await pid_of(product, "second") != first
    assert not gone(first)
    Path("hold-up").unlink()
    assert await room.ended == 0, "it was not disturbed"


async def test_there_are_no_more_of_them_than_jobs_at_once(product: ModuleType) -> None:
    for number in range(3):
        await pid_of(product, f"suspect{number}", times=2)
        await free(product)
        assert len(product.pipelines.runner.performing.alone._free) == 1
    first, second, third = begun()
    while not gone(first) or not gone(second):
        await asyncio.sleep(0.01)
    assert Path(f"cleaned-up-{first}").exists()
    assert not gone(third)


async def test_it_ends_though_a_process_that_was_forked_here_has_its_line(product: ModuleType) -> None:
    first = await pid_of(product, "first")
    await free(product)
    (room,) = product.pipelines.runner.performing.alone._free
    forked = os.dup(room._line.fileno())
    await product.pipelines.runner.stop("enough")
    os.close(forked)
    assert Path(f"cleaned-up-{first}").exists()


async def test_one_that_ends_before_it_has_read_of_a_job_has_not_begun_it(
    product: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    first = await pid_of(product, "first")
    await free(product)
    os.kill(first, signal.SIGSTOP)
    second = asyncio.create_task(pid_of(product, "second"))
    while product.pipelines.runner.performing.alone._free:
        await asyncio.sleep(0.01)
    os.kill(first, signal.SIGKILL)
    assert await second != first
    assert "could not begin" not in caplog.text
    assert "Exception" not in caplog.text


async def test_told_to_end_while_nobody_is_in_it_it_ends(product: ModuleType) -> None:
    first = await pid_of(product, "first")
    await free(product)
    os.kill(first, signal.SIGTERM)
    async with asyncio.timeout(8):  # before it would end by itself
        while not gone(first):
            await asyncio.sleep(0.01)
    assert Path(f"cleaned-up-{first}").exists()


async def test_a_function_that_goes_on_keeps_it_from_another_job(product: ModuleType) -> None:
    job = await crashed(product, "slow", timeout=0.2, inputs=b'{"stays":3}')
    assert code_of(job) == "deadline-exceeded"
    assert await pid_of(product, "next") != begun()[0]


def test_it_ends_with_who_started_it(tmp_path: Path) -> None:
    """Though that one was killed."""
    (tmp_path / "shop.py").write_text(PRODUCT)
    script = """
import asyncio, importlib, os, sys
sys.path.insert(0, "")
import shop
from tests.jobs.test_rooms import begun, free, pid_of
async def main():
    async with shop.pipelines.lifespan(None):
        await pid_of(shop, "first")
        await free(shop)
        os.kill(os.getpid(), 9)
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment(), check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    (pid,) = map(int, (tmp_path / "begun").read_text().split())
    wait_until(lambda: gone(pid), 8.0)
    assert (tmp_path / f"cleaned-up-{pid}").exists()
