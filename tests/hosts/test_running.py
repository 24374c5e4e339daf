"""Clauses on running products: by default each host once, with --full every pair of host and server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipemount.testing.hosts import CLAUSES, Clause, Pair, Running, pairs

pytestmark = pytest.mark.server

WHOLE = {
    "FastAPI include_router on uvicorn",
    "Django ASGI urls on uvicorn",
    "Django WSGI urls on uWSGI",
    "Flask init_app on gunicorn gthread",
    "Litestar asgi(is_mount=True) on uvicorn",
}
BRIEF = {
    "Starlette mount, own lifespan on granian",
    "Quart wrap on uvicorn",
    "Sanic wrap on uvicorn",
    "Channels URLRouter on uvicorn",
    "Bare ASGI wrap on hypercorn",
    "Plain WSGI wrap_wsgi on waitress",
    "Bottle wrap_wsgi on gunicorn gthread",
    "Pyramid wrap_wsgi on gunicorn gthread",
    "Falcon wrap_wsgi on gunicorn gthread",
}
IN_BRIEF = {"invoke", "keys", "problems", "one-by-one", "run-sync-view"}


def is_often(pair: Pair, clause: Clause) -> bool:
    return pair.name in WHOLE or (pair.name in BRIEF and clause.name in IN_BRIEF)


CASES = [
    pytest.param(
        pair, clause, marks=() if is_often(pair, clause) else pytest.mark.full, id=f"{pair.name}-{clause.name}"
    )
    for pair in pairs()
    for clause in CLAUSES.values()
    if not clause.alone and not pair.reason and not clause.reason(pair)
]


@pytest.fixture(scope="module")
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    pair: Pair = request.param
    with pair.start(tmp_path_factory.mktemp("running")) as running:
        yield running


@pytest.mark.parametrize(("running", "clause"), CASES, indirect=["running"], scope="module")
def test_a_running_product(running: Running, clause: Clause) -> None:
    clause.check(running)


def test_the_default_run_has_every_host() -> None:
    names = {pair.name for pair in pairs()}
    assert names >= WHOLE | BRIEF
    assert {pair.host.name for pair in pairs() if pair.name in WHOLE | BRIEF} == {pair.host.name for pair in pairs()}
