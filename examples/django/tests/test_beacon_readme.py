"""README.md, followed command by command from an empty folder; only what installs packages is left out."""

from __future__ import annotations

import doctest
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from live import HERE, LiveServer

INSTALLING = ("python3 -m venv", ". .venv", "pip install")
CLONE = Path(os.environ.get("PIPEMOUNT", HERE.parent.parent))
SERVER = "http://127.0.0.1:8000"
PORT = {"gunicorn": ("--bind", "127.0.0.1:0"), "uvicorn": ("--port", "0")}


def commands() -> list[tuple[str, str]]:
    """Every command of the page and the output that the page shows."""
    blocks = re.findall(r"^```console\n(.*?)^```$", (HERE / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    parts = [part for block in blocks for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    return [(command, shown) for command, _, shown in (part.replace("\\\n", "").partition("\n") for part in parts)]


class Reader:
    """Follows the page in a folder of their own.

    Args:
        folder: Empty.
    """

    def __init__(self, folder: Path) -> None:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        own = {name: value for name, value in os.environ.items() if not name.startswith(("BEACON_", "DJANGO_"))}
        self.environment = own | {"PIPEMOUNT": str(CLONE), "PATH": path, "NO_PROXY": "127.0.0.1"}
        self.folder = folder

    def follow(self, command: str, shown: str) -> None:
        """Run a command; it must end with status 0 and print what the page shows."""
        if command.startswith("export "):
            self._export(command)
            return
        printed = self._run(command)
        if shown.strip():
            assert doctest.OutputChecker().check_output(shown.strip(), printed.strip(), doctest.ELLIPSIS), printed

    def serve(self, command: str) -> LiveServer:
        """The server of a command, on a free port."""
        program, *options = shlex.split(command)
        own: Mapping[str, str] = self.environment
        return LiveServer((program, *options, *PORT[program]), own, folder=self.folder)

    def _export(self, command: str) -> None:
        for name in re.findall(r"(\w+)=", re.sub(r"\$\(.*?\)\"?|\"", "", command)):
            self.environment[name] = self._run(f'{command}; printf %s "${name}"')

    def _run(self, command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
        return done.stdout


def test_the_page_shows_its_pictures_and_they_are_small() -> None:
    shown = re.findall(r"!\[[^\]]+\]\((pictures/[^)]+)\)", (HERE / "README.md").read_text())
    assert sorted(shown) == sorted(f"pictures/{picture.name}" for picture in (HERE / "pictures").iterdir())
    assert all((HERE / picture).stat().st_size < 150_000 for picture in shown)


@pytest.mark.server
@pytest.mark.skipif(shutil.which("curl") is None, reason="the page calls curl")
@pytest.mark.skipif(not (CLONE / "examples" / "django").is_dir(), reason="PIPEMOUNT does not name a clone")
def test_the_page_can_be_followed_from_an_empty_folder(tmp_path: Path) -> None:
    reader, pairs = Reader(tmp_path), [pair for pair in commands() if not pair[0].startswith(INSTALLING)]
    *before, gunicorn, uvicorn, first, second, third, stream, triage, run, draw, jobs, product, whole, secret, check = (
        pairs
    )
    assert len(before) == 5
    for command, shown in before:
        reader.follow(command, shown)
        for left_over in tmp_path.glob("beacon.sqlite3*") if command.startswith("cp ") else ():
            left_over.unlink()  # of whoever tried the example out in the clone
    with reader.serve(gunicorn[0]) as server:
        for command, shown in (first, second, third, stream):
            reader.follow(command.replace(SERVER, server.url), shown)
    with reader.serve(uvicorn[0]) as server:
        for command, shown in (first, stream):
            reader.follow(command.replace(SERVER, server.url), shown)
    assert whole == ("python -m pytest -q", "")  # which this is a part of
    for command, shown in (triage, run, draw, jobs, product, secret, check):
        reader.follow(command, shown)
