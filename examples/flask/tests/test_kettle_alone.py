"""The rule that the shop began with, and goes by where there are no pipelines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from flask import Flask
from kettle import create_app
from visitors import EXAMPLE, Visitor, settings


@pytest.fixture(params=[False], ids=["alone"])
def app(request: pytest.FixtureRequest, database: Path) -> Flask:
    return create_app(settings(database, pipelines=False))


def test_a_dear_order_is_held(ada: Visitor, sam: Visitor) -> None:
    path = ada.order("copper-kettle", 2)
    assert "held for review" in ada.page(path)
    assert "The order is above € 200." in sam.page("/desk")


def test_there_is_nothing_to_ask_on_the_page(ada: Visitor) -> None:
    assert "What does the check say?" not in ada.page(ada.order())
    assert ada.get("/ai").status_code == 404


def test_the_shop_alone_does_without_the_package() -> None:
    blocked = "import sys; sys.modules['pipemount'] = None; import kettle; kettle.create_app({'PIPELINES': False})"
    subprocess.run([sys.executable, "-c", blocked], cwd=EXAMPLE, check=True, timeout=60)
