"""The failure table of the HTTP contract, row by row: a problem document each, and nothing executed before it."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.asgi import Answer, Connection, get, post, request

from pipemount import AuthKeys, PipelineApp, PipelineError, Settings, pipeline, step
from pipemount.auth.key import Key

JSON = [(b"content-type", b"application/json")]
KEY = {"authorization": "Bearer sesame"}


class Calls:
    def __init__(self) -> None:
        self.count = 0


CALLS = Calls()


@step
async def shout(text: str, times: int = 1) -> str:
    CALLS.count += 1
    return text.upper() * times


@pipeline
def loud(text: str = "hey", ratio: float = 0.5) -> Any:
    return shout(text)


@pytest.fixture(autouse=True)
def calls() -> Calls:
    CALLS.count = 0
    return CALLS


@pytest.fixture
async def app() -> AsyncIterator[PipelineApp]:
    app = PipelineApp(loud)
    async with app.lifespan(None):
        yield app


@pytest.fixture
async def locked() -> AsyncIterator[PipelineApp]:
    keys = AuthKeys([Key("all", "sesame"), Key("reader", "readonly", permissions=("read",))])
    app = PipelineApp(loud, auth=keys)
    async with app.lifespan(None):
        yield app


def check_problem(answer: Answer, status: int, code: str) -> dict[str, Any]:
    problem: dict[str, Any] = answer.json()
    assert answer.status == status, problem
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert problem["status"] == status
    assert problem["code"] == code
    assert problem["type"].endswith("/" + code) or "/errors/" in problem["type"]
    assert problem["title"] and problem["detail"] and problem["instance"].startswith("/")
    return problem


# ------------------------------------------------------------------------------------------- success


async def test_an_invocation_answers_in_the_fields_that_clients_read(app: PipelineApp) -> None:
    answer = await post(app, "/invoke", {"parameters": {"text": "oslo"}})

    body = answer.json()
    assert answer.status == 200
    assert body["success"] is True
    assert body["outputs"] == {"output": "OSLO"}
    assert body["error"] is None
    assert 0 <= body["execution_time"] < 10
    metadata = body["metadata"]
    assert metadata["parameters_used"] == {"text": "oslo", "ratio": 0.5}
    assert metadata["pipeline_name"] == metadata["deployment_name"] == "loud"
    assert metadata["run_index"] == 1
    assert metadata["snapshot_name"] is None
    assert answer.headers["x-run-id"] == metadata["run_id"]
    assert metadata["run_name"] == f"loud-{metadata['run_id']}"
    assert "x-request-id" not in answer.headers


async def test_request_ids_are_echoed_and_run_names_are_filled_in(app: PipelineApp) -> None:
    body = {"parameters": {}, "run_name": "nightly {date} {run_id}"}

    answer = await post(app, "/invoke", body, headers={"x-request-id": "abc-1"})

    metadata = answer.json()["metadata"]
    assert answer.headers["x-request-id"] == "abc-1"
    assert metadata["run_name"].endswith(metadata["run_id"])
    assert "{" not in metadata["run_name"]


async def test_the_same_routes_answer_under_the_pipelines_name(app: PipelineApp) -> None:
    for root in ("", "/loud", "/pipelines/loud"):
        assert (await post(app, f"{root}/invoke", {"parameters": {}})).status == 200
        assert (await get(app, f"{root}/info")).status == 200


@pytest.mark.parametrize("chunks", [[b'{"param', b'eters":', b"{}}"], [b"", b'{"parameters":{}}', b""]])
async def test_a_body_in_pieces_is_one_body(app: PipelineApp, chunks: list[bytes]) -> None:
    assert (await post(app, "/invoke", chunks)).status == 200


# ----------------------------------------------------------------------------------------------- 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b'{"parameters": {}} trailing',
        '{"parameters": {"text": "ü"}}'.encode("utf-16"),
        b'\xef\xbb\xbf{"parameters": {}}',
        b'{"parameters": {"text": "\xff"}}',
        b'{"parameters": {"text": "\\ud800"}}',
        b'{"parameters": {"ratio": NaN}}',
        b'{"parameters": {"ratio": Infinity}}',
        b'{"parameters": {"ratio": -Infinity}}',
        b'{"parameters": {"ratio": 1e999}}',
        b'{"parameters": {"ratio": ' + b"9" * 5000 + b"}}",
        b'{"parameters": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        b"[" * 1_000_000,
        b'{"a":' * 50_000,
    ],
    ids=lambda body: f"{body[:24]!r}-{len(body)}",
)
async def test_400_for_what_is_not_json(app: PipelineApp, body: bytes, calls: Calls) -> None:
    answer = await post(app, "/invoke", body)

    assert answer.status in (400, 422)
    check_problem(answer, answer.status, "malformed-request" if answer.status == 400 else "invalid-inputs")
    assert calls.count == 0


async def test_text_that_only_looks_like_a_bad_number_is_text(app: PipelineApp) -> None:
    answer = await post(app, "/invoke", {"parameters": {"text": "NaN 1e999 Infinity " + "9" * 400}})

    assert answer.status == 200


async def test_400_for_another_encoding_and_for_a_false_length(app: PipelineApp) -> None:
    answer = await post(app, "/invoke", b"{}", headers={"content-type": "application/json; charset=latin-1"})
    check_problem(answer, 400, "malformed-request")
    answer = await post(app, "/invoke", b'{"parameters": {}}', headers={"content-length": "5"})
    check_problem(answer, 400, "malformed-request")
    answer = await post(app, "/invoke", b'{"parameters": {}}', headers={"content-length": "five"})
    check_problem(answer, 400, "malformed-request")


async def test_400_for_two_credentials(locked: PipelineApp) -> None:
    answer = await post(locked, "/invoke", {"parameters": {}}, headers={**KEY, "x-api-key": "sesame"})

    check_problem(answer, 400, "malformed-request")


# ------------------------------------------------------------------------------------------ 401, 403


@pytest.mark.parametrize(
    "path", ["/invoke", "/info", "/schema", "/openapi.json", "/docs", "/", "/health", "/pipelines"]
)
async def test_401_with_both_challenges_and_no_byte_read(locked: PipelineApp, path: str, calls: Calls) -> None:
    method = "POST" if path == "/invoke" else "GET"
    connection = Connection(locked, method, path, headers=JSON)
    connection.feed(b"x" * 65536, more=True)

    await connection.run()

    check_problem(connection.answer, 401, "unauthenticated")
    assert 'Basic realm="pipemount", charset="UTF-8"' in connection.answer.headers["www-authenticate"]
    assert "Bearer" in connection.answer.headers["www-authenticate"]
    assert connection.received == 0
    assert calls.count == 0


async def test_liveness_is_open(locked: PipelineApp) -> None:
    assert (await get(locked, "/health/live")).status == 200


async def test_a_right_key_opens(locked: PipelineApp) -> None:
    for headers in (KEY, {"x-api-key": "sesame"}, {"authorization": "Basic YWxsOnNlc2FtZQ=="}):
        assert (await post(locked, "/invoke", {"parameters": {}}, headers=headers)).status == 200


async def test_a_pages_script_is_not_asked_for_basic(locked: PipelineApp) -> None:
    """The browser would open a dialog for it, and the script wait."""
    answer = await post(locked, "/invoke", {"parameters": {}}, headers={"sec-fetch-mode": "cors"})
    check_problem(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    answer = await get(locked, "/info", headers={"sec-fetch-mode": "navigate"})
    assert answer.headers["www-authenticate"].startswith("Basic")


async def test_403_for_a_key_without_the_permission(locked: PipelineApp) -> None:
    headers = {"authorization": "Bearer readonly"}

    answer = await post(locked, "/invoke", {"parameters": {}}, headers=headers)

    assert check_problem(answer, 403, "forbidden")["permission"] == "invoke"
    assert (await get(locked, "/info", headers=headers)).status == 200


# -------------------------------------------------------------------------------- 404, 405, 406, 415


@pytest.mark.parametrize("path", ["/nothing", "/invoke/more", "/..", "/%2e", "//invoke", "/pipelines/other/invoke"])
async def test_404_is_json_even_for_a_browser(app: PipelineApp, path: str) -> None:
    check_problem(await get(app, path, headers={"accept": "text/html"}), 404, "not-found")


async def test_405_names_what_is_allowed(app: PipelineApp) -> None:
    answer = await get(app, "/invoke")
    check_problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "POST"

    answer = await request(app, "DELETE", "/info")
    check_problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "GET, HEAD"


async def test_head_answers_as_get_does_without_the_body(app: PipelineApp) -> None:
    for path in ("/info", "/schema", "/health", "/health/live", "/pipelines", "/openapi.json", "/"):
        got, head = await get(app, path), await request(app, "HEAD", path)

        assert (head.status, head.body) == (got.status, b"")
        assert head.headers == got.headers


async def test_406_when_json_is_not_wanted(app: PipelineApp) -> None:
    headers = {"accept": "image/png"}

    check_problem(await post(app, "/invoke", {"parameters": {}}, headers=headers), 406, "not-acceptable")
    check_problem(await get(app, "/info", headers=headers), 406, "not-acceptable")


@pytest.mark.parametrize("media_type", ["text/plain", "multipart/form-data; boundary=x", "application/xml", ""])
async def test_415_for_another_media_type(app: PipelineApp, media_type: str, calls: Calls) -> None:
    answer = await request(app, "POST", "/invoke", body=b"{}", headers={"content-type": media_type})

    check_problem(answer, 415, "unsupported-media-type")
    assert calls.count == 0


async def test_json_by_another_name_is_json(app: PipelineApp) -> None:
    headers = {"content-type": "Application/Vnd.Weather+JSON; charset=UTF-8"}

    assert (await post(app, "/invoke", {"parameters": {}}, headers=headers)).status == 200


# ----------------------------------------------------------------------------------------------- 413


async def test_413_stops_reading_at_the_limit(locked: PipelineApp) -> None:
    app = PipelineApp(loud, settings=Settings(max_body_bytes=1000))
    async with app.lifespan(None):
        connection = Connection(app, "POST", "/invoke", headers=JSON)
        connection.feed(*[b" " * 400] * 100)
        await connection.run()

        assert check_problem(connection.answer, 413, "body-too-large")["limit"] == 1000
        assert connection.received == 1200

        connection = Connection(app, "POST", "/invoke", headers=[*JSON, (b"content-length", b"1001")])
        connection.feed(b" " * 1001)
        await connection.run()

        check_problem(connection.answer, 413, "body-too-large")
        assert connection.received == 0, "an announced length is believed at once"


# ----------------------------------------------------------------------------------------------- 422


@pytest.mark.parametrize(
    ("body", "loc", "kind"),
    [
        ({}, ["parameters"], "missing"),
        (b"[]", [], "dict_type"),
        ({"parameters": {"text": 5}}, ["parameters", "text"], "string_type"),
        ({"parameters": {"text": None}}, ["parameters", "text"], "string_type"),
        ({"parameters": {"city": "Oslo"}}, ["parameters", "city"], "extra_forbidden"),
        ({"parameters": {}, "more": 1}, ["more"], "extra_forbidden"),
        ({"parameters": {}, "timeout": 0}, ["timeout"], "greater_than_equal"),
        ({"parameters": {}, "timeout": 1e6}, ["timeout"], "less_than_equal"),
        ({"parameters": {}, "run_name": "{0.__class__}"}, ["run_name"], "string_pattern_mismatch"),
        ({"parameters": {}, "steps": {"other": {}}}, ["steps", "other"], "extra_forbidden"),
        ({"parameters": {}, "steps": {"shout": {"parameters": {"text": "x"}}}}, None, "extra_forbidden"),
    ],
)
async def test_422_tells_where_and_never_what(
    app: PipelineApp, body: Any, loc: list[str] | None, kind: str, calls: Calls
) -> None:
    answer = await post(app, "/invoke", body)

    errors = check_problem(answer, 422, "invalid-inputs")["errors"]
    assert errors[0]["type"] == kind
    assert loc is None or errors[0]["loc"] == loc
    assert set(errors[0]) == {"loc", "msg", "type"}
    assert calls.count == 0


async def test_422_does_not_echo_secrets(app: PipelineApp) -> None:
    answer = await post(app, "/invoke", {"parameters": {"ratio": "hunter2"}})

    assert answer.status == 422
    assert b"hunter2" not in answer.body


async def test_step_overrides_reach_the_steps_own_default(app: PipelineApp) -> None:
    body = {"parameters": {"text": "a"}, "steps": {"shout": {"parameters": {"times": 3}}}}

    assert (await post(app, "/invoke", body)).json()["outputs"] == {"output": "AAA"}


# ------------------------------------------------------------------------------------- 429, 503, 504


async def test_429_before_the_body_is_read() -> None:
    free = asyncio.Event()

    @step
    async def wait() -> int:
        await free.wait()
        return 1

    app = PipelineApp(wait, settings=Settings(max_concurrency=1, max_queue=1))
    async with app.lifespan(None):
        running = [asyncio.create_task(post(app, "/invoke", {"parameters": {}})) for _ in range(2)]
        while (app.admission.active, app.admission.queued) != (1, 1):
            await asyncio.sleep(0.001)
        connection = Connection(app, "POST", "/invoke", headers=JSON)
        connection.feed(b"x")
        await connection.run()
        free.set()

        check_problem(connection.answer, 429, "overloaded")
        assert int(connection.answer.headers["retry-after"]) >= 1
        assert connection.received == 0
        assert [answer.status for answer in await asyncio.gather(*running)] == [200, 200]


async def test_503_while_starting_and_after_a_failed_start(caplog: pytest.LogCaptureFixture) -> None:
    free = threading.Event()
    failing = True

    def load() -> str:
        free.wait(10)
        if failing:
            raise RuntimeError("the model is not there")
        return "model"

    @pipeline(on_init=load)
    def heavy(text: str = "a") -> Any:
        return shout(text)

    app = PipelineApp(heavy, settings=Settings(lazy_wait=0.01))
    answer = await post(app, "/invoke", {"parameters": {}})
    check_problem(answer, 503, "starting")
    assert int(answer.headers["retry-after"]) >= 1
    check_problem(await get(app, "/health"), 503, "starting")
    assert (await get(app, "/health/live")).status == 200

    with caplog.at_level(logging.ERROR, logger="pipemount"):
        free.set()
        while "the model is not there" not in caplog.text:
            await asyncio.sleep(0.001)
    answer = await post(app, "/invoke", {"parameters": {}})
    check_problem(answer, 503, "start-failed")
    assert b"model is not there" not in answer.body

    failing = False
    while (answer := await post(app, "/invoke", {"parameters": {}})).status == 503:
        await asyncio.sleep(0.05)
    assert answer.status == 200
    await app.lifecycle.aclose()


async def test_504_when_the_deadline_passes() -> None:
    @step
    async def slow() -> int:
        await asyncio.sleep(30)
        return 1

    app = PipelineApp(slow)
    async with app.lifespan(None):
        answer = await post(app, "/invoke", {"parameters": {}, "timeout": 0.05})

    problem = check_problem(answer, 504, "deadline-exceeded")
    assert problem["run_id"] == answer.headers["x-run-id"]
    assert (problem["success"], problem["outputs"]) == (False, None)


# ----------------------------------------------------------------------------------------------- 5xx


async def test_500_names_the_step_and_keeps_the_secret(caplog: pytest.LogCaptureFixture) -> None:
    @step
    def leak() -> int:
        raise ValueError("password=hunter2")

    app = PipelineApp(leak)
    async with app.lifespan(None):
        answer = await post(app, "/invoke", {"parameters": {}})

    problem = check_problem(answer, 500, "step-failed")
    assert (problem["step"], problem["success"], problem["outputs"]) == ("leak", False, None)
    assert problem["run_id"] == answer.headers["x-run-id"]
    assert problem["error"] == problem["detail"] == "step 'leak' raised ValueError"
    assert b"hunter2" not in answer.body
    assert "hunter2" in caplog.text, "the log has the traceback"


async def test_an_authors_own_status_and_message() -> None:
    @step
    def refuse() -> int:
        raise PipelineError("no more flour", status=409, code="out-of-stock")

    app = PipelineApp(refuse)
    async with app.lifespan(None):
        answer = await post(app, "/invoke", {"parameters": {}})

    assert check_problem(answer, 409, "out-of-stock")["detail"] == "no more flour"


async def test_nan_in_an_output_is_null() -> None:
    @step
    def numbers() -> list[float]:
        return [1.0, float("nan"), float("inf")]

    app = PipelineApp(numbers)
    async with app.lifespan(None):
        assert (await post(app, "/invoke", {"parameters": {}})).json()["outputs"]["output"] == [1.0, None, None]


@pytest.mark.parametrize("value", ["\ud800", object(), {1, "a"}, float("nan")])
async def test_an_output_that_is_not_what_was_declared(value: Any) -> None:
    @step
    def lie() -> int:
        return value  # type: ignore[no-any-return]  # the fault under test

    app = PipelineApp(lie)
    async with app.lifespan(None):
        check_problem(await post(app, "/invoke", {"parameters": {}}), 500, "output-invalid")


async def test_a_lone_surrogate_in_an_output() -> None:
    @step
    def surrogate() -> str:
        return "\ud800"

    app = PipelineApp(surrogate)
    async with app.lifespan(None):
        check_problem(await post(app, "/invoke", {"parameters": {}}), 500, "output-invalid")


async def test_a_fault_of_our_own_is_a_problem_too(
    app: PipelineApp, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("inside")

    monkeypatch.setattr("pipemount.http.describe.index", broken)

    answer = await get(app, "/")

    check_problem(answer, 500, "pipemount-error")
    assert b"inside" not in answer.body
    assert "ZeroDivisionError" in caplog.text


# ----------------------------------------------------------------------------------------------- modes


async def test_an_unknown_mode_is_422_and_sync_is_the_default(app: PipelineApp) -> None:
    check_problem(await post(app, "/invoke?mode=later", {"parameters": {}}), 422, "invalid-inputs")
    assert (await post(app, "/invoke?mode=sync&other=1", {"parameters": {}})).status == 200


# ------------------------------------------------------------------------------------------- leaving


async def test_a_caller_who_leaves_cancels_an_async_step() -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    @step
    async def slow() -> int:
        try:
            started.set()
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return 1

    app = PipelineApp(slow)
    async with app.lifespan(None):
        connection = Connection(app, "POST", "/invoke", headers=JSON)
        connection.feed(b'{"parameters": {}}')
        running = asyncio.create_task(connection.run())
        await started.wait()
        connection.disconnect()
        await running

        assert cancelled.is_set()
        assert connection.sent == []
        assert app.admission.active == 0


async def test_a_caller_who_leaves_while_the_body_comes(app: PipelineApp, calls: Calls) -> None:
    connection = Connection(app, "POST", "/invoke", headers=JSON)
    connection.feed(b"{", more=True)
    connection.disconnect()

    await connection.run()

    assert connection.sent == []
    assert calls.count == 0
    assert app.admission.active == 0


async def test_the_trace_of_the_caller_is_kept_on_the_run() -> None:
    from pipemount import StepContext

    @step
    def trace(context: StepContext) -> str:
        return context.trace.trace_id if context.trace else "none"

    app = PipelineApp(trace)
    good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with app.lifespan(None):
        for header, expected in ((good, good[3:35]), ("00-nonsense", "none")):
            answer = await post(app, "/invoke", {"parameters": {}}, headers={"traceparent": header})
            assert answer.json()["outputs"]["output"] == expected
            assert json.dumps(answer.json())
