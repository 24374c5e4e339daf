"""``pipemount run``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Pipemount

pytestmark = pytest.mark.usefixtures("shop")


def test_parameters_as_options_and_the_result_as_a_table(pipemount: Pipemount) -> None:
    done = pipemount("run", "shop:weather", "--city", "Rome", "--tags", "a", "--tags", "b", "--loud", "--units=F")
    assert done.exit_code == 0
    assert "weather_analysis   THE WEATHER IN ROME IS 3.0 DEGREES F. a b" in done.stdout


def test_a_progress_line_per_step_on_standard_error(pipemount: Pipemount) -> None:
    shown = pipemount("run", "shop:weather").stderr.splitlines()
    assert [line.split(" in ")[0] for line in shown[:2]] == ["fetch: completed", "analyse: completed"]
    assert shown[2].startswith("run ")
    assert " completed in " in shown[2]


def test_quiet_says_nothing_on_the_side(pipemount: Pipemount) -> None:
    done = pipemount("run", "shop:weather", "--quiet")
    assert (done.exit_code, done.stderr) == (0, "")


def test_json_is_the_servers_own_answer(pipemount: Pipemount) -> None:
    answer = json.loads(pipemount("run", "shop:weather", "--json").stdout)
    assert answer["success"] is True
    assert answer["outputs"] == {"weather_analysis": "The weather in Oslo is 3.0 degrees C."}
    assert answer["metadata"]["pipeline_name"] == "weather"
    assert answer["metadata"]["run_id"] in answer["metadata"]["run_name"]
    assert answer["execution_time"] > 0
    assert answer["error"] is None


def test_parameters_as_json_under_options(pipemount: Pipemount) -> None:
    words = ("--params", '{"city": "Rome", "tags": ["a"]}', "--city", "Bern")
    done = pipemount("run", "shop:weather", *words, "--json")
    assert json.loads(done.stdout)["outputs"] == {"weather_analysis": "The weather in Bern is 3.0 degrees C. a"}


def test_parameters_from_standard_input(pipemount: Pipemount) -> None:
    done = pipemount("run", "shop:weather", "--params", "-", input='{"city": "Rome"}')
    assert "The weather in Rome" in done.stdout


def test_parameters_from_a_file(pipemount: Pipemount, shop: Path) -> None:
    (shop / "inputs.json").write_text('{"city": "Rome"}')
    assert "The weather in Rome" in pipemount("run", "shop:weather", "--params", "@inputs.json").stdout


def test_a_parameter_named_like_an_option_is_given_with_param(pipemount: Pipemount) -> None:
    place = '{"city": "Oslo", "temperature": 3}'
    words = ("--place", place, "--param", "timeout=7", "-p", "json=text", "--timeout", "20", "--json")
    answer = json.loads(pipemount("run", "shop:measures", *words).stdout)
    assert answer["outputs"] == {"measured": {"place": "Oslo", "timeout": 7, "json": "text"}, "height": 3.0}


def test_values_that_are_no_text_are_shown_as_json(pipemount: Pipemount) -> None:
    done = pipemount("run", "shop:measures", "--place", '{"city": "Oslo", "temperature": 3}')
    assert 'measured   {"place": "Oslo", "timeout": 1, "json": null}' in done.stdout
    assert "height     3.0" in done.stdout


def test_an_output_cannot_command_the_terminal(pipemount: Pipemount) -> None:
    done = pipemount("run", "shop:weather", "--city", "a\x1b[2Jb")
    assert "a\\u001b[2Jb" in done.stdout
    assert "\x1b" not in done.stdout


def test_a_plain_function_runs(pipemount: Pipemount) -> None:
    assert "42" in pipemount("run", "shop:double").stdout


def test_a_retry_is_told(pipemount: Pipemount) -> None:
    done = pipemount("run", "shop:retried")
    assert done.exit_code == 0
    assert "stumble: attempt 1 failed (OSError), again in 0 s" in done.stderr
    assert "stumble: info: going" in done.stderr


def test_an_unknown_option_lists_the_parameters(pipemount: Pipemount) -> None:
    done = pipemount("run", "shop:weather", "--town", "Oslo")
    assert done.exit_code == 2
    assert "no parameter named 'town'; the pipeline has: --city (string), --units" in done.stderr


def test_invalid_inputs_are_listed(pipemount: Pipemount) -> None:
    done = pipemount("run", "shop:measures", "--place", "Oslo", "--param", "timeout=soon", "--json")
    assert done.exit_code == 3
    assert "\n  timeout: " in done.stderr
    assert [fault["loc"] for fault in json.loads(done.stdout)["errors"]] == [["place"], ["timeout"]]


def test_a_failed_step_is_told_with_its_cause(pipemount: Pipemount, shop: Path) -> None:
    done = pipemount("run", "shop:weather", "--city", "Atlantis", "--json")
    assert done.exit_code == 1
    assert "fetch: failed\n" in done.stderr
    assert "error: step 'fetch' raised LookupError: sunk\nlong ago" in done.stderr
    assert f"{shop / 'shop.py'}:" in done.stderr
    answer = json.loads(done.stdout)
    assert (answer["success"], answer["outputs"], answer["step"]) == (False, None, "fetch")


def test_a_step_that_refuses_is_a_failed_run_whatever_its_status(pipemount: Pipemount) -> None:
    done = pipemount("run", "shop:refused", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["code"] == "sold-out"


def test_a_deadline_has_its_own_code(pipemount: Pipemount) -> None:
    done = pipemount("run", "shop:slow", "--timeout", "0.05")
    assert done.exit_code == 6
    assert "took longer than its timeout of 0.05 s" in done.stderr


@pytest.mark.parametrize("timeout", ["0", "-1", "nan", "inf"])
def test_a_timeout_that_is_none(pipemount: Pipemount, timeout: str) -> None:
    done = pipemount("run", "shop:weather", f"--timeout={timeout}")
    assert done.exit_code == 2
    assert "must be above 0" in done.stderr


def test_help_shows_the_parameters_of_the_pipeline(pipemount: Pipemount) -> None:
    done = pipemount("run", "shop:weather", "--help")
    assert done.exit_code == 0
    assert ["city", "string", '"Oslo"', "Where"] in [line.split() for line in done.stdout.splitlines()]


def test_a_run_of_nothing(pipemount: Pipemount) -> None:
    done = pipemount("run")
    assert (done.exit_code, done.stderr) == (2, "error: name the pipeline, as module:pipeline\n")


def test_a_raising_on_init_is_told_on_one_line(pipemount: Pipemount) -> None:
    done = pipemount("run", "shop:unready")
    assert done.exit_code == 1
    assert "error: starting or stopping 'unready' raised RuntimeError: no model here (" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_target_comes_first(pipemount: Pipemount) -> None:
    done = pipemount("run", "--city", "Oslo", "shop:weather")
    assert done.exit_code == 2
    assert "name the pipeline first" in done.stderr


def test_ctrl_c_has_its_own_code(pipemount: Pipemount, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipemount.cli.run._run", interrupted)
    done = pipemount("run", "shop:weather")
    assert (done.exit_code, done.stderr) == (130, "interrupted\n")
