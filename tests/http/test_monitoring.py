"""``GET /metrics`` and ``GET /status``."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from contextvars import Context
from typing import Any
from uuid import uuid4

import jsonschema
import pytest
from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics_parser
from tests.support.asgi import Answer, Connection, get, post

from pipemount import AuthKeys, PipelineApp, PipelineError, Settings, pipeline, step
from pipemount.auth.key import Key
from pipemount.errors import ConfigurationError, OverloadedError
from pipemount.http import monitoring
from pipemount.http.components import PREFIX
from pipemount.http.openapi import build_openapi
from pipemount.jobs.models import STATUSES, JobRequest
from pipemount.runtime import loops
from pipemount.types import JsonObject

PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
OPENMETRICS, TEXT = (
    "application/openmetrics-text; version=1.0.0; charset=utf-8",
    "text/plain; version=0.0.4; charset=utf-8",
)
OPEN = {"accept": "application/openmetrics-text"}


@step
async def double(number: int) -> int:
    if number < 0:
        raise PipelineError("below zero", status=409)
    return 2 * number


@pipeline
def doubling(number: int = 1) -> Any:
    return double(number)


@step
async def wait() -> int:
    await asyncio.Event().wait()
    return 0


@pipeline
def waiting() -> Any:
    return wait()


@contextlib.asynccontextmanager
async def started(pipelines: Any = doubling, **options: Any) -> AsyncIterator[PipelineApp]:
    app = PipelineApp(pipelines, **options)
    async with app.lifespan(None):
        yield app


def metric(answer: Answer, name: str) -> Any:
    (found,) = (metric for metric in answer.json()["metrics"] if metric["name"] == name)
    samples = found["samples"]
    return samples[0]["value"] if len(samples) == 1 and not samples[0]["labels"] else samples


def check_conforms(app: PipelineApp, value: JsonObject, name: str) -> None:
    document = build_openapi(app.pipelines, app.route_table, settings=app.settings, schemes=(), base="")
    schema = {"$ref": f"{PREFIX}pipemount_{name}", "components": document["components"]}
    jsonschema.Draft202012Validator(schema).validate(value)


# ------------------------------------------------------------------------------------------- metrics


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "application/json"),
        ("application/json, text/plain;q=0.9", "application/json"),
        (PROMETHEUS, OPENMETRICS),
        ("application/openmetrics-text", OPENMETRICS),
        ("application/*;q=0.5, application/openmetrics-text;q=0.9", OPENMETRICS),
        ("text/plain", TEXT),
        ("text/*", TEXT),
        ("text/plain;version=0.0.4;q=0.9, application/openmetrics-text;q=0.1", TEXT),
    ],
)
async def test_the_reader_chooses_the_format(accept: str | None, expected: str) -> None:
    async with started() as app:
        answer = await get(app, "/metrics", headers={} if accept is None else {"accept": accept})
    assert answer.status == 200
    assert answer.headers["content-type"] == expected
    assert answer.headers["vary"] == "accept"


async def test_a_format_that_is_not_there_is_refused() -> None:
    async with started() as app:
        answer = await get(app, "/metrics", headers={"accept": "image/png"})
        assert (await get(app, "/status", headers={"accept": "text/plain"})).status == 406
    assert answer.status == 406
    assert "openmetrics-text" in answer.json()["detail"]


async def test_runs_are_counted_by_their_result_and_timed() -> None:
    async with started() as app:
        for number in (1, 2, -1):
            await post(app, "/invoke", {"parameters": {"number": number}})
        await post(app, "/invoke", {"parameters": {"number": "no"}})  # refused: no run
        answer = await get(app, "/metrics")
        check_conforms(app, answer.json(), "Metrics")
    runs = {sample["labels"]["result"]: sample["value"] for sample in metric(answer, "pipemount_runs_total")}
    assert runs == {"success": 2, "failure": 1, "error": 0, "timeout": 0, "cancellation": 0}
    (durations,) = metric(answer, "pipemount_run_duration_seconds")
    assert durations["labels"] == {"pipeline": "doubling"}
    assert durations["count"] == durations["buckets"]["+Inf"] == 3
    assert durations["sum"] > 0


async def test_what_runs_and_what_waits_is_told() -> None:
    async with started(waiting, settings=Settings(max_concurrency=1, max_queue=1)) as app:
        runs = [asyncio.create_task(app.run()) for _ in range(2)]
        while not app.admission.queued:
            await asyncio.sleep(0)
        with pytest.raises(OverloadedError):
            await app.run()
        answer = await get(app, "/metrics")
        told = (await get(app, "/status")).json()["concurrency"]
        for run in runs:
            run.cancel()
        await asyncio.gather(*runs, return_exceptions=True)
        after = await get(app, "/metrics")
    names = ("pipemount_places", "pipemount_places_taken", "pipemount_queue_limit", "pipemount_queued")
    assert [metric(answer, name) for name in names] == [1, 1, 1, 1]
    assert metric(answer, "pipemount_runs_active") == [{"labels": {"pipeline": "waiting"}, "value": 1}]
    assert metric(answer, "pipemount_rejected_total")[0]["labels"] == {"reason": "app"}
    assert sum(sample["value"] for sample in metric(answer, "pipemount_rejected_total")) == 1
    assert (told["active"], told["queued"], told["rejected"]) == (1, 1, 1)
    assert metric(after, "pipemount_runs_active") == [{"labels": {"pipeline": "waiting"}, "value": 0}]


async def test_both_texts_are_read_by_prometheus_and_tell_the_same_as_json() -> None:
    async with started({"one": doubling, "two": doubling}) as app:
        await post(app, "/one/invoke", {"parameters": {}})
        text = (await get(app, "/metrics", headers={"accept": "text/plain"})).body.decode()
        open_text = (await get(app, "/metrics", headers=OPEN)).body.decode()
        told = (await get(app, "/metrics")).json()["metrics"]
    one = {family.name: family for family in parser.text_string_to_metric_families(text)}
    other = {family.name: family for family in openmetrics_parser.text_string_to_metric_families(open_text)}
    assert one.keys() == other.keys() == {metric["name"].removesuffix("_total") for metric in told}
    for family in (one["pipemount_runs"], other["pipemount_runs"]):
        assert {s.labels["pipeline"]: s.value for s in family.samples if s.labels["result"] == "success"} == {
            "one": 1,
            "two": 0,
        }
    labels = {name for family in one.values() for sample in family.samples for name in sample.labels}
    assert labels <= {"pipeline", "step", "result", "state", "reason", "le"}


HOSTILE = ['"} 1\npipemount_forged{a="', "\\", 'p0"', "# EOF", "{}", "\xff\xfe", "x" * 5000]


async def test_o2_ids_and_paths_make_no_series() -> None:
    """Ten pipelines of ten steps have at most 200 series beside buckets, and whatever is sent makes no other."""

    def chained(number: int) -> Any:
        for _ in range(10):
            number = double(number)
        return number

    pipelines = {f"p{index}": pipeline(chained) for index in range(10)}
    async with started(pipelines) as app:
        before = await series(app)
        for number in range(10_000):
            if number % 10 == 0:
                body = {"parameters": {"number": number % 3 - 1}, "run_name": str(uuid4())}
                await post(app, f"/p{number // 10 % 10}/invoke", body, headers={"x-request-id": str(uuid4())})
            else:
                await get(app, f"/{uuid4()}/{number}")
        for text in HOSTILE:
            body = {"parameters": {"number": 1}, "run_name": text}
            headers = {"x-request-id": text, "idempotency-key": text, "x-api-key": text, "traceparent": text}
            await post(app, "/p0/invoke", body, headers=headers)
            await post(app, "/p0/submit", body)
            await get(app, f"/{text}/invoke")
            await get(app, f"/jobs?status={text}&pipeline={text}", headers={"accept": text})
        assert await series(app) == before
    assert 80 <= len(before) <= 200


async def series(app: PipelineApp) -> set[tuple[str, ...]]:
    text = (await get(app, "/metrics", headers=OPEN)).body.decode()
    return {
        (sample.name, *sorted(sample.labels.values()))
        for family in openmetrics_parser.text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_bucket")
    }


async def test_metrics_may_be_for_some_for_all_or_for_nobody() -> None:
    keys = AuthKeys([Key("reader", "read-me", permissions=("read",)), Key("chief", "obey-me", permissions=("admin",))])
    reader, chief = {"x-api-key": "read-me"}, {"x-api-key": "obey-me"}
    for settings, statuses in {
        Settings(): (401, 200, 200),
        Settings(metrics="admin"): (401, 403, 200),
        Settings(metrics="off"): (404, 404, 404),
        Settings(open_routes=("/metrics",)): (200, 200, 200),
    }.items():
        async with started(auth=keys, settings=settings) as app:
            answers = [await get(app, "/metrics", headers=headers) for headers in ({}, reader, chief)]
            assert tuple(answer.status for answer in answers) == statuses
            assert (await get(app, "/status")).status == 401
    with pytest.raises(ConfigurationError, match="metrics"):
        Settings(metrics="everybody")  # type: ignore[arg-type]  # on purpose


async def test_an_app_that_is_not_up_is_looked_at_without_being_started() -> None:
    app = PipelineApp(doubling)
    status, metrics = await get(app, "/status"), await get(app, "/metrics")
    assert app.lifecycle.state == "new"
    check_conforms(app, status.json(), "Status")
    assert status.json() | {"settings": {}} == status.json() | {
        "settings": {}, "state": "new", "draining": False, "started": None, "uptime": None
    }  # fmt: skip
    assert metric(metrics, "pipemount_ready") == 0
    assert metric(metrics, "pipemount_loop_lag_seconds") == []
    assert "pipemount_start_time_seconds" not in {found["name"] for found in metrics.json()["metrics"]}


async def test_a_home_loop_that_stands_still_is_told_as_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitoring, "PATIENCE", 0.01)
    app = PipelineApp(doubling)
    await app.run()  # on a loop of its own: no lifespan was begun on this one
    home, entered, go = app.lifecycle.home, threading.Event(), threading.Event()
    assert home is not None
    loops.spawn(home, lambda: _stand_still(entered, go), Context())
    await asyncio.to_thread(entered.wait)
    answer = await get(app, "/metrics")
    assert (await get(app, "/status")).json()["jobs"] is None
    go.set()
    assert metric(answer, "pipemount_loop_lag_seconds") >= 0.01
    assert metric(answer, "pipemount_jobs") == []
    assert metric(await get(app, "/metrics"), "pipemount_loop_lag_seconds") >= 0
    await app.lifecycle.aclose()


async def _stand_still(entered: threading.Event, go: threading.Event) -> None:
    entered.set()
    go.wait()


# -------------------------------------------------------------------------------------------- status


async def test_status_tells_where_the_app_stands_and_how_it_is_set() -> None:
    keys = AuthKeys(["the-key-is-a-secret"])
    async with started(auth=keys, settings=Settings(max_concurrency=3, max_queue=4, title="Doubler")) as app:
        key = {"x-api-key": "the-key-is-a-secret"}
        for number in (1, -1):
            await post(app, "/invoke", {"parameters": {"number": number}}, headers=key)
        answer = await get(app, "/status", headers=key)
        check_conforms(app, answer.json(), "Status")
    told = answer.json()
    assert (told["state"], told["draining"]) == ("ready", False)
    assert told["uptime"] >= 0 and told["started"] > 1.7e9
    assert told["concurrency"]["limits"] == {"active": 3, "queued": 4}
    assert 0 < told["concurrency"]["p50"] <= told["concurrency"]["p95"] <= told["concurrency"]["p99"]
    own = told["pipelines"]["doubling"]
    assert (own["active"], own["runs"]["success"], own["runs"]["failure"]) == (0, 1, 1)
    assert own["p99"] == told["concurrency"]["p99"]
    assert told["settings"]["title"] == "Doubler"
    assert told["settings"]["open_routes"] == ["/health/live"]
    assert told["auth"] == {"enabled": True, "schemes": ["basic", "bearer", "api-key"]}
    assert b"secret" not in answer.body


async def test_status_tells_of_a_stop() -> None:
    async with started() as app:
        pass
    told = (await get(app, "/status")).json()
    assert (told["state"], told["started"], told["uptime"]) == ("stopped", None, None)


def test_settings_are_told_as_far_as_json_can() -> None:
    assert monitoring.plain({"a": (1, 2.5, None, True), "b": len, "c": object(), "d": frozenset({"x"})}) == {
        "a": [1, 2.5, None, True],
        "b": "len",
        "c": "object",
        "d": ["x"],
    }


async def test_jobs_and_streams_are_counted() -> None:
    async with started({"waiting": waiting, "doubling": doubling}) as app:
        request = JobRequest(job_id=str(uuid4()), pipeline="waiting", fingerprint="", inputs=b"{}")
        await app.jobs.submit(request)
        connection = Connection(app, "GET", f"/jobs/{request.job_id}/events")
        connection.feed(b"")
        reading = asyncio.create_task(connection.run())
        while not len(app.streams):
            await asyncio.sleep(0)
        metrics, status = await get(app, "/metrics"), (await get(app, "/status")).json()
        connection.disconnect()
        await reading
        await app.jobs.cancel(request.job_id, None, "enough")
        await app.jobs.until_ended(request.job_id, None)
        after = (await get(app, "/status")).json()
    assert {sample["labels"]["state"]: sample["value"] for sample in metric(metrics, "pipemount_jobs")} == status[
        "jobs"
    ]
    assert status["jobs"] == dict.fromkeys(STATUSES, 0) | {"running": 1}
    assert metric(metrics, "pipemount_streams_open") == status["streams"] == 1
    assert (after["jobs"]["cancelled"], after["jobs"]["running"], after["streams"]) == (1, 0, 0)
