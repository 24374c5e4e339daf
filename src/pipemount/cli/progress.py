"""A line per step while a run goes on: spinners on a terminal, plain lines elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from ..runtime.events import Event, Listener
from .printing import console, note, plain

__all__ = ["listening", "sentence"]


ITEM = re.compile(r"\[\d+\]")
"""What the name of a map's item has: ``resize[3]``."""


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
    say = SENTENCES.get(event.kind)
    return "" if say is None else plain(say(event, event.data))


def _completed(event: Event, data: Mapping[str, Any]) -> str:
    if _is_item(event):  # of a map: the map itself tells how many there were
        return ""
    if data.get("recovered"):
        return f"{event.step}: kept by an earlier attempt"
    items = f", {data['items']} items" if "items" in data else ""
    return f"{event.step}: completed in {data.get('duration', 0.0):.3f} s{items}"


def _reason(data: Mapping[str, Any]) -> str:
    return f": {data['reason']}" if "reason" in data else ""


def _retrying(event: Event, data: Mapping[str, Any]) -> str:
    return f"{event.step}: attempt {event.attempt} failed ({data.get('error')}), again in {data.get('delay', 0.0):g} s"


def _missed(event: Event, data: Mapping[str, Any]) -> str:
    count = data["last"] - data["first"] + 1
    return f"{count} event{'s' * (count > 1)} came too fast to be shown"


SENTENCES: Mapping[str, Callable[[Event, Mapping[str, Any]], str]] = {
    "step_completed": _completed,
    "step_retrying": _retrying,
    "step_failed": lambda event, data: f"{event.step}: failed",
    "suspended": lambda event, data: f"{event.step or 'the run'}: suspended" + _reason(data),
    "branch": lambda event, data: f"{data.get('condition')}: {'yes' if data.get('answer') else 'no'}",
    "log": lambda event, data: f"{event.step or 'run'}: {data.get('level', 'info')}: {data.get('message', '')}",
    "progress": lambda event, data: f"{event.step}: {_amount(data)} {data['message']}" if "message" in data else "",
    "missed": _missed,
}


def _amount(data: Mapping[str, Any]) -> str:
    done, total = data.get("done", 0), data.get("total")
    return f"{done:g}" if total is None else f"{done:g}/{total:g}"


def _is_item(event: Event) -> bool:
    return event.step is not None and ITEM.search(event.step) is not None


class Board:
    """A listener that keeps one spinning line per step; the items of a map have theirs together."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._lines: dict[str, TaskID] = {}

    def __call__(self, event: Event) -> None:
        """Shows one event."""
        line = self._lines.get(event.step or "")
        if event.kind == "step_started" and event.step is not None and line is None and not _is_item(event):
            self._lines[event.step] = self._bar.add_task(escape(event.step), total=1)
        elif line is not None and event.kind == "progress":
            self._bar.update(line, description=f"{escape(event.step or '')} {escape(_progress(event.data))}")
        elif line is not None and event.kind == "step_completed":
            self._bar.update(line, completed=1)
        elif line is not None and event.kind == "step_failed":
            self._bar.update(line, description=f"[red]{escape(event.step or '')} failed[/red]")
            self._bar.stop_task(line)
        elif said := sentence(event):
            self._bar.console.print(said, markup=False, highlight=False)


def _progress(data: Mapping[str, Any]) -> str:
    return plain(" ".join(filter(None, (_amount(data), data.get("message")))))
