"""Chromium for tests and pictures: the one that is installed, found by its name."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["chromium", "find_chromium", "sign_in", "visit"]

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> str | None:
    """Where the browser is, or ``None``."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def chromium() -> Iterator[Any]:
    """The browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def visit(browser: Any, url: str) -> Iterator[Any]:
    """A page for one visitor, with no cookies yet; its addresses begin with ``url``."""
    with browser.new_context(base_url=url, viewport={"width": 900, "height": 760}) as context:
        page = context.new_page()
        page.set_default_timeout(10_000)
        yield page


def sign_in(page: Any, password: str) -> None:
    """As Rosa, through the page."""
    page.goto("/login")
    page.get_by_label("Name").fill("rosa")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Specimens").wait_for()
