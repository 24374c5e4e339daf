"""``pipemount serve`` under real uvicorn, and ``invoke`` and ``describe`` against it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from .conftest import COMMAND, HERE, PACKAGES, Pipemount

pytestmark = [pytest.mark.server, pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")]

KEY = "correct horse battery staple"


@contextmanager
def serving(folder: Path, *words: str, ends: int = 130) -> Iterator[tuple[str, list[str]]]:
    """A server process; its URL and the lines that it printed first. Ctrl-C ends it, with this code."""
    command = [*COMMAND, "serve", *words, "--port", "0"]
    log = folder / "server.log"
    with (
        log.open("w") as stderr,
        subprocess.Popen(
            command,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env=os.environ | {"PYTHONPATH": PACKAGES},
        ) as process,
    ):
        lines: list[str] = []
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.strip())
            if line.startswith("Ctrl-C"):
                break
        assert lines, log.read_text()
        try:
            yield next(line.split()[1] for line in lines if line.startswith("url")), lines
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=30)
        assert process.returncode == ends, log.read_text()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a host with several pipelines mounted at ``/ai``."""
    folder = tmp_path_factory.mktemp("served")
    for name in ("shop", "apps"):
        (folder / f"{name}.py").write_text((HERE / f"{name}.txt").read_text())
    with serving(folder, "apps:host") as (address, lines):
        assert f"pipelines  {address}/ai" in lines
        assert f"docs     {address}/ai/docs" in lines
        yield f"{address}/ai"


@pytest.fixture
def weather(url: str) -> str:
    """The address of one pipeline."""
    return f"{url}/pipelines/weather"


def test_invoke_prints_the_outputs(pipemount: Pipemount, weather: str) -> None:
    done = pipemount("invoke", weather, "--param", "city=Rome", "-p", 'tags:=["a"]')
    assert done.exit_code == 0, done.stderr
    assert "weather_analysis   The weather in Rome is 3.0 degrees C. a" in done.stdout
    assert done.stderr.startswith("run ")


def test_invoke_prints_the_whole_answer_as_json(pipemount: Pipemount, weather: str) -> None:
    done = pipemount("invoke", f"{weather}/invoke", "--params", "-", "--json", "--quiet", input='{"city": "Rome"}')
    answer = json.loads(done.stdout)
    assert answer["success"] is True
    assert answer["metadata"]["parameters_used"]["city"] == "Rome"
    assert done.stderr == ""


def test_text_becomes_what_the_pipeline_asks_for(pipemount: Pipemount, url: str) -> None:
    place = 'place:={"city": "Oslo", "temperature": 3}'
    done = pipemount("invoke", f"{url}/measures", "-p", place, "-p", "timeout=7", "--json")
    assert json.loads(done.stdout)["outputs"]["measured"]["timeout"] == 7


def test_invalid_inputs_at_a_server(pipemount: Pipemount, weather: str) -> None:
    done = pipemount("invoke", weather, "--param", "units=K", "--json")
    assert done.exit_code == 3
    assert "error: Invalid inputs (422):\n" in done.stderr
    assert "units: Input should be 'C' or 'F'" in done.stderr
    assert json.loads(done.stdout)["status"] == 422


def test_a_failed_step_at_a_server(pipemount: Pipemount, weather: str) -> None:
    done = pipemount("invoke", weather, "--param", "city=Atlantis")
    assert done.exit_code == 1
    assert "error: Step failed (500): step 'fetch' raised LookupError" in done.stderr
    assert "\n  run_id: " in done.stderr


def test_a_step_that_refuses_at_a_server(pipemount: Pipemount, url: str) -> None:
    assert pipemount("invoke", f"{url}/refused").exit_code == 1


def test_a_deadline_at_a_server(pipemount: Pipemount, url: str) -> None:
    done = pipemount("invoke", f"{url}/slow", "--timeout", "0.05")
    assert done.exit_code == 6
    assert "(504)" in done.stderr


