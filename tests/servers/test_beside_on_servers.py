"""What is beside the pipelines, on real servers: hooks once in each process, all else over a socket."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.servers import Server, serve, wait_until

UVICORN = ["uvicorn", "tests.servers.beside:app", "--port", "{port}", "--workers", "2", "--log-level", "warning"]
GUNICORN = [
    *("gunicorn", "tests.servers.beside:flask", "-b", "127.0.0.1:{port}"),
    *("-w", "2", "-k", "gthread", "--threads", "2"),
]
BEGIN = ["start", "start async", "on_init"]
END = ["on_cleanup", "stop async", "stop"]


def notes(folder: Path) -> dict[str, list[str]]:
    return {path.stem: path.read_text().splitlines() for path in folder.glob("*.notes")}


@pytest.mark.server
@pytest.mark.parametrize(
    ("command", "mount"),
    [pytest.param(UVICORN, "", id="uvicorn", marks=pytest.mark.full), pytest.param(GUNICORN, "/ai", id="gunicorn")],
)
def test_hooks_once_in_each_process_and_everything_over_a_socket(
    command: list[str], mount: str, tmp_path: Path
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "index.html").write_text("<h1>app</h1>")
    with serve(command, folder=tmp_path, env={"BESIDE": str(folder)}) as server:
        wait_until(lambda: server.post(f"{mount}/invoke", {"parameters": {}}).status == 200)
        _check_answers(server, mount)
        wait_until(lambda: _all_begun(server, mount, folder))
        server.terminate()
    found = notes(folder)
    assert len(found) == 2
    for process, lines in found.items():
        assert lines == [*BEGIN, *END], (process, lines)


def _all_begun(server: Server, mount: str, folder: Path) -> bool:
    server.post(f"{mount}/invoke", {"parameters": {}})
    return list(notes(folder).values()) == [BEGIN, BEGIN]


def _check_answers(server: Server, mount: str) -> None:
    assert server.get(f"{mount}/process").json() > 0
    page = server.get(f"{mount}/app/")
    assert (page.status, page.body) == (200, b"<h1>app</h1>")
    refused = server.get(f"{mount}/process", headers={"Host": "evil.example"})
    assert (refused.status, refused.json()["code"]) == (421, "host-not-allowed")
    asked = server.post(f"{mount}/invoke", {"parameters": {}}, headers={"Origin": "https://app.example"})
    assert asked.headers["access-control-allow-origin"] == "https://app.example"
    assert len(asked.headers["x-request-id"]) == 32
    assert "access-control-allow-origin" not in server.get(f"{mount}/process", headers={"Origin": "null"}).headers
