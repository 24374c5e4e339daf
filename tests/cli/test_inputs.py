"""Inputs from the words of a command line."""

from __future__ import annotations

import io
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, create_model

from pipemount.cli.exits import CommandError, ExitCode
from pipemount.cli.inputs import from_assignments, from_json, from_options
from pipemount.cli.schemas import Member, members


class Place(BaseModel):
    name: str


class Level(Enum):
    LOW = 1
    HIGH = "high"


def parameters(**annotations: Any) -> tuple[Member, ...]:
    """The parameters of a pipeline with these annotations."""
    fields: dict[str, Any] = {name: (annotation, ...) for name, annotation in annotations.items()}
    return members(create_model("Inputs", **fields).model_json_schema())


@pytest.mark.parametrize(
    ("annotation", "words", "value"),
    [
        (str, ["--x", "Oslo"], "Oslo"),
        (str, ["--x=Oslo=1"], "Oslo=1"),
        (str, ["--x="], ""),
        (str, ["--x", "5"], "5"),
        (str, ["--x", "--y"], "--y"),
        (str | None, ["--x", "null"], "null"),
        (int, ["--x", "5"], 5),
        (int, ["--x", "-5"], -5),
        (int, ["--x", "five"], "five"),
        (int, ["--x", "null"], None),
        (int | None, ["--x", "null"], None),
        (float, ["--x", "2.5"], 2.5),
        (float, ["--x", "2"], 2),
        (int | str, ["--x", "5"], 5),
        (int | str, ["--x", "five"], "five"),
        (int | str, ["--x", "[1]"], "[1]"),
        (date, ["--x", "2026-11-21"], "2026-11-21"),
        (bool, ["--x"], True),
        (bool, ["--x", "no"], False),
        (bool, ["--x=off"], False),
        (bool, ["--no-x"], False),
        (bool, ["--x=maybe"], "maybe"),
        (bool | None, ["--x=null"], None),
        (Literal["C", "F"], ["--x", "F"], "F"),
        (Literal[1, 2], ["--x", "2"], 2),
        (Literal["only"], ["--x", "only"], "only"),
        (Literal["a", 3], ["--x", "b"], "b"),
        (Level, ["--x", "1"], 1),
        (Level, ["--x", "high"], "high"),
        (list[str], ["--x", "a", "--x", "b"], ["a", "b"]),
        (list[str], ["--x", "a"], ["a"]),
        (list[str], ["--x", '["a", "b"]'], ["a", "b"]),
        (list[int], ["--x", "1", "--x=2"], [1, 2]),
        (list[int] | None, ["--x", "1"], [1]),
        (list, ["--x", "1", "--x", "a"], [1, "a"]),
        (list[bool], ["--x", "yes", "--x", "no"], [True, False]),
        (tuple[int, str], ["--x", '[1, "a"]'], [1, "a"]),
        (dict[str, int], ["--x", '{"a": 1}'], {"a": 1}),
        (Place, ["--x", '{"name": "Oslo"}'], {"name": "Oslo"}),
        (Any, ["--x", "5"], 5),
        (Any, ["--x", "five"], "five"),
        (Annotated[int, Field(ge=0)], ["--x", "3"], 3),
    ],
)
def test_an_option_gives_the_parameters_own_kind_of_value(annotation: Any, words: list[str], value: Any) -> None:
    given = from_options(words, parameters(x=annotation))["x"]
    assert (given, type(given)) == (value, type(value))


def test_a_bare_boolean_leaves_the_next_option_alone() -> None:
    assert from_options(["--loud", "--city", "Oslo"], parameters(loud=bool, city=str)) == {"loud": True, "city": "Oslo"}


def test_dashes_stand_for_underscores() -> None:
    known = parameters(max_size=int, dry_run=bool)
    assert from_options(["--max-size", "3", "--no-dry-run"], known) == {"max_size": 3, "dry_run": False}
    assert from_options(["--max_size", "3"], known) == {"max_size": 3}


