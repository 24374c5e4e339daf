"""Files beside the API: what is served, to whom, and what never is."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.support.asgi import get, post, request
from tests.support.spending import within

from pipemount import AuthKeys, PipelineApp, StaticFolder, pipeline, step
from pipemount.errors import ConfigurationError

READER, INVOKER = "reader-reader-reader-1", "invoker-invoker-invoker"
AS_READER, AS_INVOKER = {"x-api-key": READER}, {"x-api-key": INVOKER}
BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@step
async def greet(name: str) -> str:
    return f"Hello, {name}!"


@pipeline
def greeting(name: str = "Ada") -> Any:
    return greet(name)


def keys() -> AuthKeys:
    from pipemount.auth.key import Key

    return AuthKeys([Key("reader", READER, permissions=frozenset({"read"})), Key("invoker", INVOKER)])


def make(*endpoints: Any, **options: Any) -> PipelineApp:
    return PipelineApp(greeting, endpoints=endpoints, **options)


INVOKE: dict[str, Any] = {"parameters": {}}


# -------------------------------------------------------------------------------------------- files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    dist = tmp_path / "dist"
    (dist / "assets").mkdir(parents=True)
    (dist / "index.html").write_text("<h1>app</h1>")
    (dist / "assets" / "app.js").write_text("1234567890")
    (dist / ".env").write_text("TOP=1")
    (dist / ".well-known").mkdir()
    (dist / ".well-known" / "security.txt").write_text("mail")
    (tmp_path / "secret.txt").write_text("TOP")
    (dist / "link.txt").symlink_to(tmp_path / "secret.txt")
    return dist


async def test_a_single_page_app_beside_the_api(folder: Path) -> None:
    app = make(static=folder)
    page = await get(app, "/", headers=BROWSER)
    assert (page.status, page.body) == (200, b"<h1>app</h1>")
    assert page.headers["cache-control"] == "no-cache"
    assert page.headers["content-security-policy"].startswith("default-src 'self'")
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "routes" in (await get(app, "/")).json(), "what is no browser gets the index"
    script = await get(app, "/assets/app.js")
    assert (script.body, script.headers["cache-control"]) == (b"1234567890", "private, max-age=3600")
    again = await get(app, "/assets/app.js", headers={"if-none-match": script.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    assert (await request(app, "HEAD", "/assets/app.js")).headers["content-length"] == "10"
    assert (await get(app, "/.well-known/security.txt")).status == 200
    for path in ("/nothing", "/assets", "/assets/nothing.js", "/some/page"):
        missing = await get(app, path, headers=BROWSER)
        assert (missing.status, missing.json()["code"]) == (404, "not-found")
    assert (await post(app, "/assets/app.js", {})).status == 404


async def test_a_page_with_paths_of_its_own_is_shown_to_browsers_that_navigate(folder: Path) -> None:
    app = make(static=StaticFolder(folder, fallback=True, permission=None, content_security_policy=None))
    assert (await get(app, "/some/page", headers=BROWSER)).body == b"<h1>app</h1>"
    assert "content-security-policy" not in (await get(app, "/some/page", headers=BROWSER)).headers
    assert (await get(app, "/assets/app.js")).headers["cache-control"] == "public, max-age=3600"
    assert (await get(app, "/some/page", headers={"accept": "application/json"})).status == 404
    for path in ("/jobs/1/2/3", "/pipelines/nothing", "/docs/nothing", "/invoke/nothing", "/health/nothing"):
        assert (await get(app, path, headers=BROWSER)).status == 404
    assert (await get(app, "/invoke", headers=BROWSER)).status == 405


async def test_files_take_a_key_unless_they_are_open(folder: Path) -> None:
    closed, opened = (make(static=StaticFolder(folder, permission=p), auth=keys()) for p in ("by-method", None))
    for path in ("/assets/app.js", "/nothing", "/"):
        assert (await get(closed, path, headers=BROWSER)).status == 401
    assert (await get(closed, "/assets/app.js", headers=AS_READER)).status == 200
    assert (await get(opened, "/", headers=BROWSER)).body == b"<h1>app</h1>"
    assert (await get(opened, "/")).status == 401, "the index is the API's"


@pytest.mark.parametrize(
    "path",
    [
        *("/../secret.txt", "/assets/../../secret.txt", "/%2e%2e/secret.txt", "//secret.txt", "/./../secret.txt"),
        *("/link.txt", "/.env", "/assets/../.env", "/..\\secret.txt", "/secret.txt\x00", "/" + "a" * 5000),
        *("/etc/passwd", "//etc/passwd", "/assets/..%2f..%2fsecret.txt", "/\udcff"),
    ],
)
async def test_nothing_outside_of_the_folder_and_nothing_hidden_is_served(folder: Path, path: str) -> None:
    for static in (folder, StaticFolder(folder, path="/app")):
        for prefix in ("", "/app"):
            answer = await get(make(static=static), prefix + path, headers=BROWSER)
            assert answer.status == 404
            assert b"TOP" not in answer.body


RANGES = [
    "bytes=" + ",".join(f"{n}-{n}" for n in range(10_000)),
    "bytes=" + ",".join("0-" for _ in range(10_000)),
    "bytes=" + ",".join(f"-{n}" for n in range(1, 10_000)),
    "bytes=" + "0-0," * 10_000,
    "bytes=9999999999-",
    "bytes=5-2",
    "bytes=" + "9" * 10_000 + "-",
    "bites=0-1",
    "bytes=-",
    "bytes=a-b",
    "bytes",
]


@pytest.mark.parametrize("ranges", RANGES, ids=range(len(RANGES)))
async def test_d7_thousands_of_ranges_are_answered_once_and_at_once(folder: Path, ranges: str) -> None:
    (folder / "large.bin").write_bytes(bytes(200_000))
    app = make(static=folder)
    await get(app, "/large.bin")
    for path in ("/large.bin", "/docs/swagger-ui.css"):
        answer = await within(0.1, partial(get, app, path, headers={"range": ranges}))  # the row says 50 ms
        assert answer.status == (416 if ranges == "bytes=9999999999-" and path == "/large.bin" else 200)
        assert len(answer.body) <= 250_000


async def test_one_range_is_a_part(folder: Path) -> None:
    part = await get(make(static=folder), "/assets/app.js", headers={"range": "bytes=2-4"})
    assert (part.status, part.body) == (206, b"345")


async def test_a_folder_below_a_path_is_opened_with_a_slash(folder: Path) -> None:
    app = make(static=StaticFolder(folder, path="/app"))
    answer = await get(app, "/ai/app", headers=BROWSER, root_path="/ai")
    assert (answer.status, answer.headers["location"]) == (307, "/ai/app/")
    assert (await get(app, "/ai/app/", headers=BROWSER, root_path="/ai")).body == b"<h1>app</h1>"
    assert (await get(app, "/app/assets/app.js")).status == 200
    assert (await get(app, "/apple", headers=BROWSER)).status == 404
    assert (await get(app, "/", headers=BROWSER)).headers["location"] == "/docs"


def test_a_folder_that_cannot_be_an_app(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no index\.html"):
        StaticFolder(tmp_path, fallback=True)
    with pytest.raises(ConfigurationError, match="starts with '/'"):
        StaticFolder(tmp_path, path="app")
