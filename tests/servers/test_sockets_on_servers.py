"""WebSockets on real servers: many of them at the end of the server, and pages of other origins in a real browser."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright
from tests.support.servers import Server, serve
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

pytestmark = pytest.mark.server

APP = "tests.servers.talking:app"
UVICORN = ["uvicorn", APP, "--port", "{port}", "--log-level", "warning"]
SERVERS = {
    "uvicorn, websockets": [*UVICORN, "--ws", "auto"],
    "uvicorn, wsproto": [*UVICORN, "--ws", "wsproto", "--http", "httptools"],
    "hypercorn": ["hypercorn", APP, "--bind", "127.0.0.1:{port}", "--graceful-timeout", "3"],
    "granian": ["granian", APP, "--port", "{port}", "--interface", "asgi", "--no-access-log"],
}
CHROMIUM = Path("/usr/bin/chromium")


async def open_all(server: Server, count: int) -> list[ClientConnection]:
    """So many sockets; each follows the one run that goes on."""
    url = f"ws://127.0.0.1:{server.port}/ai/stream"
    sockets = [await connect(url, ping_interval=None, proxy=None) for _ in range(count)]
    await sockets[0].send(json.dumps({"type": "invoke", "parameters": {"seconds": 60}}))
    job_id = json.loads(await sockets[0].recv())["job_id"]
    for socket in sockets[1:]:
        await socket.send(json.dumps({"type": "subscribe", "job_id": job_id}))
        assert json.loads(await socket.recv())["type"] == "accepted"
    return sockets


async def ending(socket: ClientConnection) -> tuple[str, int | None]:
    """The type of the last message, and the close code."""
    last: dict[str, Any] = {}
    try:
        while True:
            last = json.loads(await socket.recv())
    except ConnectionClosed as closed:
        return last.get("type", ""), closed.rcvd.code if closed.rcvd else None


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name == "uvicorn, wsproto" else pytest.mark.full) for name in SERVERS],
)
def test_l3_a_hundred_sockets_do_not_keep_a_server_from_stopping(name: str, tmp_path: Path) -> None:
    async def talk(server: Server) -> Counter[tuple[str, int | None]]:
        nonlocal told_at
        sockets = await open_all(server, 100)
        told_at = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        return Counter(await asyncio.gather(*map(ending, sockets)))

    told_at = 0.0
    with serve(SERVERS[name], folder=tmp_path) as server:
        ends = asyncio.run(asyncio.wait_for(talk(server), 60))
        server.wait_for_end(15)
        print(f"{name}: {ends}, {time.monotonic() - told_at:.2f} s")
        assert "Traceback" not in server.log
    if name != "granian":  # cuts WebSockets off when it is told to stop
        assert {code for _, code in ends} == {1012}


def test_c2_a_page_of_another_origin_in_a_real_browser(tmp_path: Path) -> None:
    with serve(SERVERS["uvicorn, wsproto"], folder=tmp_path) as server, sync_playwright() as playwright:
        url = f"ws://127.0.0.1:{server.port}/ai/stream"
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"{server.url}/page")
        told = page.evaluate("url => say(url)", url)
        page.goto(f"http://localhost:{server.port}/page")  # another origin, as browsers see it
        refused = page.evaluate("url => say(url)", url)
        browser.close()
        log = server.log
    assert (told[0], told[-1]) == ("accepted", "ended")
    assert refused == []
    assert "Traceback" not in log
