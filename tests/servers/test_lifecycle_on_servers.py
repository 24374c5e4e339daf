"""``on_init`` once and ``on_cleanup`` once per process: the issue's 34 pairs, and ends that need a word of their own.

The conformance suite (tests/hosts) asks every host in its most usual form on every server. Here they come in the other
form: started by a request where the suite has them started by a lifespan, and the other way round.
"""

from __future__ import annotations

import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.support.servers import serve, wait_until

from pipemount.testing.hosts import CLAUSES, SERVERS, Pair
from pipemount.testing.hosts.host import HOSTS, find_host
from pipemount.testing.hosts.servers import UVICORN, Server

FORMS = {
    "Starlette": "mount",
    "FastAPI": "PipelineMiddleware",
    "Django ASGI": "wrap",
    "Django WSGI": "wrap_wsgi",
    "Flask": "wrap_wsgi",
}
ASGI = (
    "uvicorn",
    "uvicorn, 2 workers",
    "uvicorn --lifespan off",
    "hypercorn",
    "granian",
    "daphne",
    "gunicorn asgi",
    "gunicorn asgi --preload",
)
WSGI = ("gunicorn sync", "gunicorn gthread", "gunicorn --preload", "uWSGI", "granian wsgi")
ASKED = ("first-requests", "open-stream", "raising-lifespan", "raising-lazily", "slow-init", "reload", "recycling")
OFTEN = {
    ("Starlette", "uvicorn, 2 workers", "first-requests"),
    ("FastAPI", "granian", "open-stream"),
    ("Starlette", "daphne", "first-requests"),
    ("FastAPI", "gunicorn asgi --preload", "slow-init"),
    ("Django WSGI", "gunicorn --preload", "open-stream"),
    ("Flask", "uWSGI", "first-requests"),
}


def pair_of(host: str, server: Server | str, form: str = "") -> Pair:
    kind = find_host(HOSTS[host])
    found = SERVERS[server] if isinstance(server, str) else server
    return Pair(kind, kind.forms()[form or FORMS[host]], found)


PAIRS = [
    (host, server) for host in FORMS for server in (*ASGI, *WSGI) if find_host(HOSTS[host]).kind == SERVERS[server].kind
]
MATRIX = [
    pytest.param(host, server, name, marks=() if (host, server, name) in OFTEN else pytest.mark.full)
    for host, server in PAIRS
    for name in ASKED
    if not CLAUSES[name].reason(pair_of(host, server))
]


def test_they_are_34() -> None:
    """Three ASGI hosts on eight servers, two WSGI hosts on five; a server of the other kind cannot call the host."""
    assert len(PAIRS) == 3 * len(ASGI) + 2 * len(WSGI) == 34
    assert {case.values for case in MATRIX} >= OFTEN


@pytest.mark.server
@pytest.mark.parametrize(("host", "server", "name"), MATRIX)
def test_start_and_stop(host: str, server: str, name: str, tmp_path: Path) -> None:
    pair = pair_of(host, server)
    if pair.reason:
        pytest.skip(pair.reason)
    CLAUSES[name].check(pair, tmp_path)


# ---------------------------------------------------------------------------------- ends of their own

HYPERCORN_2 = Server(
    name="hypercorn, 2 workers",
    kind="asgi",
    command=(*SERVERS["hypercorn"].command, "--workers", "2"),
    workers=2,
    lifespan=True,
)
WERKZEUG = Server(name="werkzeug", kind="wsgi", command=("tests.servers.development", "{app}", "{port}"))


@pytest.mark.server
@pytest.mark.parametrize("name", ["first-requests", "open-stream"])
@pytest.mark.parametrize(
    ("host", "form", "server"),
    [
        pytest.param("Flask", "init_app", SERVERS["waitress"], id="waitress"),
        pytest.param("Flask", "init_app", WERKZEUG, id="werkzeug", marks=pytest.mark.full),
        pytest.param("Starlette", "wrap", HYPERCORN_2, id="hypercorn-2", marks=pytest.mark.full),
    ],
)
def test_where_the_default_action_of_sigterm_stands(
    host: str, form: str, server: Server, name: str, tmp_path: Path
) -> None:
    CLAUSES[name].check(pair_of(host, server, form), tmp_path)


@pytest.mark.server
def test_ctrl_c_ends_streams_too(tmp_path: Path) -> None:
    with pair_of("Starlette", "uvicorn").start(tmp_path) as running:
        assert running.invoke("process").status == 200
        with running.stream("until-draining") as stream:
            assert stream.event() == ": beat"
            running.server.process.send_signal(signal.SIGINT)
            assert stream.rest()[-1].startswith("event: end\nretry: 1000")
        running.server.wait_for_end()
        assert list(running.noted("cleanup").values()) == [1]


@pytest.mark.server
def test_a_server_that_has_served_its_number_of_requests_ends_streams_too(tmp_path: Path) -> None:
    with pair_of("Starlette", "uvicorn").start(tmp_path, "--limit-max-requests", "1") as running:
        with running.stream("until-draining") as stream:
            assert stream.event() == ": beat"
            assert running.invoke("process").status == 200
            assert stream.rest()[-1].startswith("event: end\nretry: 1000")
        running.server.wait_for_end()
        assert list(running.noted("cleanup").values()) == [1]


@pytest.mark.server
@pytest.mark.full
def test_a_sync_worker_answers_while_on_init_takes_longer_than_its_timeout(tmp_path: Path) -> None:
    pair = pair_of("Flask", "gunicorn sync")
    with pair.start(tmp_path, "--workers", "1", "--timeout", "2", on_init="slow", patience=1.0) as running:
        end = time.monotonic() + 4.0
        while time.monotonic() < end:
            assert running.invoke("process").status == 503
        running.open_gate("init")
        wait_until(lambda: running.invoke("process").status == 200)
        running.server.terminate()
        assert "WORKER TIMEOUT" not in running.log
        assert list(running.noted("init").values()) == list(running.noted("cleanup").values()) == [1]


@pytest.mark.server
def test_several_apps_in_nested_hosts_start_and_stop_each_by_itself(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    command = [part.replace("{app}", "tests.servers.several:app") for part in UVICORN]
    with serve(command, folder=tmp_path, env={"SEVERAL_NOTES": str(notes)}) as server:
        for path in ("/first", "/second", "/again", "/ai", "/nested/ai"):
            reply = server.post(f"{path}/invoke", {"parameters": {"word": path}})
            assert (reply.status, list(reply.json()["outputs"].values())) == (200, [path])
        with server.stream("/ticker") as stream:
            assert stream.event() == ": beat"
            server.process.send_signal(signal.SIGTERM)
            assert stream.rest()[-1] == "event: end\nretry: 1000"
        server.wait_for_end()
    names = ("outer", "middle", "inner")
    assert Counter(notes.read_text().splitlines()) == Counter(
        f"{what} {name}" for what in ("init", "cleanup") for name in names
    )
