"""Wrong programs as people write them, each with the whole message that its author reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.pipelines.explained import PROGRAMS, expected, message, told

EXPECTED = expected()
LEADS = "https://pipemount.readthedocs.io/en/stable/errors/compile/#"
PAGE = Path(__file__).parents[2] / "docs" / "errors" / "compile.md"
ANCHORS = {*re.findall(r"^#+ `([a-z-]+)`$", PAGE.read_text(), re.MULTILINE)}


def test_every_program_has_its_message() -> None:
    assert list(EXPECTED) == list(PROGRAMS), "python -m tests.pipelines.explained"
    assert len(PROGRAMS) >= 100


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_whole_message(name: str) -> None:
    assert message(name) == EXPECTED[name]


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_message_leads_to_a_section_that_exists(name: str) -> None:
    error = told(name)
    address = str(error).splitlines()[-1]
    assert address == f"See {LEADS}{error.detail_code}"
    assert error.detail_code in ANCHORS


def test_a_message_has_its_four_parts() -> None:
    error = told("a_sum")
    sentence = str(error).splitlines()[0]
    assert sentence == f"{error.file}:{error.line}: {error.operation}: {error.reason}. {error.way_out}."
