"""The pytest plugin, in test runs of products of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SHOP = """
from pipemount import PipelineApp, pipeline, step

LOG = []

@step
async def price(item: str) -> float:
    return 10.0

@step
def receipt(item: str, amount: float) -> str:
    return f"{item}: {amount}"

@pipeline(on_init=lambda: LOG.append("init"), on_cleanup=lambda: LOG.append("cleanup"))
def order(item: str):
    return receipt(item, price(item))

pipelines = PipelineApp(order)
"""

SETTINGS = "[pytest]\npythonpath = .\npipemount_app = shop:pipelines\n"


class Product:
    """A folder with a product and its tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("shop.py", SHOP)
        self.write("pytest.ini", SETTINGS)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def test(self, text: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Runs ``text`` as the product's tests. The plugin is named as it is where it is not installed."""
        self.write("test_shop.py", text)
        command = [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "pipemount.testing.plugin", *options]
        alone = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        return subprocess.run(
            command, cwd=self.folder, env=alone, capture_output=True, text=True, timeout=100, check=False
        )


@pytest.fixture
def product(tmp_path: Path) -> Product:
    return Product(tmp_path)


def passed(done: subprocess.CompletedProcess[str], count: int) -> bool:
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{count} passed" in done.stdout, done.stdout
    return True


def test_sync_tests_need_no_other_plugin(product: Product) -> None:
    done = product.test(
        """
import shop
import pytest

def test_run(pipelines):
    assert pipelines is shop.pipelines
    assert pipelines.lifecycle.state in ("new", "stopped")
    assert pipelines.run_sync(item="tea").value == "tea: 10.0"
    assert shop.LOG == ["init"]

def test_a_new_state_for_each_test(pipelines):
    assert shop.LOG == ["init", "cleanup"]
    assert [e.kind for e in pipelines.stream_sync(item="tea")][-1] == "run_completed"

def test_client(pipeline_client, pipeline_override):
    pipeline_override(price=lambda item: 5)
    pipeline_override({"receipt": lambda item, amount: f"{amount} for {item}"})
    answer = pipeline_client.post("/invoke", json={"parameters": {"item": "tea"}})
    assert answer.json()["outputs"] == {"output": "5.0 for tea"}

def test_overrides_are_undone(pipelines, pipeline_override):
    assert pipelines.run_sync(item="tea").value == "tea: 10.0"
    pipelines.override(price=lambda item: 7).__enter__()  # and never left

def test_also_those_that_were_never_left(pipelines):
    assert pipelines.run_sync(item="tea").value == "tea: 10.0"

def test_functions_are_tested_as_such():
    assert shop.receipt("tea", 2.0) == "tea: 2.0"

def test_a_state_spares_on_init(pipelines, pipeline_override):
    shop.LOG.clear()
    pipeline_override(state="fake")
    pipelines.run_sync(item="tea")
    assert shop.LOG == []

@pytest.fixture(scope="module", autouse=True)
def last():
    yield
    assert shop.LOG == [], "stopped with the state that it had"
""",
    )
    assert passed(done, 7)


ASYNC = """
import shop
import pytest
{mark}

async def test_run(pipelines, pipeline_override):
    pipeline_override(price=lambda item: 3)
    assert (await pipelines.run(item="tea")).value == "tea: 3.0"

async def test_client(async_pipeline_client):
    answer = await async_pipeline_client.post("/invoke", json={{"parameters": {{"item": "tea"}}}})
    assert answer.json()["outputs"] == {{"output": "tea: 10.0"}}

async def test_on_the_test_s_own_loop(pipelines, pipeline_client):
    async with pipelines.lifespan(None):
        assert (await pipelines.run(item="tea")).value == "tea: 10.0"

def test_a_sync_one_among_them(pipelines):
    assert pipelines.run_sync(item="tea").value == "tea: 10.0"
"""


@pytest.mark.parametrize(("plugin", "scope"), [("asyncio", "function"), ("asyncio", "session"), ("anyio", "function")])
def test_async_tests_under_either_plugin(product: Product, plugin: str, scope: str) -> None:
    mode = "asyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n" if plugin == "asyncio" else ""
    product.write("pytest.ini", f"{SETTINGS}pipemount_scope = {scope}\n{mode}")
    mark = "" if plugin == "asyncio" else "\npytestmark = pytest.mark.anyio\n"
    if plugin == "anyio":
        product.write("conftest.py", "import pytest\n\n@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n")
    module = {"asyncio": "pytest_asyncio.plugin", "anyio": "anyio.pytest_plugin"}[plugin]

    assert passed(product.test(ASYNC.format(mark=mark), "-p", module), 4)


def test_one_state_for_the_session(product: Product) -> None:
    product.write("pytest.ini", SETTINGS + "pipemount_scope = session\n")
    done = product.test(
        """
import shop

def test_first(pipelines, pipeline_override):
    pipeline_override(price=lambda item: 3)
    assert pipelines.run_sync(item="tea").value == "tea: 3.0"

def test_second(pipelines):
    assert pipelines.run_sync(item="tea").value == "tea: 10.0"
    assert shop.LOG == ["init"]
""",
    )
    assert passed(done, 2)


def test_an_app_that_a_factory_makes_and_one_that_cannot_start(product: Product) -> None:
    product.write("pytest.ini", "[pytest]\npythonpath = .\n")
    done = product.test(
        """
import pytest
from pipemount import PipelineApp, Settings, pipeline
from shop import receipt
from pipemount.errors import UnavailableError

def fail():
    raise OSError("no database")

@pipeline(on_init=fail)
def broken(item: str):
    return receipt(item, 1.0)

@pytest.fixture(scope="session")
def pipemount_app():
    return PipelineApp(broken, settings=Settings(title="made here"))

def test_it(pipelines, pipeline_client):
    assert pipelines.settings.title == "made here"
    with pytest.raises(UnavailableError):
        pipelines.run_sync(item="tea")
    assert pipeline_client.post("/invoke", json={"parameters": {"item": "tea"}}).status_code == 503
""",
    )
    assert passed(done, 1)


ASKS = "def test_it(pipelines):\n    pass\n"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("", 'set pipemount_app = "module:name"'),
        ("pipemount_app = nowhere:app", "'nowhere:app' cannot be imported: No module named 'nowhere'"),
        ("pipemount_app = shop:price", "shop:price is a Step, and no PipelineApp"),
        ("pipemount_app = shop:pipelines\npipemount_scope = class", "'class': one of function, session"),
    ],
)
def test_what_is_set_wrong_is_told(product: Product, settings: str, told: str) -> None:
    product.write("pytest.ini", f"[pytest]\npythonpath = .\n{settings}\n")
    done = product.test(ASKS)

    assert done.returncode != 0
    assert told in done.stdout + done.stderr


