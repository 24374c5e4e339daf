"""The table of jobs that follows what becomes of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from rich.console import Console

from pipemount.cli import watching
from pipemount.cli.watching import row, watch_jobs
from pipemount.client import Job

BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def job(id: str, status: str = "queued", **times: datetime) -> Job:
    return Job(id, status, "weather", BEGAN, **times)  # type: ignore[arg-type]  # the names of a test


@pytest.mark.parametrize(
    ("found", "seconds"),
    [
        (job("a"), ""),
        (job("a", "succeeded", started=BEGAN, finished=BEGAN + timedelta(seconds=1.5)), "1.500"),
        (job("a", "failed", started=BEGAN), ""),
        (job("a", "running", started=datetime.now(UTC) + timedelta(hours=1)), "0 …"),
    ],
)
def test_how_long_a_job_took(found: Job, seconds: str) -> None:
    assert row(found)[4] == seconds


def test_a_live_table_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = StringIO()
    terminal = Console(file=screen, force_terminal=True, width=100, height=20)
    monkeypatch.setattr(watching, "console", lambda: terminal)
    found = [[job("job-1")], [job("job-2"), job("job-1", "running")]]
    shown: list[str] = []

    def pause(seconds: float) -> None:
        shown.append(screen.getvalue())
        screen.seek(0)
        screen.truncate()
        if not found:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch_jobs(lambda: found.pop(0), pause=pause)
    first, second = shown
    assert "job-1" in first
    assert "queued" in first
    assert second.index("job-2") < second.index("job-1")
    assert "running" in second
    assert "\x1b[1A" in second or "\x1b[2K" in second  # drawn over the first


def test_a_line_per_change_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    found = [[job("a")], [job("b"), job("a")], [job("b", "failed"), job("a")]]

    def pause(seconds: float) -> None:
        if not found:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch_jobs(lambda: found.pop(0), pause=pause)
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()] == [
        ["a", "queued"],
        ["b", "queued"],
        ["b", "failed"],
    ]
