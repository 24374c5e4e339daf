"""README.md, followed command by command from an empty folder; only what installs packages is left out."""

from __future__ import annotations

import doctest
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from live import LiveServer
from visitors import EXAMPLE, HOME

INSTALLING = ("python3 -m venv", ". .venv", "pip install")
SERVER = "http://127.0.0.1:8000"


def commands() -> list[tuple[str, str]]:
    """Every command of the page and the output that the page shows."""
    blocks = re.findall(r"^```console\n(.*?)^```$", (EXAMPLE / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    parts = [part for block in blocks for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    return [(command, shown) for command, _, shown in (part.replace("\\\n", "").partition("\n") for part in parts)]


def test_the_page_shows_its_pictures() -> None:
    shown = re.findall(r"!\[[^\]]+\]\((pictures/[^)]+)\)", (EXAMPLE / "README.md").read_text())
    assert len(shown) == 4
    assert all((EXAMPLE / picture).is_file() for picture in shown)


@pytest.mark.server
@pytest.mark.skipif(shutil.which("curl") is None, reason="the page calls curl")
def test_the_page_can_be_followed_from_an_empty_folder(tmp_path: Path) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    clone, folder = tmp_path / "clone", tmp_path / "empty"
    shutil.copytree(EXAMPLE, clone / "examples" / "flask", ignore=shutil.ignore_patterns(".venv", "instance"))
    folder.mkdir()
    environment = os.environ | {"PIPEMOUNT": str(clone), "PATH": path, "NO_PROXY": "127.0.0.1"}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # whatever else is installed here
    rest = [pair for pair in commands() if not pair[0].startswith(INSTALLING)]
    copying, init, seed, gunicorn, uvicorn, export, *asking, pictures, tests, alone = rest
    for command, shown in (copying, init, seed):
        follow(command, shown, folder, environment)
    assert export[0] == "export KETTLE_KEY=kettle_…"
    with serving(gunicorn[0], folder, environment) as server:
        environment["KETTLE_KEY"] = buy_two_kettles(server.url)
        assert len(asking) == 4
        for command, shown in asking:
            follow(command.replace(SERVER, server.url), shown, folder, environment)
    with serving(uvicorn[0], folder, environment) as server:
        follow(asking[0][0].replace(SERVER, server.url), asking[0][1], folder, environment)
    assert pictures[0] == "python pictures.py"  # followed in test_kettle_browser.py
    assert tests[0] == "pytest"  # which this is a part of
    follow(alone[0], alone[1], folder, environment)


def serving(command: str, folder: Path, environment: dict[str, str]) -> LiveServer:
    """The server of a command, on a free port."""
    program, *arguments = (argument.strip('"') for argument in command.split())
    port = {"gunicorn": ("--bind", "127.0.0.1:0"), "uvicorn": ("--port", "0")}[program]
    return LiveServer((program, *port, *arguments), environment, folder)


def buy_two_kettles(url: str) -> str:
    """What the page asks of a person in a browser; the key that comes of it."""
    with httpx.Client(base_url=url, trust_env=False, timeout=60, follow_redirects=True) as ada:

        def form(path: str, **fields: object) -> httpx.Response:
            token = re.findall(r'name="csrf-token" content="([^"]+)"', ada.get("/").text)[0]
            return ada.post(path, data={"csrf_token": token, **fields})

        form("/login", email="ada@kettle.example", password="darjeeling")
        at = re.findall(r'action="(/basket/\d+)"', ada.get("/products/copper-kettle").text)[0]
        form(at, quantity=2)
        page = form("/checkout", **HOME).text
        assert "Order 333" in page
        assert "held for review" in page
        key: str = re.findall(r'id="new-key">([^<]+)<', form("/account/keys", label="my laptop").text)[0]
        return key


def follow(command: str, shown: str, folder: Path, environment: dict[str, str]) -> None:
    """Runs a command, which must end with status 0 and print what the page shows."""
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if shown.strip():
        assert doctest.OutputChecker().check_output(shown.strip(), done.stdout.strip(), doctest.ELLIPSIS), done.stdout
