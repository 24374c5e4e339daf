"""The command as a whole."""

from __future__ import annotations

import pytest

import pipemount as package

from .conftest import Pipemount

COMMANDS = ["", "check", "draw", "describe", "run", "serve", "invoke", "keys", "keys generate"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_has_an_example(pipemount: Pipemount, command: str) -> None:
    done = pipemount(*command.split(), "--help")
    assert done.exit_code == 0
    assert f"Example: pipemount {command}".rstrip() in done.stdout


def test_the_version(pipemount: Pipemount) -> None:
    assert pipemount("--version").stdout == f"pipemount {package.__version__}\n"


@pytest.mark.parametrize(
    "words", [("nothing",), ("check",), ("check", "a:b", "--loud"), ("draw", "a:b", "--format", "x")]
)
def test_usage_errors_have_one_code(pipemount: Pipemount, words: tuple[str, ...]) -> None:
    assert pipemount(*words).exit_code == 2
