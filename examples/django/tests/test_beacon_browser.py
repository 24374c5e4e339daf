"""A real Chromium clicks through the pages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import pytest
from browsing import chromium, find_chromium, sign_in, visit
from live import SERVERS, LiveServer

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(find_spec("playwright") is None, reason="playwright is not installed"),
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium or Chrome is installed"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def site(browser: Any, live_environment: Callable[[], dict[str, str]]) -> Iterator[tuple[Any, str]]:
    """A browser, and the address of a gunicorn with the samples in its database."""
    with LiveServer(SERVERS["gunicorn"], live_environment() | {"BEACON_PACE": "0.01"}) as server:
        yield browser, server.url


@pytest.fixture
def complaints() -> list[str]:
    """What the browser complains about; a test that expects that empties the list."""
    return []


@pytest.fixture
def page(site: tuple[Any, str], complaints: list[str]) -> Iterator[Any]:
    """A visitor's page; nothing may go wrong in it."""
    with visit(*site) as page:
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        yield page
    assert complaints == []


def open_ticket(page: Any, title: str) -> None:
    """From the list, until its script has run: a button that is pressed earlier sends the form."""
    page.get_by_role("link", name=title).click()
    page.wait_for_url(re.compile(r"/tickets/\d+/$"))


def test_a_ticket_is_triaged_and_answered(page: Any) -> None:
    sign_in(page, "jonas")
    open_ticket(page, "Doppelte Abbuchung im Oktober")
    page.get_by_role("button", name="Triage", exact=True).click()
    page.get_by_role("button", name="Triage again").wait_for()
    assert page.locator("#queue").inner_text() == "Billing"
    assert page.locator("#triage dl").inner_text().count("German") == 1
    page.get_by_role("button", name="Use this reply").click()
    reply = page.get_by_label("Your reply")
    assert reply.input_value().startswith("Danke für Ihren Hinweis.")
    page.get_by_role("button", name="Reply", exact=True).click()
    assert "Danke für Ihren Hinweis." in page.locator("article.ours").inner_text()
    assert page.locator(".badges").inner_text().split("\n")[-1].endswith("Waiting for the customer")


def test_an_urgent_ticket_is_seen_at_once(page: Any) -> None:
    sign_in(page, "marta")
    open_ticket(page, "Surgery without internet")
    page.get_by_role("button", name="Triage", exact=True).click()
    assert "Urgent: somebody's safety" in page.locator("#triage [role=status]").inner_text()
    assert page.locator("#priority").inner_text() == "Urgent"
    page.get_by_role("link", name="Tickets", exact=True).click()
    assert page.locator("tbody tr").first.get_by_role("link").inner_text() == "Surgery without internet and telephone"


def test_all_new_tickets_are_triaged_from_the_list(page: Any) -> None:
    sign_in(page, "jonas")
    page.get_by_role("button", name="Triage new tickets").click()
    assert page.get_by_role("status").inner_text() == "5 tickets sorted, 0 urgent."


def test_a_refusal_is_told_on_the_page(page: Any, complaints: list[str]) -> None:
    sign_in(page, "jonas")
    open_ticket(page, "A poem")
    page.locator("#triage").evaluate("card => (card.dataset.ticket = 4711)")  # somebody has deleted it meanwhile
    page.get_by_role("button", name="Triage again").click()
    told = page.locator("#triage").get_by_role("alert")
    told.wait_for()
    assert told.inner_text() == "there is no ticket 4711"
    page.route("**/ai/submit", lambda route: route.abort())
    page.get_by_role("button", name="Triage again").click()
    page.get_by_text("The desk did not answer.").wait_for()
    assert ["ERR_FAILED" in complaint for complaint in complaints] == [True, True, True]
    complaints.clear()


def test_who_was_signed_out_signs_in_again(page: Any, complaints: list[str]) -> None:
    sign_in(page, "jonas")
    open_ticket(page, "A poem")
    page.get_by_role("button", name="Triage again").wait_for()
    page.context.clear_cookies()
    page.get_by_role("button", name="Triage again").click()
    page.wait_for_url(re.compile(r"/login/\?next=/tickets/\d+/$"))
    assert ["401" in complaint for complaint in complaints] == [True]
    complaints.clear()


def test_a_customer_writes_a_ticket_and_sees_nothing_of_triage(page: Any) -> None:
    sign_in(page, "oscar")
    page.get_by_role("link", name="New ticket").first.click()
    page.get_by_label("Subject").fill("My router hums")
    page.get_by_label("What happened").fill("It hums in B flat, and the cat hums along.")
    page.get_by_role("button", name="Send").click()
    assert page.locator("h1").inner_text() == "My router hums"
    assert "We have your ticket" in page.get_by_role("status").inner_text()
    assert page.get_by_text("Triage").count() == 0


# ------------------------------------------------------------------------------- the note, as it comes

