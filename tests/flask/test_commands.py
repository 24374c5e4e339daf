"""``flask pipemount``."""

from __future__ import annotations

import json
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask, current_app
from tests.flask.conftest import Make, caller

from pipemount import pipeline, step
from pipemount.cli.flask import command

ROOT = Path(__file__).parents[2]


@step
def greet(name: str) -> str:
    return f"Hello, {name} of {current_app.name}!"


@pipeline
def greeting(name: str = "Ada") -> Any:
    return greet(name)


@pytest.fixture
def shop(app: Flask, make: Make) -> Flask:
    make(greeting).init_app(app)
    return app


def run(app: Flask, *words: str) -> Result:
    app.cli.add_command(command)
    return app.test_cli_runner().invoke(args=["pipemount", *words])


def test_flask_finds_the_commands() -> None:
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["flask.commands"]
    module, _, name = points["pipemount"].partition(":")
    assert getattr(import_module(module), name) is command


def test_the_only_pipeline_needs_no_name(shop: Flask) -> None:
    assert "greeting: compiles" in run(shop, "check").output
    assert run(shop, "draw").output.startswith("flowchart TD")
    assert run(shop, "describe", "--show-schema").exit_code == 0


def test_a_run_has_the_application(shop: Flask) -> None:
    done = run(shop, "run", "--name", "Bo", "--json", "--quiet")
    assert json.loads(done.stdout)["outputs"] == {"output": "Hello, Bo of shop!"}
    assert run(shop, "run", "-p", "name=Bo").exit_code == 0
    assert "Hello, Eve of shop!" in run(shop, "run", "greeting", "--name=Eve").output
    assert "Hello, Ada of shop!" in run(shop, "run").output


def test_help_tells_the_parameters(shop: Flask) -> None:
    done = run(shop, "run", "--help")
    assert ["name", "string", '"Ada"'] in [line.split() for line in done.output.splitlines()]
    assert "Usage: flask pipemount [OPTIONS] COMMAND" in run(shop, "--help").output


def test_what_is_released_is_compared_with_what_is_here(shop: Flask, tmp_path: Path) -> None:
    released = tmp_path / "released.json"
    released.write_text(run(shop, "describe", "--json").stdout)
    assert "nothing changed" in run(shop, "diff", str(released)).output
    changed = json.loads(released.read_text())
    changed["output_schema"]["properties"]["output"]["type"] = "integer"
    released.write_text(json.dumps(changed))
    assert run(shop, "diff", str(released)).exit_code == 7


def test_keys(shop: Flask) -> None:
    assert run(shop, "keys", "generate", "--env", "KEY").output.startswith("KEY=pm_")


def test_several_pipelines_go_by_name(app: Flask, make: Make) -> None:
    make({"greeting": greeting, "caller": caller}).init_app(app)
    make(greeting).init_app(app, "/more", name="more")
    assert run(app, "check").output.count("compiles") == 3
    unnamed = run(app, "describe")
    assert unnamed.exit_code == 2
    known = "mounted here: pipemount.greeting, pipemount.caller, more.greeting"
    assert f"name the pipeline; {known}" in unnamed.output
    assert f"'greeting' names several; {known}" in run(app, "check", "greeting").output
    assert f"'nope' names none; {known}" in run(app, "check", "nope").output
    assert run(app, "check", "caller").exit_code == run(app, "check", "more.greeting").exit_code == 0


def test_an_app_that_is_mounted_twice_has_its_pipelines_once(make: Make) -> None:
    pipelines = make({"greeting": greeting, "caller": caller})
    app = Flask("twice")
    pipelines.init_app(app)
    pipelines.init_app(app, "/staff", name="staff", before=[lambda view: view])
    assert run(app, "check").output.count("compiles") == 2
    for name in ("greeting", "pipemount.greeting", "staff.greeting"):
        assert run(app, "check", name).exit_code == 0


def test_a_pipeline_elsewhere_is_named_as_ever(shop: Flask) -> None:
    assert "caller: compiles" in run(shop, "check", "tests.flask.conftest:caller").output


def test_an_application_without_pipelines(app: Flask) -> None:
    assert "mounted here: nothing" in run(app, "check").output


def test_only_commands_that_belong_to_an_application(shop: Flask) -> None:
    assert "No such command 'serve'" in run(shop, "serve", "x:y").output


def test_without_the_extra_the_way_out_is_told(shop: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipemount.cli.mounted.find_spec", lambda name: None)
    done = run(shop, "check")
    assert (done.exit_code, "pip install 'pipemount[cli]'" in done.output) == (1, True)
