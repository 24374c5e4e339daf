"""``pipemount diff``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Pipemount
from .test_definition import lines

NEWER = """
from typing import Annotated, Any, Literal
from pipemount import pipeline
from shop import analyse, fetch


@pipeline
def weather(
    city: str = "Rome", units: Literal["C", "F", "K"] = "C", tags: list[str] = [], loud: bool = False, note: str = ""
) -> Any:
    return analyse(fetch(city), units, tags, loud)


@pipeline
def stricter(city: str, units: Literal["C"] = "C", tags: list[str] = [], loud: bool = False) -> Any:
    return analyse(fetch(city), units, tags, loud)
"""


@pytest.fixture(autouse=True)
def newer(shop: Path) -> None:
    (shop / "newer.py").write_text(NEWER)


def test_nothing_changed(pipemount: Pipemount) -> None:
    done = pipemount("diff", "shop:weather", "apps:one")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "nothing changed\n")


def test_compatible_changes_end_with_0(pipemount: Pipemount) -> None:
    done = pipemount("diff", "shop:weather", "newer:weather")
    assert done.exit_code == 0
    assert done.stderr == "compatible: callers can go on as they do\n"
    shown = lines(done.stdout)
    assert ["city", "compatible", "default", '"Oslo"', "→", '"Rome"'] in shown
    assert ["units", "compatible", "also", '"K"'] in shown
    assert ["note", "compatible", "added,", "optional"] in shown
    assert "output" not in done.stdout


def test_breaking_changes_come_first_and_end_with_7(pipemount: Pipemount) -> None:
    done = pipemount("diff", "newer:weather", "newer:stricter")
    assert done.exit_code == 7
    assert done.stderr == "breaking: callers have to change\n"
    effects = [words[1] for words in lines(done.stdout) if len(words) > 2 and words[1] in ("breaking", "compatible")]
    assert effects == sorted(effects)
    assert ["city", "breaking", "required", "now"] in lines(done.stdout)


def test_a_difference_as_json(pipemount: Pipemount) -> None:
    done = pipemount("diff", "newer:weather", "newer:stricter", "--json")
    assert done.exit_code == 7
    assert done.stderr == ""
    told = json.loads(done.stdout)
    assert told["verdict"] == "breaking"
    assert {"path": "note", "effect": "breaking", "text": "removed"} in told["inputs"]


def test_what_describe_told_is_compared_with_what_is_there_now(pipemount: Pipemount, shop: Path) -> None:
    (shop / "released.json").write_text(pipemount("describe", "shop:weather", "--json").stdout)
    assert pipemount("diff", "released.json", "shop:weather").stderr == "nothing changed\n"
    assert pipemount("diff", "released.json", "newer:stricter").exit_code == 7


def test_a_change_inside_is_told_with_marks(pipemount: Pipemount) -> None:
    shown = lines(pipemount("diff", "shop:refused", "shop:retried").stdout)
    assert ["-", "step", "refuse"] in shown
    assert ["+", "step", "stumble"] in shown
    assert any(words[:4] == ["~", "pipeline", "retried", "name"] for words in shown)


def test_a_change_of_the_whole_has_a_name_of_its_own(pipemount: Pipemount, shop: Path) -> None:
    saved = json.loads(pipemount("describe", "shop:weather", "--json").stdout)
    (shop / "odd.json").write_text(json.dumps(saved | {"output_schema": {"type": "string"}}))
    done = pipemount("diff", "shop:weather", "odd.json")
    assert any(words[:2] == ["(all)", "breaking"] for words in lines(done.stdout))


def test_what_cannot_be_found_is_a_usage_error(pipemount: Pipemount) -> None:
    assert pipemount("diff", "shop:weather", "gone.json").exit_code == 2
    assert pipemount("diff", "shop:weather", "shop:gone").exit_code == 2
