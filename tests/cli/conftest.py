"""A project of its own for each test, and the command run in it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pipemount.cli.application import app

Pipemount = Callable[..., "Result"]
HERE = Path(__file__).parent
COMMAND = [sys.executable, "-m", "pipemount.cli"]
PACKAGES = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path)
"""Where a child process finds what this one does, whatever its current directory."""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current directory; what is imported from it is forgotten afterwards."""
    path = list(sys.path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PIPEMOUNT_KEY", raising=False)
    monkeypatch.setenv("PYTHONPATH", PACKAGES)
    yield tmp_path
    sys.path[:] = path
    for name, module in list(sys.modules.items()):
        if Path(getattr(module, "__file__", None) or "/").is_relative_to(tmp_path):
            del sys.modules[name]


@pytest.fixture
def shop(project: Path) -> Path:
    """A project with pipelines in ``shop`` and apps of them in ``apps``."""
    for name in ("shop", "apps"):
        (project / f"{name}.py").write_text((HERE / f"{name}.txt").read_text())
    return project


@pytest.fixture
def pipemount() -> Pipemount:
    """The command, run in this process: ``pipemount("check", "shop:weather")``."""

    def run(*words: str, input: str | None = None) -> Result:
        return CliRunner().invoke(app, words, input=input, prog_name="pipemount")

    return run
