"""The page about settings: each of ours is in it with its default, and every field of ZenML's has its answer."""

from __future__ import annotations

import os
import re
from dataclasses import MISSING, Field, fields
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from tests.support.asgi import get

import pipemount
from pipemount import PipelineApp, Settings, pipeline, step
from pipemount.pipelines.specs import Hook
from pipemount.types import ASGIApp, Receive, Scope, Send

PAGE = (Path(__file__).parents[1] / "docs" / "settings.md").read_text()
OURS, ZENMLS = PAGE.split("## All settings")[1].split("## Coming from ZenML")
ROW = re.compile(r"^\| `([\w.]+)` \| (.+?) \| (.*?) ?\|$", re.MULTILINE)

FIELDS = re.findall(
    r"\w+",
    """
    app_title app_description app_version app_kwargs include_default_endpoints include_default_middleware root_url_path
    api_url_path docs_url_path redoc_url_path invoke_url_path submit_url_path health_url_path info_url_path
    metrics_url_path dashboard_files_path cors secure_headers thread_pool_size async_execution_thread_pool_size
    startup_hook startup_hook_kwargs shutdown_hook shutdown_hook_kwargs custom_endpoints custom_middlewares
    app_extensions uvicorn_host uvicorn_port uvicorn_workers uvicorn_reload uvicorn_kwargs log_level
    deployment_app_runner_flavor deployment_app_runner_kwargs deployment_service_class deployment_service_kwargs
    """,
)
"""Of ``DeploymentSettings`` in ZenML 0.98."""
INNER = {
    "cors": ("allow_origins", "allow_methods", "allow_headers", "allow_credentials"),
    "secure_headers": ("server", "hsts", "xfo", "content", "csp", "referrer", "cache", "permissions"),
    "custom_endpoints": ("path", "method", "handler", "native", "auth_required", "init_kwargs", "extra_kwargs"),
    "custom_middlewares": ("middleware", "native", "order", "init_kwargs", "extra_kwargs"),
    "app_extensions": ("extension", "extension_kwargs"),
}
"""And of what those hold."""
DEPLOYERS = ("auth_key", "generate_auth_key", "lcm_timeout")
ALL = [*FIELDS, *(f"{outer}.{inner}" for outer, those in INNER.items() for inner in those), *DEPLOYERS]
NONE = "none"


@step
def describe(city: str) -> str:
    return city


@pipeline
def weather(city: str = "London") -> Any:
    return describe(city)


async def version(asked: Request, *, mark: str = "") -> PlainTextResponse:
    return PlainTextResponse("7" + mark)


class Timing:
    def __init__(self, app: ASGIApp, header: str = "x-time") -> None:
        self.app, self.header = app, header

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


def install(app: Any, *, path: str = "/more") -> None:
    app.add_endpoint(pipemount.Endpoint(path, version))


NAMES: dict[str, Any] = {
    **{name: getattr(pipemount, name) for name in pipemount.__all__},
    **{"Hook": Hook, "Middleware": Middleware, "GZipMiddleware": GZipMiddleware, "Route": Route, "partial": partial},
    **{"weather": weather, "version": version, "Timing": Timing, "install": install, "os": os},
}


def rows(text: str) -> dict[str, tuple[str, str]]:
    found = ROW.findall(text)
    assert len({name for name, *_ in found}) == len(found), "no field comes twice"
    return {name: (second, third) for name, second, third in found}


def evaluated(code: str) -> Any:
    assert code[0] == code[-1] == "`", code
    return eval(code[1:-1], dict(NAMES))


def default_of(field: Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default


def test_every_setting_is_on_the_page_with_its_default() -> None:
    told = rows(OURS)
    assert told.keys() == {field.name for field in fields(Settings)}
    for field in fields(Settings):
        default, what = told[field.name]
        assert evaluated(default) == default_of(field), field.name
        assert type(evaluated(default)) is type(default_of(field)), field.name
        assert what


def test_every_setting_is_in_the_docstring() -> None:
    described = re.findall(r"^ {4}    (\w+): ", Settings.__doc__ or "", re.MULTILINE)
    assert sorted(described) == sorted(field.name for field in fields(Settings))


def test_every_field_of_zenmls_has_its_row() -> None:
    assert rows(ZENMLS).keys() == set(ALL)


@pytest.mark.parametrize("field", ALL)
def test_each_field_of_zenmls_has_its_answer(field: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Either there is no need of it, and the page says why; or what the page says makes an app."""
    here, different = rows(ZENMLS)[field]
    if here == NONE:
        assert different.startswith("no need: ")
        assert len(different) > len("no need: see above") - 1
        return
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "index.html").write_text("hello")
    value = evaluated(here)
    kind = type(value).__name__
    if kind == "PipelineApp":
        return
    options: dict[str, Any] = {
        "Settings": {"settings": value},
        "Endpoint": {"endpoints": [value]},
        "Cors": {"settings": None if kind != "Cors" else Settings(cors=value)},
        "SecureHeaders": {"settings": None if kind != "SecureHeaders" else Settings(secure_headers=value)},
    }[kind]
    app = PipelineApp(weather, **options)
    assert isinstance(app, PipelineApp)


MOVED = {"docs": "/manual", "invoke": "/predict", "submit": "/jobs-new", "health": "/healthz", "info": "/about"}


@pytest.mark.parametrize("route", [*MOVED, "metrics"])
async def test_what_the_page_says_of_paths_is_so(route: str) -> None:
    settings = evaluated(rows(ZENMLS)[f"{route}_url_path"][0])
    app = PipelineApp(weather, settings=settings)
    moved = {"metrics": "/stats", **MOVED}[route]
    assert (await get(app, moved)).status in (200, 405, 503)
    assert (await get(app, f"/{route}")).status == 404


async def test_what_the_page_says_of_switched_off_routes_is_so() -> None:
    app = PipelineApp(weather, settings=evaluated(rows(ZENMLS)["include_default_endpoints"][0]))
    for path in ("/docs", "/info", "/health", "/metrics", "/submit"):
        assert (await get(app, path)).status == 404
    bare = PipelineApp(weather, settings=evaluated(rows(ZENMLS)["include_default_middleware"][0]))
    headers = (await get(bare, "/info", headers={"origin": "https://app.example"})).headers
    assert not [name for name in headers if name.startswith(("x-", "access-control-", "content-security", "referrer"))]
