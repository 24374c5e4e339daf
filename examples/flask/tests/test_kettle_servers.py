"""The shop under gunicorn and under uvicorn: pages, API, and one start and one stop of the pipeline per process."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from live import GUNICORN, UVICORN, LiveServer
from visitors import ADA, HOME, PASSWORD

pytestmark = pytest.mark.server

COMMANDS = {
    "gunicorn gthread": GUNICORN,
    "gunicorn sync": (*GUNICORN[:3], "--workers", "1", GUNICORN[-1]),
    "gunicorn preload": (*GUNICORN[:-1], "--preload", GUNICORN[-1]),
    "uvicorn": UVICORN,
    "uvicorn, no lifespan": (*UVICORN[:-1], "--lifespan", "off", UVICORN[-1]),
}


ALSO = [pytest.param(name, marks=pytest.mark.full) for name in COMMANDS if name not in ("gunicorn gthread", "uvicorn")]


@pytest.fixture(params=["gunicorn gthread", "uvicorn", *ALSO])
def server(request: pytest.FixtureRequest, database: Path) -> Iterator[LiveServer]:
    environment = {"KETTLE_DATABASE": f"sqlite:///{database}", "KETTLE_PACE": "0.005"}
    with LiveServer(COMMANDS[request.param], environment) as server:
        yield server
        print(*server.log, sep="\n")


def form(client: httpx.Client, path: str, **fields: object) -> httpx.Response:
    found = re.search(r'name="csrf-token" content="([^"]+)"', client.get("/").text)
    assert found is not None
    return client.post(path, data={"csrf_token": found[1], **fields})


def test_a_shop_that_is_open(server: LiveServer) -> None:
    with httpx.Client(base_url=server.url, trust_env=False, timeout=60) as customer:
        assert form(customer, "/login", email=ADA, password=PASSWORD).status_code == 303
        assert form(customer, "/basket/4", quantity=1).status_code == 303
        at = form(customer, "/checkout", **HOME).headers["location"]
        assert "Thank you!" in customer.get(at).text
        made = re.search(r'id="new-key">([^<]+)<', form(customer, "/account/keys", label="tests").text)
        assert made is not None
    number = int(at.rpartition("/")[2])
    key = {"Authorization": f"Bearer {made[1]}"}

    def ask(order_id: int) -> httpx.Response:
        body = {"parameters": {"order_id": order_id}}
        return httpx.post(f"{server.url}/ai/invoke", json=body, headers=key, trust_env=False, timeout=60)

    with ThreadPoolExecutor(8) as programs:
        answers = list(programs.map(ask, [number, 1] * 8))
    assert [answer.status_code for answer in answers] == [200, 404] * 8
    assert {answer.json()["outputs"]["verdict"]["decision"] for answer in answers[::2]} == {"accepted"}
    assert httpx.post(f"{server.url}/ai/invoke", json={}, trust_env=False, timeout=60).status_code == 401
    if "--workers" not in server.command:  # a sync worker has one request at a time
        listen(server, key)
    server.stop()
    told = [line for line in server.log if "on_init:" in line or "on_cleanup:" in line]
    assert [line.partition("on_")[2].partition(":")[0] for line in told] == ["init", "cleanup"], server.log


def listen(server: LiveServer, key: dict[str, str]) -> None:
    """A stream that is not read holds nobody up, and has everything when it is read, as the one that was."""
    body = {"parameters": {"slug": "mint-garden", "question": "How do I brew it?"}}
    with httpx.Client(base_url=server.url, trust_env=False, timeout=60, headers=key) as program:
        url = program.post("/ask/submit", json=body).json()["stream_url"]
        with program.stream("GET", url) as slow:
            whole = program.get(url).text
            assert program.get(url.removesuffix("/events")).json()["status"] == "succeeded"
            assert slow.read().decode() == whole
    numbers = [int(line.removeprefix("id: ")) for line in whole.splitlines() if line.startswith("id: ")]
    assert numbers == list(range(1, len(numbers) + 1))
    assert whole.count("\nevent: delta\n") > 30
    assert "\nevent: run_completed\n" in whole


def test_pages_are_answered_while_all_streams_are_taken(database: Path) -> None:
    """A stream takes a thread of the server. Of the 32, eight are left to the pages."""
    environment = {"KETTLE_DATABASE": f"sqlite:///{database}", "KETTLE_PACE": "0.5"}
    with LiveServer(GUNICORN, environment) as server, ExitStack() as stack:

        def visitor() -> httpx.Client:
            return stack.enter_context(httpx.Client(base_url=server.url, trust_env=False, timeout=60))

        def listen(client: httpx.Client, url: str) -> int:
            return stack.enter_context(client.stream("GET", url)).status_code

        customers = [visitor() for _ in range(7)]
        *places, last = [question(customer, f"c{number}") for number, customer in enumerate(customers)]
        opened = [listen(customer, url) for customer, url in zip(customers, places, strict=False) for _ in range(4)]
        assert opened == [200] * 24
        refused = customers[-1].get(last)
        assert (refused.status_code, refused.json()["limit"]) == (429, 24)
        assert customers[-1].get(last.removesuffix("/events")).json()["status"] == "running"
        with ThreadPoolExecutor(8) as guests:
            pages = guests.map(
                lambda _: httpx.get(f"{server.url}/", trust_env=False, timeout=60).status_code, range(24)
            )
            assert list(pages) == [200] * 24


def question(client: httpx.Client, name: str) -> str:
    """Open an account and ask the shopkeeper; where his answer streams."""
    fields = {"name": name, "email": f"{name}@post.example", "password": "peppermint"}
    assert form(client, "/register", **fields).status_code == 303
    token = re.findall(r'name="csrf-token" content="([^"]+)"', client.get("/").text)[0]
    body = {"parameters": {"slug": "mint-garden", "question": "How do I brew it, and when do you send it?"}}
    url: str = client.post("/ask/submit", json=body, headers={"X-CSRFToken": token}).json()["stream_url"]
    return url
