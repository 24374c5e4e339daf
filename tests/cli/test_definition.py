"""``pipemount check`` and ``describe``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import pipemount as package

from .conftest import Pipemount

pytestmark = pytest.mark.usefixtures("shop")


def lines(text: str) -> list[list[str]]:
    """The words of each line."""
    return [line.split() for line in text.splitlines()]


def test_check_tells_steps_inputs_outputs_and_fingerprint(pipemount: Pipemount) -> None:
    done = pipemount("check", "shop:weather")
    assert done.exit_code == 0
    assert done.stderr == "weather: compiles\n"
    shown = lines(done.stdout)
    [fingerprint] = [words[1] for words in shown if words[:1] == ["weather"]]
    assert len(fingerprint) == 64
    assert ["fetch", "thread"] in shown
    assert ["analyse", "async", "fetch"] in shown
    assert ["city", "string", '"Oslo"', "Where"] in shown
    assert ["units", '"C"', "or", '"F"', '"C"'] in shown
    assert ["weather_analysis", "string"] in shown


def test_check_as_json(pipemount: Pipemount) -> None:
    told = json.loads(pipemount("check", "shop:weather", "--json").stdout)
    assert told["name"] == "weather"
    assert [node["id"] for node in told["graph"]["nodes"]] == ["fetch", "analyse"]
    assert told["input_schema"]["properties"]["city"]["default"] == "Oslo"


def test_check_takes_a_plain_function(pipemount: Pipemount) -> None:
    done = pipemount("check", "shop:double")
    assert done.exit_code == 0
    assert ["number", "integer", "21"] in lines(done.stdout)


def test_a_pipeline_without_parameters_has_no_input_table(pipemount: Pipemount) -> None:
    done = pipemount("check", "shop:refused")
    assert done.exit_code == 0
    assert "input" not in done.stdout


def test_check_explains_what_cannot_be_compiled(pipemount: Pipemount, shop: Path) -> None:
    done = pipemount("check", "shop:uncompilable")
    assert done.exit_code == 1
    line = next(n for n, text in enumerate((shop / "shop.py").read_text().splitlines(), 1) if "{city}!" in text)
    assert f"error: {shop / 'shop.py'}:{line}: " in done.stderr
    assert "\n  way out: " in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_an_error_as_json_too(pipemount: Pipemount) -> None:
    done = pipemount("check", "shop:uncompilable", "--json")
    told = json.loads(done.stdout)
    assert done.exit_code == 1
    assert told["success"] is False
    assert told["title"] == "Pipeline cannot be compiled"
    assert done.stderr.startswith("error: ")


def test_the_traceback_of_an_error_is_there_for_the_asking(pipemount: Pipemount) -> None:
    done = pipemount("--traceback", "check", "shop:uncompilable")
    assert done.exit_code == 1
    assert isinstance(done.exception, package.CompileError)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("shop:lost", "on_init of pipeline 'lost' is 'shop:nowhere': module 'shop' has no attribute 'nowhere'"),
        ("shop:unusable", "on_init of pipeline 'unusable' is 'shop:SIZE', which is not a function"),
    ],
)
def test_check_resolves_hooks(pipemount: Pipemount, target: str, message: str) -> None:
    done = pipemount("check", target)
    assert done.exit_code == 1
    assert message in done.stderr


def test_check_accepts_hooks_that_are_there(pipemount: Pipemount) -> None:
    assert pipemount("check", "shop:hooked").exit_code == 0


@pytest.mark.parametrize("target", ["shop", "shop:nothing", "nowhere:weather", "shop.py:weather", "http://a/b"])
def test_a_bad_target_is_a_usage_error(pipemount: Pipemount, target: str) -> None:
    done = pipemount("check", target)
    assert done.exit_code == 2
    assert done.stderr.startswith("error: ")


def test_what_is_no_pipeline_is_refused(pipemount: Pipemount) -> None:
    done = pipemount("check", "shop:SIZE")
    assert done.exit_code == 1
    assert "builtins.int cannot be served" in done.stderr


def test_an_app_of_one_pipeline_stands_for_it(pipemount: Pipemount) -> None:
    assert pipemount("check", "apps:one").stdout == pipemount("check", "shop:weather").stdout


def test_an_app_of_several_pipelines_does_not(pipemount: Pipemount) -> None:
    done = pipemount("check", "apps:several")
    assert done.exit_code == 2
    assert "is an app of several pipelines: weather, measures" in done.stderr


def test_a_pipeline_of_another_library(pipemount: Pipemount, shop: Path) -> None:
    (shop / "foreign.py").write_text(
        "from pipemount import compile\nfrom shop import weather\n\n"
        "class Foreign:\n"
        "    def __init__(self):\n"
        "        inner = compile(weather)\n"
        "        members = 'info graph input output overrides capabilities start stop stream'\n"
        "        for name in members.split():\n"
        "            setattr(self, name, getattr(inner, name))\n\n"
        "foreign = Foreign()\n"
    )
    assert pipemount("check", "foreign:foreign").exit_code == 0
    for format in ("mermaid", "svg", "json"):
        done = pipemount("draw", "foreign:foreign", "--format", format)
        assert done.stdout == pipemount("draw", "shop:weather", "--format", format).stdout


def test_describe_tells_the_docstring(pipemount: Pipemount) -> None:
    done = pipemount("describe", "shop:weather")
    assert done.exit_code == 0
    assert done.stdout.startswith("What the weather is like.\n")


def test_describe_shows_schemas_on_request(pipemount: Pipemount) -> None:
    plain = pipemount("describe", "shop:measures").stdout
    done = pipemount("describe", "shop:measures", "--show-schema").stdout
    assert done.startswith(plain)
    schemas = json.loads(done.removeprefix(plain))
    assert "place" in schemas["input"]["properties"]
    assert "measured" in schemas["output"]["properties"]


def test_describe_as_json(pipemount: Pipemount) -> None:
    told = json.loads(pipemount("describe", "shop:weather", "--json").stdout)
    assert told["description"] == "What the weather is like."
    assert told["graph"]["layout"]["nodes"]
    assert told["graph"]["nodes"][0]["version"]


def test_describe_tells_of_branches_and_of_outputs_that_some_paths_lack(pipemount: Pipemount) -> None:
    shown = lines(pipemount("describe", "shop:decided").stdout)
    assert ["branch", "asks", "yes"] in shown
    assert ["branch", "place.temperature", ">", "35", "warn"] in shown
    assert ["warning", "string", "on", "some", "paths"] in shown


def test_describe_tells_how_steps_are_run(pipemount: Pipemount) -> None:
    shown = lines(pipemount("describe", "shop:policies").stdout)
    assert ["careful", "thread", "2", "attempts;", "timeout", "5", "s;", "on_end"] in shown


MAPPED = {
    "name": "mapped",
    "description": "",
    "fingerprint": "0" * 64,
    "input_schema": {"type": "object", "properties": {}},
    "output_schema": {"type": "object", "properties": {}},
    "graph": {
        "nodes": [
            {
                "id": "thumbs",
                "label": "thumbs",
                "kind": "map",
                "settings": {"fan": {"kind": "map", "over": ["url"], "max_concurrency": 4}},
                "body": {
                    "nodes": [
                        {"id": "load", "label": "load", "kind": "thread"},
                        {"id": "branch", "label": "load.wide", "kind": "branch"},
                    ],
                    "edges": [{"source": "branch", "target": "load", "label": "no", "conditional": True}],
                },
            },
            {
                "id": "pairs",
                "label": "pairs",
                "kind": "map",
                "settings": {"fan": {"kind": "product", "over": ["a", "b"], "max_concurrency": None}},
            },
        ],
        "edges": [{"source": "thumbs", "target": "pairs", "label": "a", "conditional": False}],
    },
}


def test_describe_reads_what_was_told_before_maps_with_what_they_repeat(pipemount: Pipemount, shop: Path) -> None:
    (shop / "mapped.json").write_text(json.dumps(MAPPED))
    shown = lines(pipemount("describe", "mapped.json").stdout)
    assert ["thumbs", "map", "each", "url;", "4", "at", "a", "time"] in shown
    assert ["thumbs[]/load", "thread", "branch"] in shown
    assert ["pairs", "map", "thumbs", "every", "pair", "of", "a,", "b"] in shown
    assert ["thumbs[]/branch", "load.wide", "load"] in shown


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "saved.json: No such file or directory"),
        ("{", "saved.json is not JSON; write it with pipemount describe --json"),
        ("[]", "saved.json describes no pipeline"),
        ('{"input_schema": {}}', "saved.json describes no pipeline"),
    ],
)
def test_a_file_that_describes_nothing(pipemount: Pipemount, shop: Path, text: str | None, message: str) -> None:
    if text is not None:
        (shop / "saved.json").write_text(text)
    done = pipemount("describe", "saved.json")
    assert done.exit_code == 2
    assert message in done.stderr
