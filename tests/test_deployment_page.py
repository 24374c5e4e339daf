"""The page about deployment: each of its commands serves its product, and nginx takes its configuration."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipemount.testing.hosts.process import ServerProcess, free_port, serving, wait_until
from pipemount.testing.hosts.servers import SERVERS

PAGE = (Path(__file__).parents[1] / "docs" / "deployment.md").read_text()
FILES = re.findall(r'^```python title="([^"]+)"\n(.*?)^```', PAGE, re.MULTILINE | re.DOTALL)
STARTED = '<!-- skip: next "tests/test_deployment_page.py starts it" -->\n\n```console\n$ '
COMMANDS = [part.partition("\n```")[0] for part in PAGE.split(STARTED)[1:]]
NGINX = re.findall(r"^```nginx\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
KEY = {"X-API-Key": "correct horse battery staple"}
TWO_ARE_UP = {"granian": SERVERS["granian"].ready_line, "gunicorn asgi:app": SERVERS["gunicorn asgi"].ready_line}
OFTEN = ("uvicorn", "gunicorn wsgi:app --config")
ENDED = (0, 143, -15)  # in good order; by SIGTERM, told by a shell or not

pytestmark = pytest.mark.server


@contextmanager
def served(command: str, folder: Path) -> Iterator[ServerProcess]:
    """The product of the page, served by one of its commands, on a free port."""
    for name, source in FILES:
        (folder / name).write_text(source)
    line = command.replace("\\\n", " ").replace("127.0.0.1:8000", "127.0.0.1:{port}").replace(" 8000", " {port}")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with serving(
        ["bash", "-c", f"exec {line}"],
        folder=folder,
        env={"PATH": path, "VIRTUAL_ENV": sys.prefix, "GUNICORN_CMD_ARGS": "--no-control-socket"},
    ) as server:
        yield server


def ask(server: ServerProcess) -> str:
    answer = server.post("/ai/invoke", {"parameters": {"text": "a fire"}}, KEY)
    assert answer.status == 200, server.log
    return str(answer.json()["outputs"]["output"])


CASES = [
    pytest.param(
        command, marks=() if command.startswith(OFTEN) else pytest.mark.full, id=re.sub(r"\W+", "-", command[:40])
    )
    for command in COMMANDS
]


def test_the_page_has_a_line_for_every_server() -> None:
    servers = {command.split()[0] for command in COMMANDS}
    assert servers == {"uvicorn", "gunicorn", "hypercorn", "granian", "daphne", "uwsgi", "waitress-serve"}


@pytest.mark.parametrize("command", CASES)
def test_a_command_of_the_page_serves_the_product(command: str, tmp_path: Path) -> None:
    if shutil.which(command.split()[0], path=str(Path(sys.executable).parent)) is None:
        pytest.skip("the server is not installed")
    with served(command, tmp_path) as server:
        assert server.get("/ai/health/ready").status == 200
        assert ask(server) == "urgent"
        up = next((line for start, line in TWO_ARE_UP.items() if command.startswith(start)), "")
        wait_until(
            lambda: not up or server.log.count(up) == 2
        )  # some must not be stopped before all of their workers are up
        assert server.terminate() in ENDED, server.log


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_nginx_takes_the_configuration_and_passes_streams_on(tmp_path: Path) -> None:
    front = free_port()
    command = next(command for command in COMMANDS if command.startswith("uvicorn"))
    with served(command, tmp_path) as server:
        pages = NGINX[0].replace("127.0.0.1:8000", f"127.0.0.1:{server.port}").replace("8080", f"127.0.0.1:{front}")
        folders = "".join(
            f"{kind}_temp_path {tmp_path}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        main = f"daemon off; pid {tmp_path}/nginx.pid; error_log stderr; events {{}}"
        (tmp_path / "nginx.conf").write_text(f"{main} http {{ access_log off; {folders} {pages} }}")
        with serving(
            ["nginx", "-e", "stderr", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")],
            folder=tmp_path,
            wait=False,
        ) as nginx:
            nginx.port = front
            wait_until(lambda: nginx.is_up() or nginx.process.poll() is not None)
            assert nginx.process.poll() is None, nginx.log
            assert ask(nginx) == "urgent"
            assert first_event(nginx) == b"data: 21.5\n"


def first_event(server: ServerProcess) -> bytes:
    """The first line of a stream that has no end: it comes only if nobody collects."""
    with server.connection() as connection:
        connection.request("GET", "/temperatures")
        return connection.getresponse().readline()