def test_a_parameter_whose_name_starts_with_no_is_itself() -> None:
    assert from_options(["--no-x", "5"], parameters(no_x=int, x=bool)) == {"no_x": 5}


def test_only_booleans_can_be_negated() -> None:
    with pytest.raises(CommandError, match="no parameter named 'no-city'; the pipeline has: --city"):
        from_options(["--no-city"], parameters(city=str))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--town", "Oslo"], r"no parameter named 'town'; the pipeline has: --city \(string\), --size \(integer\)"),
        (["Oslo"], "unexpected 'Oslo'; the pipeline has"),
        (["--city"], "--city needs a value"),
        (["--city", "a", "--city", "b"], "--city was given 2 times and takes one string"),
    ],
)
def test_words_that_name_nothing_are_explained(words: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message) as caught:
        from_options(words, parameters(city=str, size=int))
    assert caught.value.exit == ExitCode.USAGE


def test_a_pipeline_without_parameters_says_so() -> None:
    with pytest.raises(CommandError, match="the pipeline has no parameters"):
        from_options(["--city", "Oslo"], ())


def test_assignments_are_typed_by_the_parameters_where_they_are_known() -> None:
    known = parameters(size=int, tags=list[str], timeout=float)
    given = from_options([], known, ["size=3", "tags=a", "tags=b", "timeout:=2.5"])
    assert given == {"size": 3, "tags": ["a", "b"], "timeout": 2.5}


def test_an_option_wins_over_an_assignment() -> None:
    assert from_options(["--size", "2"], parameters(size=int), ["size=1"]) == {"size": 2}


def test_an_assignment_to_no_parameter_is_explained() -> None:
    with pytest.raises(CommandError, match="no parameter named 'town'"):
        from_options([], parameters(city=str), ["town=Oslo"])


def test_assignments_without_a_schema_are_text_or_json() -> None:
    assert from_assignments(["city=Oslo=1", "size:=3", "empty="]) == {"city": "Oslo=1", "size": 3, "empty": ""}


@pytest.mark.parametrize(
    ("assignments", "message", "code"),
    [
        (["city"], "write name=text or name:=JSON", ExitCode.USAGE),
        (["=Oslo"], "write name=text or name:=JSON", ExitCode.USAGE),
        ([":=1"], "write name=text or name:=JSON", ExitCode.USAGE),
        (["size:=three"], "is not JSON", ExitCode.INPUTS),
        (["tag=a", "tag=b"], r"given 2 times; write a list as 'tag:=\[…\]'", ExitCode.USAGE),
    ],
)
def test_assignments_that_cannot_be_read(assignments: list[str], message: str, code: ExitCode) -> None:
    with pytest.raises(CommandError, match=message) as caught:
        from_assignments(assignments)
    assert caught.value.exit == code


def test_params_come_as_json_from_a_file_or_from_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "inputs.json").write_text('{"city": "Ålesund"}', encoding="utf-8")
    monkeypatch.setattr("sys.stdin", io.StringIO('{"city": "Rome"}'))
    assert from_json(None) == {}
    assert from_json('{"city": "Oslo"}') == {"city": "Oslo"}
    assert from_json(f"@{tmp_path / 'inputs.json'}") == {"city": "Ålesund"}
    assert from_json("-") == {"city": "Rome"}


@pytest.mark.parametrize(
    ("source", "message", "code"),
    [
        ("{", "--params is not JSON", ExitCode.INPUTS),
        ("[" * 100_000, "--params is not JSON", ExitCode.INPUTS),
        ("[1]", "must be a JSON object", ExitCode.INPUTS),
        ("@missing.json", "--params @missing.json: .*No such file", ExitCode.USAGE),
    ],
)
def test_params_that_cannot_be_read(source: str, message: str, code: ExitCode) -> None:
    with pytest.raises(CommandError, match=message) as caught:
        from_json(source)
    assert caught.value.exit == code
