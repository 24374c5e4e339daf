"""A real Chromium reads an answer while it is written: through cuts, reloads, cancels and a restart of the server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import pytest
from browsing import chromium, find_chromium, sign_in, visit
from cutting import cutting
from live import LiveServer

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(find_spec("playwright") is None, reason="playwright is not installed"),
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium or Chrome is installed"),
]

NOTE = """
    window.told = { answer: [], said: [] };
    addEventListener("DOMContentLoaded", () => {
        for (const [name, seen] of Object.entries(told)) {
            const part = document.getElementById(name);
            if (part) new MutationObserver(() => seen.push(part.textContent)).observe(part, {
                childList: true, characterData: true, subtree: true,
            });
        }
    });
"""
"""Has a page keep all that its reader saw."""

QUESTION = "How much water does it want?"


class Reader(NamedTuple):
    """Rosa before the page of one specimen.

    Attributes:
        page: In the browser.
        begun: What the product answered to each question: the job and its links.
    """

    page: Any
    begun: list[dict[str, str]]

    def ask(self) -> None:
        self.page.get_by_label("Your question").fill(QUESTION)
        self.page.get_by_role("button", name="Ask").click()

    def cancel(self) -> None:
        self.page.get_by_role("button", name="Cancel").click()
        self.hears("Cancelled.")

    def hears(self, words: str, within: float = 60_000) -> None:
        """Waits for what the page says of itself."""
        self.page.get_by_role("status").get_by_text(words, exact=True).wait_for(timeout=within)

    def sees_more(self, than: int = 0) -> int:
        """Waits until the answer is longer; how long it is."""
        longer = "than => document.getElementById('answer').textContent.length > than"
        self.page.wait_for_function(longer, arg=than, timeout=60_000)
        return len(self.answer)

    @property
    def answer(self) -> str:
        return str(self.page.locator("#answer").text_content())


@contextmanager
def reading(browser: Any, url: str, password: str) -> Iterator[Reader]:
    """Signed in, on the page; nothing may go wrong in its script, and its policy lets all through that it does."""
    complaints: list[str] = []
    begun: list[dict[str, str]] = []

    def heard(message: Any) -> None:
        if "Content Security Policy" in message.text:
            complaints.append(message.text)

    def answered(response: Any) -> None:
        if response.url.endswith("/answers") and response.status == 202:
            begun.append(response.json())

    with visit(browser, url) as page:
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", heard)
        page.on("response", answered)
        page.add_init_script(NOTE)
        sign_in(page, password)
        page.goto("/specimens/3/ask")
        yield Reader(page, begun)
    assert complaints == []


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def own_environment(meadow_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """That of one server alone: nobody else performs its jobs, and its links outlive it."""
    database = tmp_path_factory.mktemp("slow") / "meadow.sqlite3"
    secret = "a secret that outlives a restart"
    return meadow_environment | {"MEADOW_DATABASE": str(database), "MEADOW_SECRET": secret, "MEADOW_PACE": "0.3"}


@pytest.fixture(scope="module")
def slow(own_environment: dict[str, str]) -> Iterator[list[LiveServer]]:
    """A server whose model takes long: what a test does to it happens before the end of the answer.

    A test may end it, and put another one in its place.
    """
    servers = [LiveServer(own_environment).__enter__()]
    yield servers
    servers[-1].stop()


@pytest.fixture
def rosa(browser: Any, slow: list[LiveServer], meadow_environment: dict[str, str]) -> Iterator[Reader]:
    with reading(browser, slow[-1].url, meadow_environment["MEADOW_PASSWORD"]) as reader:
        yield reader


@pytest.fixture
def whole(program: httpx.Client) -> str:
    """The answer, as a program gets it that waits."""
    asked = {"parameters": {"specimen": 3, "question": QUESTION}}
    return str(program.post("/ai/advice/invoke", json=asked).json()["outputs"]["answer"])


def last_event(links: dict[str, str]) -> str:
    told = httpx.get(links["events"], trust_env=False).text
    return told.rpartition("event: ")[2].partition("\n")[0]


def test_cancel_ends_the_job(rosa: Reader) -> None:
    rosa.ask()
    rosa.sees_more()
    rosa.cancel()
    assert rosa.page.get_by_role("button", name="Ask").is_enabled()
    assert last_event(rosa.begun[0]) == "run_cancelled"


def test_a_reload_goes_on_with_the_answer(rosa: Reader) -> None:
    rosa.ask()
    before = rosa.sees_more()
    rosa.page.reload()
    rosa.sees_more(before)
    assert rosa.page.get_by_label("Your question").input_value() == QUESTION
    assert rosa.begun[0]["job"] == rosa.begun[1]["job"]
    rosa.cancel()
    rosa.page.reload()
    assert rosa.page.get_by_role("button", name="Cancel").is_hidden()


def test_who_was_signed_out_finds_the_question_again(rosa: Reader, meadow_environment: dict[str, str]) -> None:
    rosa.page.context.clear_cookies()
    rosa.ask()
    rosa.hears("You have been signed out. Sign in and come back: your question is kept.")
    sign_in(rosa.page, meadow_environment["MEADOW_PASSWORD"])
    rosa.page.goto("/specimens/3/ask")
    rosa.sees_more()
    rosa.cancel()


def test_a_busy_desk_is_asked_again(rosa: Reader) -> None:
    rosa.page.route("**/answers", lambda route: route.fulfill(status=429, json={"detail": "later"}), times=2)
    rosa.ask()
    rosa.hears("The desk is busy. Trying again …")
    rosa.sees_more()
    assert len(rosa.begun) == 1
    rosa.cancel()


def tell(page: Any, *events: tuple[str, dict[str, Any]]) -> None:
    """The next stream that ``page`` opens is these events, and ends."""
    frames = [
        f"id: {number}\nevent: {kind}\ndata: {json.dumps({'data': data})}\n\n"
        for number, (kind, data) in enumerate(events, 1)
    ]
    answer = {"content_type": "text/event-stream", "body": "".join(frames)}
    page.route("**/events?*", lambda route: route.fulfill(**answer), times=1)


def test_what_a_slow_reader_missed_is_there_in_the_end(rosa: Reader) -> None:
    whole = {"outputs": {"answer": "Once, twice, thrice."}}
    tell(
        rosa.page,
        ("delta", {"value": "Once,"}),
        ("missed", {}),
        ("delta", {"value": " thrice"}),
        ("run_completed", whole),
    )
    rosa.ask()
    rosa.hears("This is the whole answer.")
    assert rosa.answer == "Once, twice, thrice."
    assert "Once, […]  thrice" in rosa.page.evaluate("told.answer")


def test_a_failure_is_told(rosa: Reader) -> None:
    tell(rosa.page, ("delta", {"value": "You"}), ("run_failed", {"error": "the writer has left", "code": "left"}))
    rosa.ask()
    rosa.hears("the writer has left")
    assert rosa.page.get_by_role("button", name="Ask").is_enabled()
    assert rosa.answer == "You"


def test_dropped_connections_cost_no_word(
    browser: Any, meadow: LiveServer, meadow_environment: dict[str, str], whole: str
) -> None:
    port = urlsplit(meadow.url).port or 0
    with (
        cutting(port, cuts=2, words=20) as cutter,
        reading(browser, cutter.url, meadow_environment["MEADOW_PASSWORD"]) as rosa,
    ):
        rosa.ask()
        cutter.cut(lambda: rosa.sees_more())
        before = len(rosa.answer)
        cutter.cut(lambda: rosa.sees_more(before))
        rosa.hears("This is the whole answer.")
        told = rosa.page.evaluate("told")
        assert rosa.answer == whole
    first, second = cutter.resumed
    assert 0 < first < second
    assert told["said"].count("The connection was lost. Coming back …") == 2
    assert all(whole.startswith(seen) for seen in told["answer"])
    assert told["answer"] == sorted(told["answer"], key=len)
    assert len(rosa.begun) == 1


QUICK = {"logistic regression", "nearest neighbours", "naive Bayes"}
COMING_BACK = {"kill": "The connection was lost. Coming back …", "stop": "The desk is being restarted. Coming back …"}


def train(page: Any) -> None:
    """Rosa begins a training, and watches until the quick ways to learn are done, and a slow one is not."""
    page.goto("/trainings")
    page.get_by_label("Rounds").fill("4")
    page.get_by_role("button", name="Train").click()
    page.wait_for_url("**/trainings/*")
    page.evaluate("window.loaded = 'once'")
    started = "() => document.querySelector('[data-candidate=\"random forest\"] progress').value > 0"
    page.wait_for_function(started, timeout=60_000)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("end", ["kill", pytest.param("stop", marks=pytest.mark.full)])
def test_what_was_begun_outlives_the_server(
    end: str, rosa: Reader, slow: list[LiveServer], own_environment: dict[str, str], whole: str
) -> None:
    """Killed, or told to stop: both pages stay as they are and show the end, and what was done is not done again."""
    training = rosa.page.context.new_page()
    train(training)
    rosa.ask()
    lengths = [rosa.sees_more()]
    for _ in range(2):
        lengths.append(rosa.sees_more(lengths[-1]))
    getattr(slow[-1], end)()
    rosa.hears(COMING_BACK[end])
    training.get_by_role("status").get_by_text("The connection was lost. Coming back …").wait_for(timeout=60_000)
    assert len(rosa.answer) >= lengths[-1]
    assert training.locator("#steps .done").count() == 2
    port = str(urlsplit(slow[-1].url).port)
    slow.append(LiveServer(own_environment | {"MEADOW_PACE": "0.1"}, "--port", port).__enter__())
    rosa.hears("This is the whole answer.", within=180_000)
    training.get_by_role("status").get_by_text("It is complete.").wait_for(timeout=180_000)
    assert rosa.answer == whole
    told = rosa.page.evaluate("told")
    assert all(whole.startswith(seen) for seen in told["answer"])
    assert len({job["job"] for job in rosa.begun}) == 1
    assert training.evaluate("window.loaded") == "once"
    assert "was chosen" in training.locator("#result").inner_text()
    assert training.locator("#steps .done").count() == training.locator("#steps li").count() == 7
    assert [" % ± " in right for right in training.locator("tbody td:last-child").all_inner_texts()] == [True] * 5
    job = training.url.rpartition("/")[2]
    before, after = ("\n".join(line for line in server.log if job in line) for server in slow[-2:])
    assert set(re.findall(r": ([\w ]+) is done", before)) >= QUICK
    tried = set(re.findall(r": ([\w ]+) is tried", after))
    assert "gradient boosting" in tried
    assert not QUICK & tried
    assert (before + after).count("is stored") == 1
