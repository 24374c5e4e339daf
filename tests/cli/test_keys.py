"""``pipemount keys generate``."""

from __future__ import annotations

import json

import pytest

from pipemount.auth import AuthKeys, digest

from .conftest import Pipemount


def test_a_key_is_shown_once_with_its_line(pipemount: Pipemount) -> None:
    done = pipemount("keys", "generate", "--name", "ci")
    assert done.exit_code == 0
    [key] = [word for word in done.stdout.split() if word.startswith("pm_")]
    assert f"ci:{digest(key)}" in done.stdout.split()


def test_the_line_opens_the_app_to_the_key(pipemount: Pipemount, monkeypatch: pytest.MonkeyPatch) -> None:
    done = pipemount("keys", "generate", "--name", "ci", "--digest-only")
    key = done.stderr.split()[-1]
    assert key not in done.stdout
    monkeypatch.setenv("KEYS", done.stdout)
    assert AuthKeys.from_env("KEYS").authenticate(f"Bearer {key}".encode(), None).name == "ci"


def test_two_keys_differ(pipemount: Pipemount) -> None:
    assert pipemount("keys", "generate").stdout != pipemount("keys", "generate").stdout


def test_a_key_for_an_environment_file(pipemount: Pipemount) -> None:
    done = pipemount("keys", "generate", "--env", "PIPEMOUNT_KEY")
    assert done.stdout.startswith("PIPEMOUNT_KEY=pm_")
    assert done.stdout.count("\n") == 1


def test_a_key_as_json(pipemount: Pipemount) -> None:
    made = json.loads(pipemount("keys", "generate", "--json").stdout)
    assert made["line"] == f"key-1:{made['digest']}"
    assert made["digest"] == digest(made["key"])


def test_only_one_form_at_a_time(pipemount: Pipemount) -> None:
    done = pipemount("keys", "generate", "--json", "--digest-only")
    assert done.exit_code == 2
    assert "choose one of --digest-only, --env and --json" in done.stderr


@pytest.mark.parametrize("name", ["a:b", "a,b", "#a", "[a", ""])
def test_a_name_that_no_file_can_hold_is_refused(pipemount: Pipemount, name: str) -> None:
    done = pipemount("keys", "generate", "--name", name)
    assert done.exit_code == 2
    assert "name" in done.stderr
    assert "pm_" not in done.stdout
