"""Makes the pictures of the README: Beacon in a real Chromium, with the samples.

::

    python pictures.py        writes pictures/*.png
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Any

from browsing import chromium, sign_in, visit
from live import HERE, SERVERS, LiveServer, prepare
from PIL import Image

__all__ = ["main"]

FOLDER = HERE / "pictures"


def take(page: Any, name: str) -> None:
    """Write what the browser shows as a PNG of 128 colours, which is enough for a page."""
    shot = Image.open(io.BytesIO(page.screenshot()))
    shot.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(FOLDER / f"{name}.png", optimize=True)


def main() -> None:
    """A note that is being written, the ticket with its suggested reply, the list after triage, an urgent ticket."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="beacon-") as folder:
        environment = {
            "DJANGO_SETTINGS_MODULE": "beacon.settings.development",
            "BEACON_DATABASE": str(Path(folder) / "beacon.sqlite3"),
            "BEACON_PACE": "0.1",
        }
        prepare(environment)
        with (
            LiveServer(SERVERS["gunicorn"], environment) as server,
            chromium() as browser,
            visit(browser, server.url) as page,
        ):
            sign_in(page, "jonas")
            page.get_by_role("link", name="Doppelte Abbuchung").click()
            page.get_by_role("button", name="Triage", exact=True).click()
            page.get_by_text("There is nothing else that they").wait_for()
            take(page, "note")
            page.get_by_role("button", name="Triage again").wait_for()
            take(page, "ticket")
            page.goto("/")
            page.get_by_role("button", name="Triage new tickets").click()
            page.get_by_role("status").wait_for()
            take(page, "tickets")
            page.get_by_role("link", name="Surgery without").click()
            page.get_by_role("button", name="Triage again").wait_for()
            take(page, "urgent")


if __name__ == "__main__":
    main()