WATCH = """new MutationObserver(() => {
  const note = document.querySelector("[data-note]");
  if (note) window.seen(note.textContent);
}).observe(document, { subtree: true, childList: true, characterData: true })"""


def grown(page: Any, beyond: int = 0) -> str:
    """The note, once it is longer than ``beyond``."""
    page.wait_for_function("beyond => document.querySelector('[data-note]').textContent.length > beyond", arg=beyond)
    text: str = page.locator("[data-note]").text_content()
    return text


STEPS = ["Reads the ticket", "Tells the language", "Finds the queue", "Judges whether it can wait", "Chooses a reply"]


def is_shown(page: Any, step: str) -> Any:
    return page.locator("[data-steps] li.done").get_by_text(step, exact=True)


@pytest.mark.parametrize("end", ["kill", pytest.param("stop", marks=pytest.mark.full)])
@pytest.mark.parametrize("name", ["gunicorn", pytest.param("uvicorn", marks=pytest.mark.full)])
def test_a_triage_outlives_its_server(
    name: str, end: str, browser: Any, live_environment: Callable[[], dict[str, str]]
) -> None:
    """Killed, or told to stop: the page, which stays as it is, shows the end, and no step that had ended ran again."""
    seen: list[str] = []
    environment = live_environment() | {"BEACON_PACE": "0.3"}
    with LiveServer(SERVERS[name], environment) as server, visit(browser, server.url) as page:
        page.set_default_timeout(60_000)
        page.expose_function("seen", lambda text: seen.append(text))
        page.add_init_script(WATCH)
        sign_in(page, "jonas")
        open_ticket(page, "Doppelte Abbuchung im Oktober")
        page.evaluate("window.loaded = 'once'")
        page.get_by_label("Your reply").fill("We look into it.")
        page.get_by_role("button", name="Triage", exact=True).click()
        moments = [grown(page)]
        for _ in range(3):
            moments.append(grown(page, len(moments[-1])))
        for step in STEPS:
            is_shown(page, step).wait_for()
        getattr(server, end)()
        page.get_by_text("The connection is lost.").wait_for()
        assert grown(page).startswith(moments[-1])
        server.start_again({"BEACON_PACE": "0.03"})
        page.get_by_role("button", name="Triage again").wait_for()
        whole = page.locator("[data-note]").text_content()
        assert page.locator("#queue").inner_text() == "Billing"
        assert page.evaluate("window.loaded") == "once"
        assert page.get_by_label("Your reply").input_value() == "We look into it."
        page.goto("/triages/")
        assert page.locator("tbody tr").count() == 1
        assert page.locator("tbody .badge").inner_text() == "succeeded"
    assert whole.startswith("The customer writes")
    assert whole.endswith("and you know the customer.")
    assert [text for text in seen if not whole.startswith(text)] == []  # nothing is there twice
    assert len(set(seen)) > 10
    told = "\n".join(server.log)
    times = {
        what: len(re.findall(what, told)) for what in ("is read", "the queue is", "the note is begun", "is sorted")
    }
    assert times == {"is read": 1, "the queue is": 1, "the note is begun": 2, "is sorted": 1}


def test_a_triage_is_found_again_stopped_and_begun_anew(
    browser: Any, live_environment: Callable[[], dict[str, str]]
) -> None:
    """By any worker, and by the address of the page alone."""
    command = (*SERVERS["gunicorn"], "--workers", "2")
    environment = live_environment() | {"BEACON_PACE": "0.3"}
    with LiveServer(command, environment) as server, visit(browser, server.url) as page:
        page.set_default_timeout(60_000)
        sign_in(page, "marta")
        open_ticket(page, "A poem")
        page.get_by_role("button", name="Triage", exact=True).click()
        before = grown(page)
        page.wait_for_url("**/?job=*")
        address = page.url
        page.goto("/")
        page.goto(address)
        assert grown(page, len(before)).startswith(before)
        assert page.locator("[data-steps] li").count() == 6
        page.get_by_role("button", name="Stop").click()
        page.get_by_text("Stopped.").wait_for()
        page.goto("/triages/")
        assert page.locator("tbody .badge").inner_text() == "cancelled"
        page.get_by_role("button", name="Triage again").click()
        page.get_by_role("button", name="Stop").click()
        page.get_by_role("status").get_by_text("Stopped.").wait_for()
        assert page.locator("tbody tr").count() == 2
        page.goto("/admin/pipemount/job/")
        assert page.locator("#result_list tbody tr").count() == 2


def test_a_page_without_scripts_has_its_button(browser: Any, site: tuple[Any, str]) -> None:
    with browser.new_context(base_url=site[1], java_script_enabled=False) as context:
        page = context.new_page()
        sign_in(page, "marta")
        open_ticket(page, "A poem")
        page.get_by_role("button", name=re.compile("Triage")).click()
        assert page.locator("[data-note]").inner_text().endswith("and you know the customer.")
