"""Web processes whose steps run on an engine: what their callers see, and what is left when one of them is killed."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.executors import sent
from tests.support.clusters import DaskCluster, dask_cluster
from tests.support.servers import Server, serve, wait_until

from pipemount.jobs.models import ENDED

pytestmark = pytest.mark.server


@contextmanager
def website(folder: Path, scheduler: str = "", module: str = "served") -> Iterator[Server]:
    variables = {"SERVED_FOLDER": str(folder), "SERVED_SCHEDULER": scheduler}
    command = ["uvicorn", f"tests.executors.{module}:pipelines", "--port", "{port}", "--log-level", "warning"]
    with serve(command, folder=folder, env=variables) as server:
        yield server


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the website has its jobs."""
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def web(dask: DaskCluster, place: Path) -> Iterator[Server]:
    with website(place, dask.address) as server:
        yield server


def submit(server: Server, **inputs: Any) -> str:
    reply = server.post("/submit", {"parameters": inputs})
    assert reply.status == 202, reply.body
    return str(reply.json()["job_id"])


def ended(server: Server, job_id: str) -> dict[str, Any]:
    def record() -> Any:
        return server.get(f"/jobs/{job_id}").json()

    wait_until(lambda: record()["status"] in ENDED, 90)
    found: dict[str, Any] = record()
    return found


def followed(server: Server, job_id: str) -> Iterator[dict[str, Any]]:
    """The events of a job, as they come."""
    url = f"http://127.0.0.1:{server.port}/jobs/{job_id}/events"
    with httpx.stream("GET", url, timeout=60, headers={"accept": "text/event-stream"}) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                yield json.loads(line[6:])


def begun(folder: Path) -> Counter[int]:
    return Counter(int(line.split()[1]) for line in sent.lines(folder, "begun"))


def open_gate(folder: Path) -> None:
    (folder / "gate").touch()


def test_events_reach_the_caller_while_the_map_runs(web: Server, tmp_path: Path) -> None:
    job_id = submit(web, folder=str(tmp_path), numbers=[0, 1, 2, 3])
    events = []
    for event in followed(web, job_id):
        events.append(event)
        if event["kind"] == "progress":
            assert event["step"].startswith("gated[")
            break
    assert not (tmp_path / "gate").exists(), "the map waits, and its item was heard"
    open_gate(tmp_path)
    assert ended(web, job_id)["status"] == "succeeded", web.log
    told = list(followed(web, job_id))
    assert [event["sequence"] for event in told] == list(range(1, len(told) + 1))
    assert told[: len(events)] == events
    assert told[-1]["kind"] == "run_completed"
    for number in range(4):
        kinds = [event["kind"] for event in told if event["step"] == f"gated[{number}]"]
        assert kinds == ["step_started", "progress", "step_completed"]


def killed_and_started_again(web: Server, place: Path, folder: Path, scheduler: str = "") -> None:
    job_id = submit(web, folder=str(folder), numbers=list(range(10)), first=6)
    wait_until(lambda: {6, 7} <= begun(folder).keys(), 90)
    web.process.kill()
    web.process.wait(30)
    with website(place, scheduler) as web:
        wait_until(lambda: min(begun(folder)[6], begun(folder)[7]) == 2, 90)
        open_gate(folder)
        job = ended(web, job_id)
        assert (job["status"], job["attempt"]) == ("succeeded", 2), web.log
        assert job["outputs"] == {"output": [10 * n for n in range(10)]}
        told = list(followed(web, job_id))
    assert [event["sequence"] for event in told] == list(range(1, len(told) + 1))
    assert begun(folder) == Counter({n: 2 if n in (6, 7) else 1 for n in range(10)}), "what was kept did not run again"


def test_a_killed_web_process_has_its_job_go_on_where_it_was(
    web: Server, dask: DaskCluster, place: Path, tmp_path: Path
) -> None:
    """The last one to which the module's own web process is there."""
    killed_and_started_again(web, place, tmp_path, dask.address)


@pytest.mark.full
def test_a_killed_web_process_takes_its_own_ray_along_and_its_job_goes_on(tmp_path: Path) -> None:
    with website(tmp_path) as web:
        killed_and_started_again(web, tmp_path, tmp_path)


@pytest.mark.full
@pytest.mark.timeout(300)
@pytest.mark.parametrize("engine", ["dask", "ray"])
def test_a_map_of_a_thousand_streams_its_progress_and_outlives_a_worker(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    scheduler = request.getfixturevalue("dask").address if engine == "dask" else ""
    killed = 0
    with website(tmp_path, scheduler, "computed") as web:
        job_id = submit(web, numbers=list(range(1000)))
        told = []
        for event in followed(web, job_id):
            told.append(event)
            if not killed and event["kind"] == "progress" and event["data"]["done"] >= 300:
                assert web.get(f"/jobs/{job_id}").json()["status"] == "running", "it is heard while it runs"
                killed = min(int(path.name.partition("-")[2]) for path in tmp_path.glob("worker-*"))
                os.kill(killed, signal.SIGKILL)
        job = ended(web, job_id)
        if engine == "dask":
            request.getfixturevalue("dask").add_worker()
    assert killed
    assert (job["status"], job["outputs"]) == ("succeeded", {"output": list(range(1000))})
    assert [event["sequence"] for event in told] == list(range(1, len(told) + 1))
    progress = [event["data"] for event in told if event["kind"] == "progress"]
    assert progress == [{"done": done, "total": 1000} for done in range(1, 1001)]
    completed = Counter(event["step"] for event in told if event["kind"] == "step_completed")
    assert completed == Counter(["crunched", *(f"crunched[{number}]" for number in range(1000))])


@pytest.mark.full
def test_an_engine_that_goes_away_is_a_503_and_is_found_again(tmp_path: Path) -> None:
    with dask_cluster(tmp_path, workers=1) as cluster, website(tmp_path, cluster.address) as web:
        asked = {"parameters": {"folder": str(tmp_path), "numbers": [1]}}
        job_id = submit(web, folder=str(tmp_path), numbers=[0])
        wait_until(lambda: begun(tmp_path)[0] == 1)
        cluster.scheduler.kill()
        job = ended(web, job_id)
        assert (job["status"], job["error"]["code"]) == ("failed", "executor-unavailable"), web.log
        reply = web.post("/invoke", asked)
        assert (reply.status, reply.json()["code"]) == (503, "executor-unavailable")
        assert "retry-after" in reply.headers
        assert cluster.address not in reply.body.decode()
        cluster.start_scheduler()
        cluster.add_worker()
        open_gate(tmp_path)
        wait_until(lambda: web.post("/invoke", asked).status == 200, 60)
