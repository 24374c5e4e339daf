"""The pytest plugin: an app's pipelines in the tests of the product that they live in.

::

    [tool.pytest.ini_options]
    pipemount_app = "shop.pipelines:pipelines"

Imports nothing of the app, and little of this package, before a test asks for one of its fixtures.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import httpx

    from ..app import PipelineApp

__all__: list[str] = []

SCOPES = ("function", "session")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Makes the settings known."""
    parser.addini("pipemount_app", "The PipelineApp under test, as module:name.")
    parser.addini(
        "pipemount_scope",
        "How long it stays started: function (each test begins with a new state) or session.",
        default="function",
    )


def _scope(fixture_name: str, config: pytest.Config) -> Any:
    scope = config.getini("pipemount_scope")
    if scope not in SCOPES:
        raise pytest.UsageError(f"pipemount_scope = {scope!r}: one of {', '.join(SCOPES)}")
    return scope


@pytest.fixture(scope="session")
def pipemount_app(pytestconfig: pytest.Config) -> PipelineApp:
    """The app that ``pipemount_app`` names. Define this fixture yourself where the app is made by a factory."""
    target = pytestconfig.getini("pipemount_app")
    if not target:
        raise pytest.UsageError(
            'set pipemount_app = "module:name" in pytest\'s settings, or define a fixture pipemount_app with '
            'scope="session" that returns the PipelineApp'
        )
    try:
        return _checked(pkgutil.resolve_name(target), target)
    except (ImportError, AttributeError, ValueError) as error:
        raise pytest.UsageError(f"pipemount_app = {target!r} cannot be imported: {error}") from error


def _checked(found: Any, name: str) -> PipelineApp:
    from ..app import PipelineApp

    if not isinstance(found, PipelineApp):
        raise pytest.UsageError(f"{name} is a {type(found).__name__}, and no PipelineApp")
    return found


@pytest.fixture(scope=_scope)
def _pipemount_stopped(pipemount_app: PipelineApp) -> Iterator[PipelineApp]:
    """Begins with an app that is not started, and leaves it so."""
    app = _checked(pipemount_app, "the fixture pipemount_app")
    app.lifecycle.close()
    yield app
    app.lifecycle.close()


@pytest.fixture
def pipelines(_pipemount_stopped: PipelineApp) -> Iterator[PipelineApp]:
    """The app under test. What first uses it starts it; it is stopped after the test, and all overrides are lifted."""
    yield _pipemount_stopped
    for service in _pipemount_stopped.services.values():
        service.layers.clear()


@pytest.fixture
def pipeline_override(pipelines: PipelineApp) -> Iterator[Callable[..., None]]:
    """``pipeline_override(describe=fake)``: ``pipelines.override`` until the test ends."""
    with ExitStack() as stack:
        yield lambda *steps, **options: stack.enter_context(pipelines.override(*steps, **options))


@pytest.fixture
def pipeline_client(pipelines: PipelineApp) -> Iterator[httpx.Client]:
    """An HTTP client of the app, for tests that are not async; see ``PipelineApp.client_sync``."""

    def start(request: httpx.Request) -> None:
        with suppress(_unavailable()):  # which the answer tells
            pipelines.lifecycle.home_for_thread(pipelines.settings.startup_budget)

    with pipelines.client_sync(event_hooks={"request": [start]}) as client:
        yield client


@pytest.fixture
def async_pipeline_client(pipelines: PipelineApp) -> httpx.AsyncClient:
    """An HTTP client of the app for async tests, under whichever plugin runs them; see ``PipelineApp.client``."""

    async def start(request: httpx.Request) -> None:
        with suppress(_unavailable()):  # which the answer tells
            await pipelines.lifecycle.ensure_ready(pipelines.settings.startup_budget)

    return pipelines.client(event_hooks={"request": [start]})


def _unavailable() -> type[Exception]:
    from ..errors import UnavailableError

    return UnavailableError
