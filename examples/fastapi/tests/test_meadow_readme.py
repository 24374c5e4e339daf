"""README.md, followed command by command from an empty folder; only what installs packages is left out."""

from __future__ import annotations

import doctest
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from live import LiveServer

EXAMPLE = Path(__file__).parents[1]
INSTALLING = ("python3 -m venv", ". .venv", "pip install")
SERVER = "http://127.0.0.1:8000"


def commands() -> list[tuple[str, str]]:
    """Every command of the page and the output that the page shows."""
    blocks = re.findall(r"^```console\n(.*?)^```$", (EXAMPLE / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    parts = [part for block in blocks for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    return [(command, shown) for command, _, shown in (part.replace("\\\n", "").partition("\n") for part in parts)]


@pytest.mark.server
@pytest.mark.skipif(shutil.which("curl") is None, reason="the page calls curl")
def test_the_page_can_be_followed_from_an_empty_folder(tmp_path: Path) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PIPEMOUNT": str(EXAMPLE.parents[1]), "PATH": path, "NO_PROXY": "127.0.0.1"}
    copying, *rest = (pair for pair in commands() if not pair[0].startswith(INSTALLING))
    assert run(copying[0], tmp_path, environment) == ""
    assert (tmp_path / "meadow" / "main.py").is_file()
    keys, serving, *calls = rest
    assert keys[0].startswith("export MEADOW_KEYS=")
    environment["MEADOW_KEYS"] = run(f'{keys[0]}; printf %s "$MEADOW_KEYS"', tmp_path, environment)
    assert serving[0] == "uvicorn meadow.main:app"
    environment["MEADOW_DATABASE"] = str(tmp_path / "meadow.sqlite3")
    with LiveServer(environment, folder=tmp_path) as server:
        assert len(calls) == 6
        for command, shown in calls:
            answer = run(command.replace(SERVER, server.url), tmp_path, environment)
            assert doctest.OutputChecker().check_output(shown.strip(), answer.strip(), doctest.ELLIPSIS), answer


def run(command: str, folder: Path, environment: dict[str, str]) -> str:
    """What a command prints; it must end with status 0."""
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
