"""A line per step while a run goes on: spinners on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from ..runtime.events import Event, Listener
from .printing import console, note, plain

__all__ = ["listening"]


@contextmanager
def listening(*, quiet: bool = False) -> Iterator[Listener | None]:
    """A listener that shows the run's events on standard error; ``None`` where none are wanted."""
    screen = console(stderr=True)
    if quiet:
        yield None
    elif not screen.is_terminal:
        yield tell
    else:
        columns = (SpinnerColumn(finished_text="✓"), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=screen) as bar:
            yield Board(bar)


def tell(event: Event) -> None:
    """The event as one plain line, if a person wants to know of it."""
    line = sentence(event)
    if line:
        note(line)


def sentence(event: Event) -> str:
    """The event in words; empty for those that say nothing new."""
    data, step = event.data, event.step
    if event.kind == "step_completed":
        return f"{step}: completed in {data.get('duration', 0.0):.3f} s"
    if event.kind == "step_retrying":
        cause, delay = plain(str(data.get("error"))), data.get("delay", 0.0)
        return f"{step}: attempt {event.attempt} failed ({cause}), again in {delay:g} s"
    if event.kind == "step_failed":
        return f"{step}: failed"
    if event.kind == "log":
        return plain(f"{step}: {data.get('level', 'info')}: {data.get('message', '')}")
    return ""


class Board:
    """A listener that keeps one spinning line per step."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._lines: dict[str, TaskID] = {}

    def __call__(self, event: Event) -> None:
        """Shows one event."""
        if event.step is None:
            return
        if event.kind == "step_started" and event.step not in self._lines:
            self._lines[event.step] = self._bar.add_task(escape(event.step), total=1)
        elif event.kind == "step_completed":
            self._bar.update(self._lines[event.step], completed=1)
        elif event.kind == "step_failed":
            self._bar.update(self._lines[event.step], description=f"[red]{escape(event.step)} failed[/red]")
            self._bar.stop_task(self._lines[event.step])
        elif line := sentence(event):
            self._bar.console.print(line, markup=False, highlight=False)
