"""Takes the pictures of README.md: clicks through a shop of its own in a Chromium, and photographs four pages.

::

    python pictures.py            into the folder pictures/
    python pictures.py FOLDER     into another
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from live import GUNICORN, HERE, LiveServer
from playwright.sync_api import Browser, Page, expect, sync_playwright

__all__ = ["PASSWORD", "chromium", "open_shop", "order", "photograph", "sign_in"]

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PASSWORD = "lapsang souchong"


def chromium() -> str | None:
    """The program, where one is installed."""
    return next((found for found in map(shutil.which, CHROMIUMS) if found), None)


@contextmanager
def open_shop(folder: Path) -> Iterator[LiveServer]:
    """A shop with its past, and its data in ``folder``, under gunicorn."""
    environment = {"KETTLE_DATABASE": f"sqlite:///{folder}/kettle.sqlite3", "KETTLE_PASSWORD": PASSWORD}
    for command in ("init-db", "seed"):
        subprocess.run(
            [sys.executable, "-m", "flask", "--app", "kettle", command],
            cwd=HERE,
            env=os.environ | environment,
            stdout=subprocess.DEVNULL,
            check=True,
        )
    with LiveServer(GUNICORN, environment) as server:
        yield server


def sign_in(page: Page, email: str, password: str = PASSWORD) -> None:
    """By the form."""
    page.goto("/login")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("main").get_by_role("button", name="Sign in").click()


def order(page: Page, product: str, quantity: int, street: str = "3 Weir Walk") -> None:
    """From the shelf to the page of the order."""
    page.goto("/")
    page.get_by_role("link", name=product).click()
    page.get_by_label("Quantity").fill(str(quantity))
    page.get_by_role("button", name="Into the basket").click()
    page.get_by_role("link", name="To the checkout").click()
    for label, text in (("Street and number", street), ("Postcode", "BA1 2LQ"), ("City", "Bath")):
        page.get_by_label(label).fill(text)
    page.get_by_role("button", name="Order and pay by invoice").click()


def photograph(browser: Browser, url: str, folder: Path) -> None:
    """Buy things that are looked at twice, and photograph the shelf, an answer, the order and the desk."""
    customer, staff = (
        browser.new_page(base_url=url, viewport={"width": 1000, "height": height}) for height in (760, 620)
    )
    sign_in(customer, "ada@kettle.example")
    customer.screenshot(path=folder / "shelf.png")
    customer.goto("/products/mint-garden")
    customer.get_by_label("Your question").fill("Can I drink it in the evening?")
    customer.get_by_role("button", name="Ask", exact=True).click()
    expect(customer.locator("[data-answer]")).to_contain_text("What I can tell you")
    customer.screenshot(path=folder / "answer.png")
    expect(customer.locator("[data-answer]")).to_contain_text("until the kettle boils.")
    order(customer, "Copper kettle", 2)
    customer.get_by_role("button", name="What does the check say?").click()
    expect(customer.get_by_role("status")).to_contain_text("looks at order")
    customer.screenshot(path=folder / "order.png")
    sign_in(staff, "sam@kettle.example")
    staff.screenshot(path=folder / "desk.png")


def main() -> None:
    """Into the folder that is named, or ``pictures/``."""
    program = chromium()
    if program is None:
        sys.exit("no Chromium is installed, of: " + ", ".join(CHROMIUMS))
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "pictures"
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as data, open_shop(Path(data)) as server, sync_playwright() as playwright:
        photograph(playwright.chromium.launch(executable_path=program), server.url, folder)


if __name__ == "__main__":
    main()
