"""Progress lines."""

from __future__ import annotations

from typing import Any

import pytest

from pipemount.cli import progress
from pipemount.cli.progress import listening, tell
from pipemount.runtime.events import Event, EventKind


def event(kind: EventKind, step: str | None = "fetch", **data: Any) -> Event:
    return Event(kind, 1, "run", 0.0, step, 1 if step else None, data)


@pytest.mark.parametrize(
    ("told", "line"),
    [
        (event("step_completed", duration=0.1234), "fetch: completed in 0.123 s\n"),
        (event("step_retrying", error="OSError", delay=0.5), "fetch: attempt 1 failed (OSError), again in 0.5 s\n"),
        (event("step_failed", error="x"), "fetch: failed\n"),
        (event("log", level="warning", message="a\x1b[2Jb"), "fetch: warning: a\\u001b[2Jb\n"),
        (event("step_completed", duration=0.5, items=3), "fetch: completed in 0.500 s, 3 items\n"),
        (event("step_completed", step="resize[3]", duration=0.5), ""),
        (event("step_failed", step="resize[3]", error="x"), "resize[3]: failed\n"),
        (event("log", step=None, message="opened"), "run: info: opened\n"),
        (event("branch", step=None, condition="units == 'F'", answer=True), "units == 'F': yes\n"),
        (event("branch", step=None, condition="note is None", answer=False), "note is None: no\n"),
        (event("progress", done=1, total=4), ""),
        (event("progress", done=1, total=4, message="loading\r"), "fetch: 1/4 loading\\r\n"),
        (event("progress", done=0.5, message="loading"), "fetch: 0.5 loading\n"),
        (event("suspended"), "fetch: suspended\n"),
        (event("suspended", step=None), "the run: suspended\n"),
        (event("missed", step=None, first=1, last=1, kinds={"log": 1}), "1 event came too fast to be shown\n"),
        (
            event("missed", step=None, first=1, last=5, kinds={"log": 4, "delta": 1}),
            "5 events came too fast to be shown\n",
        ),
        (event("step_started"), ""),
        (event("delta", value="a"), ""),
        (event("run_started", step=None), ""),
    ],
)
def test_plain_lines(told: Event, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    tell(told)
    assert capsys.readouterr().err == line


def test_plain_lines_where_there_is_no_terminal() -> None:
    with listening() as listener:
        assert listener is tell


def test_silence_where_it_is_asked_for() -> None:
    with listening(quiet=True) as listener:
        assert listener is None


def test_a_line_per_step_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    with listening() as listener:
        assert isinstance(listener, progress.Board)
        listener(event("run_started", step=None))
        listener(event("step_started"))
        listener(event("step_retrying", error="OSError", delay=0.5))
        listener(event("step_started"))
        listener(event("delta", value="a"))
        listener(event("step_completed", duration=0.1))
        listener(event("step_started", step="resize"))
        listener(event("step_started", step="resize[0]"))
        listener(event("step_completed", step="resize[0]", duration=0.1))
        listener(event("progress", step="resize", done=1, total=2))
        listener(event("progress", step="resize[1]", done=7))
        listener(event("branch", step=None, condition="x > 1", answer=True))
        listener(event("step_started", step="[bold]"))
        listener(event("step_failed", step="[bold]"))
    shown = capsys.readouterr().err
    assert "fetch: attempt 1 failed (OSError), again in 0.5 s" in shown
    assert "✓" in shown
    assert "[bold] failed" in shown
    assert "resize 1/2" in shown
    assert "x > 1: yes" in shown
    assert "resize[" not in shown
