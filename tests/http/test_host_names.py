"""What a host finds when it looks for the name of a route of its own and comes past our mount."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from pipemount import PipelineApp


def double(number: int) -> int:
    return 2 * number


async def page(request: Request) -> Response:
    raise AssertionError("only its name is asked for")


def test_a_name_behind_the_mount_is_found() -> None:
    host = Starlette(routes=[Mount("/ai", PipelineApp(double)), Route("/page", page, name="page")])
    assert host.url_path_for("page") == "/page"
