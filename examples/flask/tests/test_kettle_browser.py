"""The pages in a real Chromium: bought, held, decided, asked about, with a key made on the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

pytest.importorskip("playwright", reason="playwright is not installed, which drives the browser")

from live import GUNICORN, UVICORN, LiveServer
from pictures import chromium, open_shop, order, photograph, sign_in
from playwright.sync_api import expect, sync_playwright
from visitors import ADA, PASSWORD

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PROGRAM = chromium()

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(PROGRAM is None, reason="no Chromium is installed, in which the pages are looked at"),
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with open_shop(tmp_path_factory.mktemp("shop")) as server:
        yield server.url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM)
        yield browser
        browser.close()


class Watched:
    """A page, and whatever went wrong on it that nobody sees."""

    def __init__(self, browser: Browser, url: str, width: int = 1000) -> None:
        self.page: Page = browser.new_context(base_url=url, viewport={"width": width, "height": 700}).new_page()
        self.faults: list[str] = []
        self.page.on("console", lambda message: self.faults.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("requestfailed", lambda request: self.note(request.url, request.failure))

    def note(self, url: str, failure: str | None) -> None:
        """A request that failed; one that the browser gave up because it was led on is none."""
        if failure != "net::ERR_ABORTED":
            self.faults.append(f"{url}: {failure}")


def register(page: Page, name: str) -> None:
    """From a page that is private to the login, to the account that is opened there, and back."""
    page.goto("/account")
    page.get_by_role("link", name="Become a customer.").click()
    page.get_by_label("Your name").fill(name)
    page.get_by_label("E-mail").fill(f"{name}@post.example")
    page.get_by_label("Password").fill("peppermint")
    page.get_by_role("button", name="Open an account").click()
    expect(page.get_by_role("heading", name="Your account")).to_be_visible()


def test_an_order_from_the_shelf_to_the_desk_and_back(shop: str, browser: Browser) -> None:
    customer, staff = Watched(browser, shop), Watched(browser, shop)
    page = customer.page
    register(page, "Lin")
    order(page, "Copper kettle", 2, "8 Cloth Row")
    expect(page.get_by_text("held for review")).to_be_visible()
    page.get_by_role("button", name="What does the check say?").click()
    expect(page.get_by_role("status")).to_contain_text("The order is above € 200.")
    at = page.url

    sign_in(staff.page, "sam@kettle.example")
    held = staff.page.get_by_role("article").filter(has_text="lin@post.example")
    expect(held).to_contain_text("The customer has not paid an order before.")
    held.get_by_role("button", name="Accept").click()
    expect(staff.page.get_by_role("status")).to_contain_text("is accepted.")
    staff.page.goto(at)  # of somebody else
    expect(staff.page.get_by_role("heading", name="Not here")).to_be_visible()

    page.reload()
    expect(page.get_by_text("Thank you! It leaves the shop tomorrow.")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()
    assert customer.faults == []
    assert [fault for fault in staff.faults if "404" not in fault] == []


def test_a_key_is_made_used_and_revoked(shop: str, browser: Browser) -> None:
    watched = Watched(browser, shop)
    page = watched.page
    register(page, "Kit")
    order(page, "Garden mint", 1, "61 Ferry Lane")
    number = int(page.url.rpartition("/")[2])
    page.get_by_role("link", name="Account").click()
    page.get_by_label("What is it for?").fill("my spreadsheet")
    page.get_by_role("button", name="Make a key").click()
    headers = {"Authorization": f"Bearer {page.locator('#new-key').inner_text()}"}
    asked = {"parameters": {"order_id": number}}
    answer = httpx.post(f"{shop}/ai/invoke", json=asked, headers=headers, trust_env=False, timeout=60)
    assert answer.json()["outputs"]["verdict"]["decision"] == "accepted", answer.text
    page.get_by_role("button", name="Revoke my spreadsheet").click()
    expect(page.get_by_role("status")).to_contain_text("was revoked.")
    assert httpx.post(f"{shop}/ai/invoke", json=asked, headers=headers, trust_env=False, timeout=60).status_code == 401
    assert watched.faults == []


def test_pages_fit_a_telephone_and_name_what_they_ask(shop: str, browser: Browser) -> None:
    watched = Watched(browser, shop, width=360)
    page = watched.page
    nameless = "e => e.filter(i => i.type !== 'hidden' && !i.labels.length && !i.ariaLabel).map(i => i.outerHTML)"
    for path in ("/login", "/register", "/", "/products/copper-kettle", "/account", "/basket", "/checkout", "/orders"):
        if path == "/":
            sign_in(page, "sam@kettle.example")
        if path == "/account":
            page.get_by_role("button", name="Into the basket").click()
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
        assert page.eval_on_selector_all("input", nameless) == [], path
        assert page.locator("h1").count() == 1
    assert watched.faults == []


WATCH = """new MutationObserver(() => {
  const answer = document.querySelector("[data-answer]");
  if (answer) window.seen(answer.textContent);
}).observe(document, { subtree: true, childList: true, characterData: true })"""


def grown(page: Page, beyond: int = 0) -> str:
    """The answer, once it is longer than ``beyond``."""
    page.wait_for_function("beyond => document.querySelector('[data-answer]').textContent.length > beyond", arg=beyond)
    return page.locator("[data-answer]").text_content() or ""


@pytest.mark.parametrize("command", [GUNICORN, pytest.param(UVICORN, marks=pytest.mark.full)], ids=lambda c: c[0])
def test_an_answer_grows_is_stopped_and_survives_a_new_start_of_the_server(
    command: Sequence[str], browser: Browser, database: Path
) -> None:
    seen: list[str] = []
    environment = {"KETTLE_DATABASE": f"sqlite:///{database}", "KETTLE_PACE": "0.3"}
    with LiveServer(command, environment) as server:
        page = Watched(browser, server.url).page
        page.expose_function("seen", lambda text: seen.append(text))
        page.add_init_script(WATCH)
        sign_in(page, ADA, PASSWORD)
        page.goto("/products/mint-garden")
        page.get_by_label("Your question").fill("Can I drink it in the evening, and how do I brew it?")
        page.get_by_role("button", name="Ask", exact=True).click()
        moments = [grown(page)]
        for _ in range(3):
            moments.append(grown(page, len(moments[-1])))
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_text("Stopped.")).to_be_visible()
        page.get_by_role("button", name="Ask", exact=True).click()
        expect(page.get_by_text("Stopped.")).to_be_hidden()
        grown(page)
        page.reload()  # the tab knows what is under way, and the server what was said
        assert grown(page, len(moments[0])).startswith(moments[0])
        server.restart({"KETTLE_PACE": "0.03"})
        page.get_by_text("The shop has lost sight of the question, and the answer begins anew.").wait_for()
        page.get_by_role("button", name="Ask", exact=True).wait_for()
        whole = grown(page)
    assert whole.startswith("You ask about Garden mint. In the evening I drink mint")
    assert whole.endswith("until the kettle boils.")
    assert [text for text in seen if not whole.startswith(text)] == []  # nothing was lost, nothing twice
    assert len(set(seen)) > 10


def test_an_answer_comes_where_no_stream_is_free(shop: str, browser: Browser) -> None:
    page = Watched(browser, shop).page
    page.route("**/events*", lambda route: route.fulfill(status=429, json={"code": "too-many-streams"}))
    sign_in(page, "ada@kettle.example")
    page.goto("/products/mint-garden")
    page.get_by_label("Your question").fill("Is it a good present?")
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.get_by_text("The connection is lost.")).to_be_visible()
    expect(page.locator("[data-answer]")).to_contain_text("until the kettle boils.", timeout=30_000)
    expect(page.get_by_text("The connection is lost.")).to_be_hidden()


def test_a_page_without_scripts_has_its_answer(shop: str, browser: Browser) -> None:
    page = browser.new_context(base_url=shop, java_script_enabled=False).new_page()
    sign_in(page, "ada@kettle.example")
    page.goto("/products/mint-garden")
    page.get_by_label("Your question").fill("Is it a good present?")
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator("[data-answer]")).to_contain_text("We wrap presents")


@pytest.mark.full
def test_the_pictures_of_the_readme_can_be_taken_again(shop: str, browser: Browser, tmp_path: Path) -> None:
    photograph(browser, shop, tmp_path)
    taken = {picture.name for picture in tmp_path.iterdir()}
    kept = list((Path(__file__).parents[1] / "pictures").glob("*.png"))
    assert taken == {picture.name for picture in kept} == {"shelf.png", "answer.png", "order.png", "desk.png"}
    assert all(picture.stat().st_size < 150_000 for picture in kept)
