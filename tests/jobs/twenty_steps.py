"""A program: of twenty jobs of twenty steps each, one is killed after each of its steps; then it is begun again.

``python -m tests.jobs.twenty_steps here FOLDER``: again in the process that finds it; with ``alone`` in one of its own.
Each step that ends writes a line to ``steps``; at the end the program prints what became of the jobs, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from pipemount import Local, PipelineApp, Settings, pipeline, step
from pipemount.jobs.models import JobQuery

SELF = "tests.jobs.twenty_steps"
STEPS = 20
FOLDER = Path(os.environ.get("TWENTY_STEPS", ""))
DIES = False


def passed(job: int, number: int, value: int) -> int:
    if DIES and number == job:
        os.kill(os.getpid(), signal.SIGKILL)
    with (FOLDER / "steps").open("a") as file:
        file.write(f"{job} {number}\n")
    return value + number


@step
async def awaited(job: int, number: int, value: int) -> int:
    await asyncio.sleep(0)
    return passed(job, number, value)


@step
def threaded(job: int, number: int, value: int) -> int:
    return passed(job, number, value)


def die() -> None:
    if DIES:
        os.kill(os.getpid(), signal.SIGKILL)


@pipeline(on_success=die)
def long(job: int) -> Any:
    value: Any = 0
    for number in range(STEPS):
        value = (awaited, threaded, threaded)[number % 3](job, number, value)
    return value


def make(job: int) -> PipelineApp:
    url = f"sqlite:///{FOLDER / f'{job}.db'}"
    return PipelineApp(long, jobs=Local(url, app=f"{SELF}:app_{job}"), settings=Settings(cleanup_timeout=1))


def __getattr__(name: str) -> PipelineApp:
    """The app of a job that is performed alone."""
    if not name.startswith("app_"):
        raise AttributeError(name)
    return make(int(name.removeprefix("app_")))


async def dies_after(steps: int) -> None:
    app = make(steps)
    async with app.lifespan(None):
        await app.submit("long", job=steps)
        await asyncio.Event().wait()


async def does_the_rest(steps: int, *, alone: bool) -> dict[str, Any]:
    app = make(steps)
    if not alone:
        app.runner.performing.alone = None
    async with app.lifespan(None):
        [job] = (await app.jobs.list(JobQuery(), None)).jobs
        job = await app.jobs.until_ended(job.id, None)
        events = await app.jobs.store.read_events(job.id, 0, 1000)
    return {
        "job": steps,
        "status": job.status,
        "outputs": json.loads(job.result or b"null"),
        "attempt": job.attempt,
        "crashes": job.crashes,
        "events": [json.loads(event.body) for event in events],
    }


def main() -> None:
    global DIES, FOLDER
    os.environ["TWENTY_STEPS"] = sys.argv[2]
    FOLDER = Path(sys.argv[2])
    for steps in range(1, STEPS + 1):
        child = os.fork()
        if child == 0:
            DIES = True
            asyncio.run(dies_after(steps))
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, status
    print(
        json.dumps([asyncio.run(does_the_rest(steps, alone=sys.argv[1] == "alone")) for steps in range(1, STEPS + 1)])
    )


if __name__ == "__main__":
    main()
