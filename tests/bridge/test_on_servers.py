"""The bridge under real WSGI servers."""

from __future__ import annotations

from http.client import HTTPException
from pathlib import Path

import pytest
from tests.bridge.cases import BEYOND, CASES, SERVERS, served

pytestmark = pytest.mark.server

OFTEN = {"gunicorn --preload", "uWSGI"}


@pytest.mark.parametrize(
    "server", [pytest.param(name, marks=() if name in OFTEN else pytest.mark.full) for name in SERVERS]
)
def test_all_holds_on(server: str, tmp_path: Path) -> None:
    beyond = BEYOND.get(server, {})
    with served(server, "pipemount", tmp_path) as running:
        for case in CASES:
            running.reset()
            if case in beyond:
                with pytest.raises((AssertionError, HTTPException)):  # should a server learn it, the page is to say so
                    case(running)
            else:
                case(running)
