"""Steps that are sent to workers, and what they are handed; what they did stands in files."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import AsyncGenerator, Generator, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipemount import PipelineError, StepContext, get_step_context, step


def note(folder: str, line: str) -> None:
    with (Path(folder) / "notes").open("a") as notes:
        notes.write(f"{line}\n")


def notes(folder: Path) -> list[str]:
    found = folder / "notes"
    return found.read_text().splitlines() if found.exists() else []


class Point(BaseModel):
    x: int
    y: int


class OddError(ValueError):
    """An exception whose constructor pickle cannot know."""

    def __init__(self, *, number: int) -> None:
        super().__init__(f"{number} is odd")
        self.number = number


class Heavy:
    """What is shared by all items of a map; tells how often it was sent."""

    def __init__(self, folder: str, size: int = 0) -> None:
        self.folder, self.ballast = folder, b"x" * size

    def __reduce__(self) -> Any:
        note(self.folder, f"packed {os.getpid()}")
        return _heavy, (self.folder, self.ballast)


def _heavy(folder: str, ballast: bytes) -> Heavy:
    note(folder, f"opened {os.getpid()}")
    made = Heavy(folder)
    made.ballast = ballast
    return made


@step
def square(number: int) -> int:
    return number * number


@step
async def asquare(number: int) -> int:
    await asyncio.sleep(0)
    return number * number


@step(thread=False)
def mirrored(point: Point) -> Point:
    return Point(x=point.y, y=square(point.x))


@step
def both(number: int) -> tuple[int, str]:
    return number, str(number)


@step
def weighed(number: int, heavy: Any) -> int:
    return number + len(heavy.ballast)


@step
def where(number: int) -> int:
    return os.getpid()


@step
def known(context: StepContext) -> dict[str, Any]:
    assert get_step_context() is context
    names = ("pipeline_name", "run_id", "run_name", "idempotency_key", "step_name", "attempt", "cancelled")
    left = None if context.deadline is None else context.deadline - time.monotonic()
    principal = context.principal
    return {name: getattr(context, name) for name in names} | {
        "left": left,
        "principal": None if principal is None else [principal.name, principal.user],
        "pid": os.getpid(),
    }


@step
def talk(number: int) -> int:
    context = get_step_context()
    for count in range(5):
        context.progress(count, 5, "on the way")
        context.emit({"number": number, "count": count})
    context.log("%d is done", number, level=logging.WARNING)
    return number


@step
def spell(word: str) -> Generator[str, None, int]:
    yield from word
    return len(word)


@step
async def aspell(word: str) -> AsyncGenerator[str, None]:
    for letter in word:
        yield letter


@step
def of_state(context: StepContext) -> Any:
    return context.pipeline_state


@step
def ask(context: StepContext) -> Any:
    return context.suspend("may I?", bool)


@step
def refuse(number: int) -> int:
    if number % 2:
        raise OddError(number=number)
    return number


@step
def refuse_on_purpose() -> int:
    raise PipelineError("no more of these", status=422, code="too-many")


@step
def second_time(folder: str) -> int:
    attempt = get_step_context().attempt
    note(folder, f"attempt {attempt}")
    if attempt == 1:
        raise OSError(5, "not yet")
    return attempt


@step
def unsendable() -> Any:
    return (number for number in range(3))


@step
def wait_until_told(folder: str) -> str:
    """Goes on until it is told that nobody waits."""
    context = get_step_context()
    note(folder, f"waits {os.getpid()}")
    while not context.cancelled:
        time.sleep(0.01)
    note(folder, "told")
    return "told"


@step
async def await_until_told(folder: str) -> str:
    note(folder, f"waits {os.getpid()}")
    try:
        await asyncio.sleep(600)
    finally:
        note(folder, "told")
    return "never"


@step
def stubborn(folder: str) -> str:
    note(folder, f"waits {os.getpid()}")
    while True:
        time.sleep(0.05)


@step
def item(folder: str, number: int, pause: float = 0.0) -> int:
    note(folder, f"{number} {os.getpid()}")
    get_step_context().progress(number)
    time.sleep(pause)
    note(folder, f"ended {number}")
    return number * 10


@step
def crunched(folder: str, number: int) -> int:
    """Computes for some milliseconds; a file tells of each worker that does."""
    (Path(folder) / f"worker-{os.getpid()}").touch()
    total = sum(value * value % 7 for value in range(30_000))
    return number + total - total


@step
def kill_once(folder: str, number: int) -> int:
    """The worker that has the third one does not survive it, the first time."""
    note(folder, f"{number} {os.getpid()}")
    if number == 2 and not (Path(folder) / "killed").exists():
        (Path(folder) / "killed").touch()
        time.sleep(0.5)  # what a worker has not sent goes with it: by then the app has heard that this was begun
        os.kill(os.getpid(), signal.SIGKILL)
    return number * 10


@step
def poison(folder: str) -> int:
    note(folder, f"poisoned {os.getpid()}")
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


@step
def gated(folder: str, number: int, first: int) -> int:
    """From the ``first`` on, items wait for the gate; they end early if nobody waits for them."""
    context = get_step_context()
    note(folder, f"begun {number}")
    context.progress(number)
    while number >= first and not (Path(folder) / "gate").exists() and not context.cancelled:
        time.sleep(0.01)
    return number * 10


def closure(amount: int) -> Any:
    """A step that no module has."""

    @step
    def add(number: int) -> int:
        return int(square(number)) + amount

    return add


def lines(folder: Path, word: str) -> Iterator[str]:
    return (line for line in notes(folder) if line.split()[0] == word)
