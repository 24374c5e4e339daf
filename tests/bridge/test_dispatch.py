"""A WSGI callable under a path of a WSGI host."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from tests.support.wsgi import call, environ

from pipemount.bridge import Dispatcher
from pipemount.errors import ConfigurationError


def tells(name: str) -> Any:
    """A callable that tells what it was asked for."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("content-type", "text/plain")])
        told = f"{name} '{environ.get('SCRIPT_NAME')}' '{environ.get('PATH_INFO')}'"
        return [told.encode("latin-1")]

    return app


@pytest.mark.parametrize(
    ("script", "path", "told"),
    [
        ("", "/ai", "inner '/ai' ''"),
        ("", "/ai/", "inner '/ai' '/'"),
        ("", "/ai/invoke", "inner '/ai' '/invoke'"),
        ("/product", "/ai/invoke", "inner '/product/ai' '/invoke'"),
        ("/product/", "/ai//x", "inner '/product/ai' '//x'"),
        ("", "/aid", "host '' '/aid'"),
        ("", "/", "host '' '/'"),
        ("", "/x/ai", "host '' '/x/ai'"),
        ("/ai", "/invoke", "host '/ai' '/invoke'"),
    ],
)
def test_a_path_belongs_to_whole_segments(script: str, path: str, told: str) -> None:
    app = Dispatcher(tells("host"), tells("inner"), "/ai")
    assert app(environ(path=path, SCRIPT_NAME=script), lambda *_: lambda _: None) == [told.encode()]


def test_the_host_gets_the_environment_itself_and_the_inner_one_a_copy() -> None:
    seen: list[WSGIEnvironment] = []

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        seen.append(environ)
        return []

    dispatcher = Dispatcher(app, app, "ai/")
    host, inner = environ(path="/x"), environ(path="/ai/x")
    dispatcher(host, lambda *_: lambda _: None)
    dispatcher(inner, lambda *_: lambda _: None)
    assert seen[0] is host
    assert inner["PATH_INFO"] == "/ai/x"
    assert seen[1] == {**inner, "SCRIPT_NAME": "/ai", "PATH_INFO": "/x"}


def test_a_path_of_any_letters_is_found_as_servers_spell_it() -> None:
    app = Dispatcher(tells("host"), tells("inner"), "/größe")
    reply = call(app, path="/größe/x".encode().decode("latin-1"))
    assert reply.body.decode() == "inner '/größe' '/x'"


@pytest.mark.parametrize("path", ["", "/"])
def test_a_path_that_would_hide_the_host_is_refused(path: str) -> None:
    with pytest.raises(ConfigurationError, match="hide the host"):
        Dispatcher(tells("host"), tells("inner"), path)
