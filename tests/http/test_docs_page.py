from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from tests.support.asgi import request

from pipemount import PipelineApp
from pipemount.errors import NotFoundError
from pipemount.http import docs_page
from pipemount.http.routes import DOCS_ASSETS, build_routes

ROUTES = build_routes(("weather",))
FAKE = {name: name.encode() for name in DOCS_ASSETS}


class Links(HTMLParser):
    """All that a browser would load or follow."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in ("src", "href") and value]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docs_page, "ASSETS", FAKE)


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docs_page, "ASSETS", {})


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(("base", "shown"), [("", ""), ("/ai", "/ai"), ("/a/b c", "/a/b%20c"), ('/"<x', "/%22%3Cx")])
def test_page_loads_only_what_lies_below_its_mount(base: str, shown: str) -> None:
    html = bytes(docs_page.page(base, "weather", ROUTES).body).decode()
    assert sorted(Links(html).found) == sorted(f"{shown}/docs/{name}" for name in DOCS_ASSETS)
    assert f'url: location.origin + "{shown}/openapi.json"' in html
    assert "//" not in html.replace("<!doctype html>", "")


@pytest.mark.usefixtures("installed")
def test_script_runs_under_the_policy() -> None:
    pages = [docs_page.page("", "weather", ROUTES) for _ in range(2)]
    nonces = [re.findall(r'nonce="([^"]+)"', bytes(page.body).decode()) for page in pages]
    assert [len(found) for found in nonces] == [1, 1]
    assert nonces[0] != nonces[1]
    policy = pages[0].headers["content-security-policy"]
    assert f"script-src 'self' 'nonce-{nonces[0][0]}'" in policy
    assert "default-src 'none'" in policy
    assert pages[0].headers["x-content-type-options"] == "nosniff"


@pytest.mark.usefixtures("installed")
def test_title_is_escaped() -> None:
    assert "<title>&lt;b&gt;&amp;</title>" in bytes(docs_page.page("", "<b>&", ROUTES).body).decode()


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("name", "media_type"),
    [("swagger-ui.css", "text/css"), ("swagger-ui-bundle.js", "text/javascript"), ("favicon-32x32.png", "image/png")],
)
def test_assets(name: str, media_type: str) -> None:
    response = docs_page.asset(name)
    assert response.body == FAKE[name]
    assert response.headers["content-type"].startswith(media_type)
    assert response.headers["etag"].strip('"').isalnum()


@pytest.mark.usefixtures("installed")
def test_only_listed_assets() -> None:
    with pytest.raises(NotFoundError):
        docs_page.asset("../__init__.py")


@pytest.mark.usefixtures("missing")
def test_without_the_extra_a_plain_page_tells_how_to_get_it() -> None:
    html = bytes(docs_page.page("/ai", "weather", ROUTES).body).decode()
    assert 'pip install "pipemount[docs]"' in html
    assert "<script" not in html
    assert {"/ai/invoke", "/ai/openapi.json", "/ai/info"} <= set(Links(html).found)
    with pytest.raises(NotFoundError, match="docs"):
        docs_page.asset("swagger-ui.css")


def test_installed_package_renders_openapi_3_1() -> None:
    pytest.importorskip("openapi_ui_bundles")
    loaded = docs_page._load()
    assert loaded.keys() == set(DOCS_ASSETS)
    assert b"3.1" in loaded["swagger-ui-bundle.js"]
    assert b"json-schema-2020-12" in loaded["swagger-ui.css"]


def test_no_package_no_assets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert docs_page._load() == {}


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_served_at_a_mount(method: str) -> None:
    app = PipelineApp(double)
    page = await request(app, method, "/ai/docs", root_path="/ai")
    style = await request(app, method, "/ai/docs/swagger-ui.css", root_path="/ai")
    assert (page.status, style.status) == (200, 200)
    assert page.headers["content-type"].startswith("text/html")
    assert style.body == (FAKE["swagger-ui.css"] if method == "GET" else b"")


def double(x: int = 1) -> int:
    return 2 * x