@pytest.mark.parametrize("command", ["invoke", "describe"])
def test_an_app_of_several_pipelines_names_them(pipemount: Pipemount, url: str, command: str) -> None:
    done = pipemount(command, url)
    assert done.exit_code == 2
    assert f"{url} serves several pipelines; name one: {url}/pipelines/weather or " in done.stderr


def test_a_path_where_nothing_is_served(pipemount: Pipemount, url: str) -> None:
    done = pipemount("invoke", f"{url}/nothing/here")
    assert done.exit_code == 5
    assert "(404)" in done.stderr


def test_describe_tells_the_same_of_a_served_pipeline(pipemount: Pipemount, weather: str, shop: Path) -> None:
    here, there = pipemount("describe", "shop:weather"), pipemount("describe", weather)
    assert there.exit_code == 0, there.stderr
    assert there.stdout == here.stdout
    told_here = json.loads(pipemount("describe", "shop:weather", "--json").stdout)
    told_there = json.loads(pipemount("describe", weather, "--json").stdout)
    assert told_there.items() >= told_here.items()
    compared = pipemount("diff", "shop:weather", weather)
    assert (compared.exit_code, compared.stderr) == (0, "nothing changed\n")


def test_a_key_opens_what_is_locked(pipemount: Pipemount, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (shop / "keys.txt").write_text(f"ci:{KEY}\n")
    (shop / "keys.txt").chmod(0o600)
    with serving(shop, "shop:weather", "--key-file", "keys.txt") as (url, _):
        assert pipemount("invoke", url).exit_code == 4
        assert pipemount("invoke", url, "--key", "a wrong one").exit_code == 4
        assert pipemount("invoke", url, "--key", KEY).exit_code == 0
        monkeypatch.setenv("PIPEMOUNT_KEY", KEY)
        assert pipemount("invoke", url).exit_code == 0
        assert pipemount("describe", url).exit_code == 0


def test_a_plain_function_is_served_by_two_workers(shop: Path) -> None:
    with serving(shop, "shop:double", "--workers", "2", "--key", KEY, ends=0) as (url, lines):
        assert lines[0] == "serving shop:double"
        transport = httpx.HTTPTransport(retries=5)
        with httpx.Client(transport=transport, headers={"x-api-key": KEY}) as client:
            answer = client.post(f"{url}/invoke", json={"parameters": {"number": 4}}).json()
    assert answer["outputs"] == {"output": 8}


def test_an_app_that_cannot_start_ends_the_command(shop: Path) -> None:
    command = [*COMMAND, "serve", "apps:broken", "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "no model here" in done.stderr
    assert "error: the app did not start" in done.stderr
    assert "url" not in done.stdout


def test_a_taken_port_is_told(pipemount: Pipemount, shop: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = pipemount("serve", "shop:weather", "--port", str(port))
    assert done.exit_code == 5
    assert f"127.0.0.1:{port} cannot be listened on: Address already in use; choose another --port" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("shop:weather", "--reload", "--workers", "2"), 2, "leave out one of --reload and --workers"),
        (("shop:weather", "--key", KEY, "--key-env", "KEYS"), 2, "choose one of --key, --key-env and --key-file"),
        (("shop:weather", "--key", ""), 1, "key 'key-1' is empty"),
        (("shop:weather", "--key-env", "NO_SUCH_VARIABLE"), 1, "NO_SUCH_VARIABLE is not set"),
        (("apps:host", "--key", KEY), 2, "'apps:host' is an app and brings its own keys"),
        (("shop:weather", "--host", "256.0.0.1"), 2, "--host 256.0.0.1: "),
        (("shop:SIZE",), 1, "builtins.int cannot be served"),
        (("shop:uncompilable",), 1, "way out: "),
    ],
)
def test_what_cannot_be_served(
    pipemount: Pipemount, shop: Path, words: tuple[str, ...], code: int, message: str
) -> None:
    done = pipemount("serve", *words)
    assert done.exit_code == code
    assert message in done.stderr


def test_serving_needs_its_own_extra(pipemount: Pipemount, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipemount.cli.serve.find_spec", lambda name: None)
    done = pipemount("serve", "shop:weather")
    assert done.exit_code == 2
    assert "pip install 'pipemount[server]'" in done.stderr
