"""Makes the pictures of the README: an answer that is being written, and a training, in a real Chromium.

::

    python pictures.py        writes pictures/*.png
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Any

from browsing import chromium, sign_in, visit
from live import HERE, LiveServer
from PIL import Image

__all__ = ["main"]

FOLDER = HERE / "pictures"


def take(page: Any, name: str) -> None:
    """Write what the browser shows as a PNG of 128 colours, which is enough for a page."""
    shot = Image.open(io.BytesIO(page.screenshot()))
    shot.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(FOLDER / f"{name}.png", optimize=True)


def main() -> None:
    """Ask how much water the specimen on the south slope wants, have the classifier trained, and look meanwhile."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="meadow-") as folder:
        environment = {
            "MEADOW_DATABASE": str(Path(folder) / "meadow.sqlite3"),
            "MEADOW_PASSWORD": "bluebell",
            "MEADOW_KEYS": "pictures:a key that only the pictures know",
            "MEADOW_PACE": "0.1",
        }
        with (
            LiveServer(environment) as server,
            chromium() as browser,
            visit(browser, server.url) as page,
        ):
            sign_in(page, "bluebell")
            page.goto("/specimens/3/ask")
            page.get_by_label("Your question").fill("How much water does it want in a dry summer?")
            page.get_by_role("button", name="Ask").click()
            page.get_by_text("in the evening").wait_for()
            take(page, "ask")
            page.goto("/trainings")
            page.get_by_role("button", name="Train").click()
            half = "() => document.querySelector('[data-candidate=\"random forest\"] progress').value > 0.4"
            page.wait_for_function(half, timeout=60_000)
            take(page, "training")


if __name__ == "__main__":
    main()