def test_it_imports_nothing_before_it_is_asked(product: Product) -> None:
    done = product.test(
        """
import sys

def test_it():
    ours = {name for name in sys.modules if name.partition(".")[0] == "pipemount"}
    assert ours == {"pipemount", "pipemount.types", "pipemount.testing", "pipemount.testing.plugin"}
    assert not {"pydantic", "starlette", "httpx", "shop"} & sys.modules.keys()
""",
    )
    assert passed(done, 1)


def test_with_the_test_clients_of_flask_and_django(product: Product) -> None:
    product.write(
        "web.py",
        """
import django
from django.conf import settings
from django.http import HttpResponse
from django.urls import path
from flask import Flask
from shop import pipelines

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="x")
django.setup()
flask_app = Flask(__name__)

@flask_app.get("/<item>")
def flask_view(item):
    return pipelines.run_sync(item=item).value

def django_view(request, item):
    return HttpResponse(pipelines.run_sync(item=item).value)

async def django_async_view(request, item):
    return HttpResponse((await pipelines.run(item=item)).value)

urlpatterns = [path("<item>", django_view), path("async/<item>", django_async_view)]
""",
    )
    done = product.test(
        """
import asyncio
import web
from django.test import AsyncClient, Client

def test_flask(pipeline_override):
    assert web.flask_app.test_client().get("/tea").text == "tea: 10.0"
    pipeline_override(price=lambda item: 3)
    assert web.flask_app.test_client().get("/tea").text == "tea: 3.0"

def test_django(pipeline_override):
    pipeline_override(price=lambda item: 3)
    for path in ("/tea", "/async/tea"):
        assert Client().get(path).content == b"tea: 3.0"

def test_django_async(pipeline_override):
    pipeline_override(price=lambda item: 3)

    async def both():
        return [(await AsyncClient().get(path)).content for path in ("/tea", "/async/tea")]

    assert asyncio.run(both()) == [b"tea: 3.0"] * 2
""",
    )
    assert passed(done, 3)
