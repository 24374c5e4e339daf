"""A deployment for real servers: counts in shared state, holds requests until let go, notes its lifecycle."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Annotated, Any

from pipemount import PipelineApp, Settings, StepContext, pipeline, step

FOLDER = Path(os.environ["DEPLOYED_FOLDER"])
TOGETHER = 16
meeting = threading.Barrier(TOGETHER, timeout=30)


def note(what: str) -> None:
    with (FOLDER / "notes").open("a") as notes:
        notes.write(f"{os.getpid()} {what}\n")


class Counter:
    """State that loses counts if it is not shared, or shared without a lock."""

    def __init__(self, first: int) -> None:
        self._lock, self._next = threading.Lock(), first

    def take(self) -> int:
        with self._lock:
            self._next += 1
            return self._next


def load(first: int = 0) -> Counter:
    note("init")
    if (FOLDER / "broken").exists():
        raise OSError("the model is not there")
    return Counter(first)


def unload(state: Counter) -> None:
    note(f"cleanup after {state.take() - 1}")


@step
def count(context: StepContext) -> Annotated[int, "number"]:
    number: int = context.pipeline_state.take()
    return number


@pipeline(on_init=load, on_cleanup=unload)
def counted() -> Any:
    return count()


@step
def meet(text: str) -> Annotated[str, "text"]:
    """Returns when sixteen are in it at the same time."""
    meeting.wait()
    return text


@pipeline
def together(text: str) -> Any:
    return meet(text)


@step
def hold(name: str) -> Annotated[str, "name"]:
    """Says that it was entered, and returns when it is let go."""
    (FOLDER / f"{name}.entered").touch()
    while not (FOLDER / f"{name}.go").exists():
        time.sleep(0.02)
    return name


@pipeline
def held(name: str) -> Any:
    return hold(name)


app = PipelineApp(
    {"counted": counted, "together": together, "held": held}, settings=Settings(threads=64, cleanup_timeout=20.0)
)
