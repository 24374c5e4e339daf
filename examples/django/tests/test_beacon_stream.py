"""The note that the assistant writes, as it comes: in a real Chromium, through a server that starts anew, and over HTTP."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import pytest
from browsing import chromium, find_chromium, sign_in, visit
from live import SERVERS, LiveServer
from triage.assistant import compose

pytestmark = pytest.mark.server

in_browser = pytest.mark.skipif(
    find_spec("playwright") is None or find_chromium() is None, reason="playwright, or a Chromium, is not installed"
)

SLOW, FAST = {"BEACON_PACE": "0.15"}, {"BEACON_PACE": "0.01"}


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, live_environment: Callable[[], dict[str, str]]) -> Iterator[LiveServer]:
    """A server with an assistant that writes slowly."""
    with LiveServer(SERVERS[request.param], live_environment() | SLOW) as running:
        yield running


@pytest.fixture
def page(server: LiveServer) -> Iterator[Any]:
    """Marta's page."""
    with chromium() as browser, visit(browser, server.url) as page:
        sign_in(page, "marta")
        page.get_by_role("link", name="A poem").click()
        yield page


def grown(page: Any, beyond: int) -> str:
    """The note, once it is longer than ``beyond``."""
    page.wait_for_function("beyond => document.querySelector('[data-note]').textContent.length > beyond", arg=beyond)
    text: str = page.locator("[data-note]").text_content()
    return text


@in_browser
def test_the_note_grows_and_survives_a_new_start_of_the_server(server: LiveServer, page: Any) -> None:
    page.get_by_role("button", name="Triage", exact=True).click()
    moments = [grown(page, 0)]
    for _ in range(3):
        moments.append(grown(page, len(moments[-1])))
    assert all(later.startswith(earlier) for earlier, later in zip(moments, moments[1:], strict=False)), moments
    server.restart(SLOW)
    page.get_by_text("The desk has started anew, and so has the triage.").wait_for(timeout=30_000)
    begun = grown(page, 0)
    assert moments[0].startswith(begun[:10])
    page.reload()  # the tab knows what is under way
    assert grown(page, len(begun)).startswith(begun)
    server.restart(FAST)
    page.get_by_role("button", name="Triage again").wait_for(timeout=30_000)
    note = page.locator("[data-note]").text_content()
    assert note.startswith(moments[-1])
    assert note.count("The customer writes") == 1
