"""``pipemount draw``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Pipemount

pytestmark = pytest.mark.usefixtures("shop")


def test_draw_prints_mermaid(pipemount: Pipemount) -> None:
    done = pipemount("draw", "shop:weather")
    assert done.exit_code == 0
    assert done.stdout.startswith("flowchart ")
    assert '"fetch"' in done.stdout


def test_draw_writes_a_file(pipemount: Pipemount, shop: Path) -> None:
    done = pipemount("draw", "shop:weather", "-o", "weather.mmd")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "wrote weather.mmd\n")
    assert (shop / "weather.mmd").read_text() == pipemount("draw", "shop:weather").stdout


def test_draw_says_why_it_cannot_write(pipemount: Pipemount) -> None:
    done = pipemount("draw", "shop:weather", "-o", "no/such/folder.mmd")
    assert done.exit_code == 2
    assert "no/such/folder.mmd: No such file or directory" in done.stderr


def test_draw_gives_the_graph_as_json(pipemount: Pipemount) -> None:
    graph = json.loads(pipemount("draw", "shop:weather", "--format", "json").stdout)
    assert graph["fidelity"] == "exact"
    assert [node["id"] for node in graph["layout"]["nodes"] if node["kind"] == "step"] == ["fetch", "analyse"]


def test_draw_gives_a_picture(pipemount: Pipemount) -> None:
    picture = pipemount("draw", "shop:weather", "--format", "svg").stdout
    assert picture.startswith("<svg ")
    assert '<title id="title">weather</title>' in picture
    assert '<desc id="description">What the weather is like.</desc>' in picture
