"""``on_init`` once and ``on_cleanup`` once per process, on real servers, in every form of hosting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from tests.support.servers import Reply, Server, serve, wait_until

pytestmark = pytest.mark.server

APP = "tests.servers.product:app"
UVICORN = ("uvicorn", APP, "--port", "{port}", "--log-level", "warning")
HYPERCORN = ("hypercorn", APP, "--bind", "127.0.0.1:{port}", "--graceful-timeout", "3")
GRANIAN = ("granian", APP, "--port", "{port}", "--no-access-log")

SERVERS = {
    "uvicorn": UVICORN,
    "uvicorn-on": (*UVICORN, "--lifespan", "on"),
    "uvicorn-off": (*UVICORN, "--lifespan", "off"),
    "uvicorn-2": (*UVICORN, "--workers", "2"),
    "uvicorn-2-off": (*UVICORN, "--workers", "2", "--lifespan", "off"),
    "hypercorn": HYPERCORN,
    "hypercorn-2": (*HYPERCORN, "--workers", "2"),
    "granian": (*GRANIAN, "--interface", "asgi"),
    "granian-off": (*GRANIAN, "--interface", "asginl"),
    "granian-2": (*GRANIAN, "--interface", "asgi", "--workers", "2"),
}
FORMS = (
    "alone",
    "fastapi_include",
    "fastapi_lifespan",
    "fastapi_middleware",
    "fastapi_mount",
    "starlette_lifespan",
    "starlette_mount",
    "starlette_wrap",
)
WITHOUT_LIFESPAN = {"uvicorn-off", "uvicorn-2-off", "granian-off"}
OFTEN = {
    *((server, "starlette_mount") for server in SERVERS),
    *(("uvicorn", form) for form in FORMS),
    *((server, "starlette_wrap") for server in ("uvicorn-off", "uvicorn-2", "hypercorn", "granian", "granian-2")),
}
MATRIX = [
    pytest.param(server, form, marks=() if (server, form) in OFTEN else pytest.mark.full)
    for server in SERVERS
    for form in FORMS
]

Run = Callable[..., AbstractContextManager[Server]]


class Notes:
    """What the product's processes wrote down."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def of(self, what: str) -> Counter[int]:
        """How often each process noted ``what``."""
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        return Counter(int(line.partition(" ")[0]) for line in lines if line.partition(" ")[2] == what)


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    return Notes(tmp_path / "notes")


@pytest.fixture
def run(tmp_path: Path, notes: Notes) -> Run:
    @contextmanager
    def run(server: str, form: str, *, wait: bool = True, **env: str) -> Iterator[Server]:
        product = {"PRODUCT_FORM": form, "PRODUCT_NOTES": str(notes.path)}
        product.update({f"PRODUCT_{name.upper()}": value for name, value in env.items()})
        with serve(SERVERS[server], folder=tmp_path, env=product, wait=wait) as running:
            running.prefix = "" if form == "alone" else "/ai"
            if wait and server.startswith("granian"):  # it loses sight of workers that SIGTERM finds starting
                workers = 2 if "-2" in server else 1
                wait_until(lambda: running.log.count("Started worker-") == workers)
            yield running

    return run


def invoke(server: Server) -> Reply:
    return server.post(f"{server.prefix}/invoke", {"parameters": {}})


@pytest.mark.parametrize(("name", "form"), MATRIX)
def test_first_requests_at_once_then_sigterm(run: Run, notes: Notes, name: str, form: str) -> None:
    with run(name, form) as server:
        replies = server.at_once(20, lambda: invoke(server))
        assert {reply.status for reply in replies} == {200}, server.log
        answered = {next(iter(reply.json()["outputs"].values())) for reply in replies}
        server.terminate()
    started = notes.of("init")
    assert answered <= set(started)
    assert set(started.values()) == {1}
    assert notes.of("cleanup") == started, server.log
    if form not in ("alone", "fastapi_lifespan", "fastapi_mount") and name not in WITHOUT_LIFESPAN:
        assert notes.of("host stop") == notes.of("host start")
        assert set(started) <= set(notes.of("host start"))


@pytest.mark.parametrize("form", ["starlette_lifespan", "starlette_wrap", "alone"])
@pytest.mark.parametrize("name", ["uvicorn", "hypercorn", "granian"])
def test_a_failing_start_keeps_a_server_from_serving(run: Run, notes: Notes, name: str, form: str) -> None:
    with run(name, form, wait=False, start="raises") as server:
        server.wait_for_end()
        assert "the model is not there" in server.log
    assert set(notes.of("init").values()) == {1}
    assert not notes.of("cleanup")
    assert not notes.of("host start")


@pytest.mark.parametrize("name", ["uvicorn", "uvicorn-off", "hypercorn", "granian", "granian-off"])
def test_a_failing_lazy_start_is_answered_503_and_retried(run: Run, notes: Notes, name: str) -> None:
    with run(name, "starlette_mount", start="raises-once") as server:
        first = invoke(server)
        assert first.status == 503
        assert first.headers["content-type"] == "application/problem+json"
        assert first.json()["code"] == "start-failed"
        assert int(first.headers["retry-after"]) >= 1
        assert b"model" not in first.body
        assert "OSError: the model is not there" in server.log
        assert server.get("/page").status == 200
        wait_until(lambda: invoke(server).status == 200)
        server.terminate()
    assert list(notes.of("init").values()) == [2]
    assert list(notes.of("cleanup").values()) == [1]


@pytest.mark.parametrize("form", ["starlette_mount", "starlette_lifespan"])
@pytest.mark.parametrize("name", ["uvicorn", "hypercorn", "granian"])
def test_a_slow_start_is_answered_503_until_it_is_done(run: Run, notes: Notes, name: str, form: str) -> None:
    with run(name, form, start="slow", patience="0.1") as server:
        replies = server.at_once(3, lambda: server.get("/ai/health/ready"))
        assert {(reply.status, reply.json()["code"]) for reply in replies} == {(503, "starting")}
        assert server.get("/page").status == 200
        assert server.get("/ai/health/live").status == 200
        notes.path.with_name("gate").touch()
        wait_until(lambda: server.get("/ai/health/ready").status == 200)
        assert invoke(server).status == 200
        server.terminate()
    assert list(notes.of("init").values()) == list(notes.of("cleanup").values()) == [1]
