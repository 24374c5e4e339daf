"""From what ``serve`` was told to an application."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.asgi import get

from pipemount import PipelineApp
from pipemount.cli.exits import CommandError
from pipemount.cli.hosting import VARIABLE, as_app, create, describe_places, is_asgi
from pipemount.cli.serve import _warnings
from pipemount.cli.targets import load

NO_KEYS: dict[str, Any] = {"keys": [], "key_env": None, "key_file": None}


def test_a_worker_makes_the_app_from_the_environment(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, json.dumps({"target": "shop:weather", **NO_KEYS}))
    app = create()
    assert isinstance(app, PipelineApp)
    assert list(app.pipelines) == ["weather"]
    assert app.auth is None


def test_keys_come_from_an_environment_variable(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYS", "ci:correct horse battery staple")
    app: Any = as_app({"target": "shop:weather", **NO_KEYS, "key_env": "KEYS"})
    assert app.auth.names == ("ci",)


def test_apps_are_served_as_they_are(shop: Path) -> None:
    for name in ("host", "locked"):
        assert as_app({"target": f"apps:{name}", **NO_KEYS}) is load(f"apps:{name}")


def test_an_application_is_told_by_its_parameters() -> None:
    async def app(scope: object, receive: object, send: object) -> None: ...

    assert is_asgi(app)
    assert not is_asgi(lambda city: city)
    assert not is_asgi(3)


def test_the_docs_page_of_a_host_is_named(shop: Path) -> None:
    fastapi = pytest.importorskip("fastapi")
    host = fastapi.FastAPI()
    host.mount("/ai", load("apps:one"))
    told = list(describe_places(host, "http://a"))
    assert told == [
        "  url        http://a",
        "  docs       http://a/docs",
        "  pipelines  http://a/ai",
        "    docs     http://a/ai/docs",
    ]
    bare = fastapi.FastAPI(docs_url=None)
    assert list(describe_places(bare, "http://a")) == ["  url        http://a"]


def test_an_open_app_beyond_this_machine_is_warned_of(shop: Path) -> None:
    assert _warnings(load("apps:one"), "0.0.0.0") == [
        "no keys are set: whoever reaches this address can invoke (--key-env sets them)",
        "requests that ask for another host than this machine are refused (--allowed-host allows more)",
    ]
    assert _warnings(load("apps:one"), "127.0.0.1") == []
    assert _warnings(load("apps:locked"), "0.0.0.0") == []
    assert _warnings(load("apps:host"), "0.0.0.0") == []


async def status_for(app: Any, host: str) -> int:
    return (await get(app, "/info", headers={"host": host})).status


async def test_c3_without_keys_only_this_machines_names_are_answered(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = {"target": "shop:weather", **NO_KEYS, "host": "127.0.0.1"}
    monkeypatch.setenv(VARIABLE, json.dumps(order))
    for app in (as_app(order), create()):
        for name in ("localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST"):
            assert await status_for(app, name) == 200
        for name in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "192.0.2.7"):
            assert await status_for(app, name) == 421
    listening: Any = as_app(order | {"host": "192.0.2.7"})
    assert (await status_for(listening, "192.0.2.7:80"), await status_for(listening, "evil.example")) == (200, 421)


async def test_c3_keys_and_what_is_asked_for_stand_above_that(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = {"target": "shop:weather", **NO_KEYS, "host": "127.0.0.1"}
    monkeypatch.setenv("KEYS", "ci:correct horse battery staple")
    assert await status_for(as_app(order | {"key_env": "KEYS"}), "evil.example") == 401
    named: Any = as_app(order | {"allowed_hosts": ["ai.example"]})
    assert (await status_for(named, "ai.example"), await status_for(named, "localhost")) == (200, 421)
    assert await status_for(as_app(order | {"allowed_hosts": ["*"]}), "evil.example") == 200
    with pytest.raises(CommandError, match="has a list of its own"):
        as_app(order | {"target": "apps:host", "allowed_hosts": ["ai.example"]})
