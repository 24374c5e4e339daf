"""The demo does what it promises, and says so when something is not as expected."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from demo import Tour

pytestmark = pytest.mark.server

DEMO = [sys.executable, "-u", str(Path(__file__).parents[1] / "demo.py")]


def test_the_demo_ends_well_and_shows_requests_and_answers() -> None:
    done = subprocess.run(DEMO, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "NOT AS EXPECTED" not in done.stdout
    assert re.search(r"All \d+ answers were as expected\.\n$", done.stdout)
    assert '"weather_analysis": "The weather in Oslo is 3.0 degrees Celsius."' in done.stdout
    assert "on_cleanup: the iris classifier" in done.stdout
    key = re.search(r"KEY=(\S+)", done.stdout)
    assert key is not None
    assert done.stdout.count(key[1]) == 1


@pytest.mark.parametrize("ending", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.full)])
def test_serve_keeps_it_running_until_it_is_interrupted(ending: signal.Signals) -> None:
    with subprocess.Popen([*DEMO, "--serve"], stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        said = ""
        for line in demo.stdout:
            said += line
            if "Ctrl-C ends it." in line:
                break
        url, key = re.findall(r"serves at (\S+)", said)[0], re.findall(r"KEY=(\S+)", said)[0]
        answer = httpx.get(f"{url}/ai/health/ready", headers={"Authorization": f"Bearer {key}"}, trust_env=False)
        demo.send_signal(ending)
        assert demo.wait(60) == 0
    assert answer.status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/ai/health/live", trust_env=False)


def test_no_answer_is_told_and_does_not_end_the_tour() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody there", request=request)

    with httpx.Client(base_url="http://meadow", transport=httpx.MockTransport(refuse)) as client:
        tour = Tour(client, "the-key")
        tour.call("A pot", "GET /ai/pot", 200)
    assert tour.wrong == ["A pot: expected 200, not 599"]


def test_an_answer_that_is_not_as_expected_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    teapot = httpx.MockTransport(lambda request: httpx.Response(418, json={"short": "and stout"}))
    with httpx.Client(base_url="http://meadow", transport=teapot) as client:
        tour = Tour(client, "the-key")
        tour.call("A pot", "GET /ai/pot", 418, "stout")
        assert tour.wrong == []
        tour.call("Another", "POST /ai/pot", 200, "slender", json={})
    assert tour.wrong == ["Another: expected 200, not 418", "Another: expected 'slender' in the answer"]
    printed = capsys.readouterr().out
    assert "the-key" not in printed
    assert """$ curl -X POST http://meadow/ai/pot -H "Authorization: Bearer $KEY" --json '{}'""" in printed
