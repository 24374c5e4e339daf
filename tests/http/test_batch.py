"""``POST …/batch``: a list in, a list out, a result or a problem in each place."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Annotated, Any

import jsonschema
import numpy as np
import pytest
from pydantic import BaseModel, ConfigDict
from sklearn.linear_model import LogisticRegression
from tests.support.asgi import Connection, get, post, request

from pipemount import AuthKeys, PipelineApp, PipelineError, Settings, pipeline, step
from pipemount.auth.key import Key
from pipemount.errors import ConfigurationError
from pipemount.http.batch import ITEM, Items
from pipemount.http.components import PREFIX
from pipemount.http.openapi import build_openapi
from pipemount.pipelines.static import Static

CALLS: list[int] = []
ENTERED: list[int] = []
CANCELLED: list[int] = []


@step
async def judge(number: int, mark: str) -> Annotated[str, "judged"]:
    CALLS.append(number)
    if number == 13:
        raise PipelineError("thirteen", status=409, code="unlucky")
    if number == 14:
        raise ValueError("a secret")
    return f"{number}{mark}"


@pipeline
def judging(number: int, mark: str = "!") -> Any:
    return judge(number, mark)


@step
async def wait(number: int) -> int:
    ENTERED.append(number)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        CANCELLED.append(number)
        raise
    return number


@pipeline
def waiting(number: int) -> Any:
    return wait(number)


@pytest.fixture(autouse=True)
def forget() -> None:
    for noted in (CALLS, ENTERED, CANCELLED):
        noted.clear()


@contextlib.asynccontextmanager
async def started(pipelines: Any = judging, **options: Any) -> AsyncIterator[PipelineApp]:
    app = PipelineApp(pipelines, **options)
    async with app.lifespan(None):
        yield app


async def items(app: PipelineApp, sent: Any, path: str = "/batch", **options: Any) -> list[Any]:
    answer = await post(app, path, json.dumps(sent).encode(), **options)
    assert answer.status == 200, answer.body
    found: list[Any] = answer.json()
    return found


# -------------------------------------------------------------------------------------------- results


async def test_each_has_a_result_in_its_place() -> None:
    async with started() as app:
        answer = await post(app, "/batch", b'[{"number":1},{"number":"x"},{"number":13},7,{"number":2,"mark":"?"}]')
    first, invalid, failed, odd, last = answer.json()
    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert (first["success"], first["outputs"], first["error"]) == (True, {"judged": "1!"}, None)
    assert first["metadata"]["parameters_used"] == {"number": 1, "mark": "!"}
    assert last["outputs"] == {"judged": "2?"}
    assert sorted(one["metadata"]["run_index"] for one in (first, last)) != [0, 0]
    assert 0 <= first["execution_time"] < 10
    assert (invalid["status"], invalid["code"], invalid["instance"]) == (422, "invalid-inputs", "#/1")
    assert [fault["loc"] for fault in invalid["errors"]] == [[1, "number"]]
    assert (failed["status"], failed["code"], failed["detail"]) == (409, "unlucky", "thirteen")
    assert (odd["status"], odd["errors"][0]["loc"]) == (422, [3])
    assert all(one["success"] is False and one["outputs"] is None and one["error"] for one in (invalid, failed, odd))
    ids = [first["metadata"]["run_id"], failed["run_id"], last["metadata"]["run_id"], answer.headers["x-run-id"]]
    assert len(set(ids)) == 4  # each run has its own, and the batch as well
    assert sorted(CALLS) == [1, 2, 13]


async def test_the_answer_is_what_the_document_says() -> None:
    async with started() as app:
        found = await items(app, [{"number": 1}, {"number": 13}, {"number": 14}, None])
        document = build_openapi(app.pipelines, app.route_table, settings=app.settings, schemes=(), base="")
    operation = document["paths"]["/batch"]["post"]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    validator = jsonschema.Draft202012Validator(schema | {"components": document["components"]})
    validator.validate(found)
    assert not validator.is_valid([{"success": True}])
    body = document["components"]["schemas"]["judging_Batch"]
    assert body["maxItems"] == 1000
    assert body["items"]["anyOf"][0] == {"$ref": f"{PREFIX}judging_Inputs"}
    assert body["examples"] == [[{"number": 1}]] or body["examples"][0]


async def test_an_empty_list_has_no_results() -> None:
    async with started() as app:
        assert await items(app, []) == []


async def test_a_fault_of_a_step_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    async with started() as app:
        with caplog.at_level(logging.INFO, "pipemount"):
            (found,) = await items(app, [{"number": 14}])
    assert found["detail"] == "step 'judge' raised ValueError"
    assert "secret" not in json.dumps(found)
    assert [record.levelname for record in caplog.records if found["run_id"] in record.getMessage()] == ["ERROR"]


async def test_every_pipeline_of_an_app_has_batches() -> None:
    async with started({"one": judging, "two": judging}) as app:
        assert len(await items(app, [{"number": 1}], "/pipelines/one/batch")) == 1
        assert len(await items(app, [{"number": 1}], "/two/batch")) == 1
        assert (await get(app, "/one/info")).json()["urls"]["batch"] == "/pipelines/one/batch"
        answer = await post(app, "/two/batch", b'["x"]', root_path="")
        assert answer.json()[0]["instance"] == "#/0"


async def test_inputs_that_are_found_wrong_when_the_run_begins_are_in_their_place() -> None:
    @step
    def repeat(text: str) -> str:
        return text

    @pipeline
    def repeated(text: str, times: Static[int] = 1) -> Any:
        for _ in range(times):
            text = repeat(text)
        return text

    async with started(repeated) as app:
        good, bad = await items(app, [{"text": "a", "times": 1}, {"text": "a", "times": "many"}])
    assert good["success"] is True
    assert bad["errors"][0]["loc"] == [1, "times"]


async def test_items_are_read_as_an_invocation_reads_its_parameters() -> None:
    """From JSON, where a number may be a duration, each by itself as well as all together."""

    class Strict(BaseModel):
        model_config = ConfigDict(strict=True)

        span: timedelta
        raw: bytes

    @step
    async def tell(item: Strict) -> str:
        return f"{item.span} {item.raw!r}"

    @pipeline
    def telling(item: Strict) -> Any:
        return tell(item)

    good = {"item": {"span": "PT1H", "raw": "ü"}}
    expected = {"output": "1:00:00 b'\\xc3\\xbc'"}
    async with started(telling) as app:
        assert [one["outputs"] for one in await items(app, [good])] == [expected]
        alone, wrong, late = await items(app, [good, {}, {"item": {"span": 1e300, "raw": ""}}])
    assert (alone["outputs"], wrong["status"], late["status"]) == (expected, 422, 422)


async def test_requests_on_other_loops_are_answered_too() -> None:
    app = PipelineApp(judging)
    assert [one["outputs"] for one in await items(app, [{"number": 1}])] == [{"judged": "1!"}]
    assert app.lifecycle.home is not asyncio.get_running_loop()
    await app.lifecycle.aclose()


# -------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "malformed-request"),
        (b"[", 400, "malformed-request"),
        (b'[{"number": 1},]', 400, "malformed-request"),
        (b'"\xff"', 400, "malformed-request"),
        (b"{}", 422, "invalid-inputs"),
        (b'{"inputs": []}', 422, "invalid-inputs"),
        (b"null", 422, "invalid-inputs"),
    ],
)
async def test_a_body_that_is_no_list_is_refused_as_a_whole(body: bytes, status: int, code: str) -> None:
    async with started() as app:
        answer = await post(app, "/batch", body)
    assert (answer.status, answer.json()["code"]) == (status, code)
    assert answer.json()["instance"] == "/batch"


async def test_numbers_that_json_does_not_have_are_refused() -> None:
    @step
    async def keep(anything: Any) -> Any:
        return anything

    @pipeline
    def keeping(anything: Any) -> Any:
        return keep(anything)

    async with started(keeping) as app:
        assert (await post(app, "/batch", b'[{"anything": NaN}]')).status == 400
        assert (await post(app, "/batch", b'[{"anything": 1e999}]')).status == 400
        assert (await post(app, "/batch", b'[{"anything": 1}, {}, {"anything": [1E+400]}]')).status == 400
        assert (await items(app, [{"anything": "NaN"}]))[0]["outputs"] == {"output": "NaN"}
    async with started() as app:
        (found,) = (await post(app, "/batch", b'[{"number": NaN}]')).json()
        assert found["status"] == 422


async def test_d9_a_batch_is_bounded() -> None:
    """A million items, with or without something in them, are refused, and nothing is executed."""
    async with started(settings=Settings(max_batch=3)) as app:
        assert len(await items(app, [{"number": 1}] * 3)) == 3
        CALLS.clear()
        for body in (b'[{"number":1}' + b',{"number":1}' * 3 + b"]", b"[1,2,3,4]", b"[{}" + b",{}" * 1_000_000 + b"]"):
            answer = await post(app, "/batch", body)
            assert (answer.status, answer.json()["errors"][0]["type"]) == (422, "too_long")
            assert "at most 3 items" in answer.json()["detail"]
        assert (await post(app, "/batch", b"[" + b"7" * 20_000_000 + b"]")).status == 413
    assert CALLS == []


def test_d9_a_long_list_is_counted_before_it_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    items = Items(PipelineApp(judging).pipelines["judging"].input, 10)

    def fail(body: bytes) -> Any:
        raise AssertionError("built")

    monkeypatch.setattr(items, "_validate_all", fail)
    for body in (b"[{}" + b",{}" * 1000 + b"]", b"[1" + b",1" * 1000, b"[" + b'{"a":[1]},7,' * 1000):
        with pytest.raises(Exception, match="at most 10 items"):
            items.read(body)
    for body in (b'[{"number":1,"mark":"' + b"x" * ITEM * 10 + b'"}]', b"{" + b"x" * ITEM * 10):
        with pytest.raises(AssertionError, match="built"):
            items.read(body)


async def test_what_the_headers_tell_is_refused_before_the_body_is_read() -> None:
    keys = AuthKeys([Key("all", "sesame-open"), Key("reader", "only-reading", permissions=("read",))])
    json_, key = (b"content-type", b"application/json"), (b"x-api-key", b"sesame-open")
    async with started(auth=keys) as app:
        for headers, status in [
            ([json_], 401),
            ([json_, (b"x-api-key", b"only-reading")], 403),
            ([key, (b"content-type", b"text/plain")], 415),
            ([key, json_, (b"accept", b"text/html")], 406),
            ([key, json_, (b"accept", b"text/event-stream")], 406),
            ([key, json_, (b"content-length", b"99999999999")], 413),
        ]:
            connection = Connection(app, "POST", "/batch", headers=headers)
            connection.feed(b"[]")
            await connection.run()
            assert (connection.answer.status, connection.received) == (status, 0)
        assert (await request(app, "GET", "/batch", headers={"x-api-key": "sesame-open"})).status == 405


@pytest.mark.parametrize("timeout", ["0", "-1", "301", "nan", "inf", "soon", ""])
async def test_a_timeout_is_within_the_apps_limit(timeout: str) -> None:
    async with started() as app:
        answer = await post(app, f"/batch?timeout={timeout}", b"[]")
    assert answer.status == 422
    assert answer.json()["errors"][0]["loc"] == ["query", "timeout"]


@pytest.mark.parametrize("name", ["max_batch", "batch_concurrency"])
def test_limits_must_be_above_0(name: str) -> None:
    value: dict[str, Any] = {name: 0}
    with pytest.raises(ConfigurationError, match=name):
        Settings(**value)


# ------------------------------------------------------------------------------- deadlines and places


async def test_one_timeout_holds_for_all() -> None:
    async with started(waiting) as app:
        found = await items(app, [{"number": number} for number in range(20)], "/batch?timeout=0.05")
    assert {one["status"] for one in found} == {504}
    assert {one["code"] for one in found} == {"deadline-exceeded"}
    assert all("timeout of 0.05 s" in one["detail"] for one in found)
    assert sorted(CANCELLED) == sorted(ENTERED)


async def test_a_batch_is_admitted_as_one_request_is() -> None:
    async with started(waiting, settings=Settings(max_concurrency=1, max_queue=0, batch_concurrency=5)) as app:
        run = asyncio.create_task(app.run(number=1))
        while not ENTERED:
            await asyncio.sleep(0)
        for key in ([], [(b"idempotency-key", b"k")]):
            connection = Connection(app, "POST", "/batch", headers=[(b"content-type", b"application/json"), *key])
            connection.feed(b'[{"number": 2}]')
            await connection.run()
            assert (connection.answer.status, connection.received) == (429, 0)
            assert "retry-after" in connection.answer.headers
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        assert app.admission.active == 0


async def test_a_caller_who_leaves_cancels_all() -> None:
    async with started(waiting, settings=Settings(batch_concurrency=3)) as app:
        connection = Connection(app, "POST", "/batch", headers=[(b"content-type", b"application/json")])
        connection.feed(json.dumps([{"number": number} for number in range(9)]).encode())
        running = asyncio.create_task(connection.run())
        while len(ENTERED) < 3:
            await asyncio.sleep(0)
        connection.disconnect()
        await running
        assert connection.sent == []
        assert (sorted(CANCELLED), app.admission.active) == ([0, 1, 2], 0)


async def test_a_caller_on_another_loop_who_leaves_cancels_all() -> None:
    app = PipelineApp(waiting)
    connection = Connection(app, "POST", "/batch", headers=[(b"content-type", b"application/json")])
    connection.feed(b'[{"number": 1}, {"number": 2}]')
    running = asyncio.create_task(connection.run())
    while len(ENTERED) < 2:
        await asyncio.sleep(0.001)
    connection.disconnect()
    await running
    assert (connection.sent, sorted(CANCELLED), app.admission.active) == ([], [1, 2], 0)
    await app.lifecycle.aclose()


# ---------------------------------------------------------------------------------------- estimators


def model() -> Any:
    numbers = np.arange(40, dtype=float).reshape(20, 2) % 7
    return LogisticRegression().fit(numbers, np.where(numbers[:, 0] > numbers[:, 1], "more", "less"))


async def test_an_estimator_judges_all_valid_rows_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    judge = LogisticRegression.predict_proba

    def noted(self: Any, table: Any) -> Any:
        sizes.append(len(table))
        return judge(self, table)

    monkeypatch.setattr(LogisticRegression, "predict_proba", noted)
    sent = [{"features": [5.0, 1.0]}, {"features": [1.0]}, {"features": [1.0, 5.0]}]
    async with started({"model": model()}) as app:
        sizes.clear()
        found = await items(app, sent, "/model/batch")
        batched, sizes[:] = list(sizes), []
        alone = (await post(app, "/model/invoke", {"parameters": sent[0]})).json()
    assert batched == [2]
    assert [one["status"] if "status" in one else one["outputs"]["prediction"] for one in found] == [
        "more",
        422,
        "less",
    ]
    assert found[0]["outputs"]["prediction"] == alone["outputs"]["prediction"]
    assert found[0]["outputs"]["probabilities"] == pytest.approx(alone["outputs"]["probabilities"])


async def test_a_row_that_fails_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = LogisticRegression.predict

    def picky(self: Any, table: Any) -> Any:
        if (table == 6).any():
            raise ValueError("six")
        return judge(self, table)

    monkeypatch.setattr(LogisticRegression, "predict", picky)
    async with started({"model": model()}) as app:
        good, bad = await items(app, [{"features": [5.0, 1.0]}, {"features": [6.0, 1.0]}], "/model/batch")
    assert good["outputs"]["prediction"] == "more"
    assert (bad["status"], bad["code"], bad["step"]) == (500, "step-failed", "logisticregression")


# ------------------------------------------------------------------------------------ idempotency key


KEYED = {"idempotency-key": '"night-run-7"'}


async def test_a_batch_with_a_key_runs_once() -> None:
    async with started() as app:
        body = b'[{"number": 1}, {"number": "x"}, {"number": 13}]'
        first = await post(app, "/batch", body, headers=KEYED)
        again = await post(app, "/batch", body, headers=KEYED)
        other = await post(app, "/batch", b"[]", headers=KEYED)
        job = (await get(app, f"/jobs/{first.headers['x-run-id']}")).json()
    assert (first.status, first.body) == (again.status, again.body)
    assert [item.get("status", 200) for item in first.json()] == [200, 422, 409]
    assert again.headers["x-run-id"] == first.headers["x-run-id"]
    assert "idempotency-replayed" in again.headers and "idempotency-replayed" not in first.headers
    assert (other.status, other.json()["code"]) == (422, "idempotency-mismatch")
    assert sorted(CALLS) == [1, 13]
    assert (job["kind"], job["status"]) == ("batch", "succeeded")
    assert job["outputs"] == first.json()
    assert job["parameters"] == [{"number": 1, "mark": "!"}, None, {"number": 13, "mark": "!"}]


async def test_a_batch_with_a_key_goes_on_when_its_caller_leaves_and_can_be_cancelled() -> None:
    async with started(waiting) as app:
        json_, key = (b"content-type", b"application/json"), (b"idempotency-key", b"mine")
        connection = Connection(app, "POST", "/batch", headers=[json_, key])
        connection.feed(b'[{"number": 1}, {"number": 2}]')
        running = asyncio.create_task(connection.run())
        while len(ENTERED) < 2:
            await asyncio.sleep(0)
        connection.disconnect()
        await running
        assert CANCELLED == []
        again = await post(app, "/batch", b'[{"number": 1}, {"number": 2}]', headers={"idempotency-key": "mine"})
        assert (again.status, again.json()["code"]) == (409, "idempotency-running")
        (job,) = (await get(app, "/jobs?status=running")).json()["jobs"]
        assert (await post(app, f"/jobs/{job['job_id']}/cancel", b"")).status == 200
        await app.jobs.until_ended(job["job_id"], None)
        ended = await post(app, "/batch", b'[{"number": 1}, {"number": 2}]', headers={"idempotency-key": "mine"})
    assert ended.json()["code"] == "job-cancelled"
    assert sorted(CANCELLED) == [1, 2]
    assert app.admission.active == 0


async def test_a_key_that_is_none_is_refused_before_the_body_is_read() -> None:
    async with started() as app:
        headers = [(b"content-type", b"application/json"), (b"idempotency-key", b'"')]
        connection = Connection(app, "POST", "/batch", headers=headers)
        await connection.run()
        assert (connection.answer.status, connection.received) == (400, 0)
