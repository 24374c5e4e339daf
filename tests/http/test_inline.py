"""A request that is answered in the thread that asks, without any event loop."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from pipemount import AuthKeys, PipelineApp, Retry, Settings, StepContext, pipeline, step
from pipemount.runtime.lending import REQUEST_THREAD, InlineThread, NotInlineError, drive
from pipemount.types import Message, Scope


@step
def count(text: str) -> int:
    return len(text)


@step(thread=False)
def tell(number: int, context: StepContext) -> str:
    return f"{number} in {threading.current_thread().name}"


@step
async def on_a_loop(text: str) -> str:
    return text


@pipeline
def row(text: str) -> Any:
    if text == "":
        return tell(0)
    return tell(count(text))


@step
def read(context: StepContext) -> str:
    return f"{context.pipeline_state} in {threading.current_thread().name}"


@pipeline(on_init=lambda: "state", on_cleanup=print)
def stateful() -> Any:
    return read()


@pytest.fixture
def app() -> Iterator[PipelineApp]:
    yield from running(PipelineApp(row))


def running(app: PipelineApp) -> Iterator[PipelineApp]:
    app.lifecycle.call_sync(_nothing)
    yield app
    app.lifecycle.close()


async def _nothing() -> None:
    pass


def scope_of(body: bytes, path: str = "/invoke", query: bytes = b"", **headers: str) -> Scope:
    sent = {"content-type": "application/json", "content-length": str(len(body)), **headers}
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in sent.items()]
    return {
        "type": "http",
        "method": "POST",
        "path": path,
        "root_path": "",
        "query_string": query,
        "headers": raw,
    }


def ask(app: PipelineApp, inputs: Any, **options: Any) -> tuple[int, Any]:
    body = json.dumps({"parameters": inputs}).encode()
    scope = scope_of(body, **options)
    assert app.answers_inline(scope)
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    async def send(message: Message) -> None:
        sent.append(message)

    token = REQUEST_THREAD.set(InlineThread())
    try:
        drive(app(scope, receive, send))
    finally:
        REQUEST_THREAD.reset(token)
    return sent[0]["status"], json.loads(sent[1]["body"])


def test_a_pipeline_with_a_state_needs_no_loop_either() -> None:
    for app in running(PipelineApp(stateful)):
        assert ask(app, {})[1]["outputs"]["output"] == f"state in {threading.current_thread().name}"


def test_a_row_of_plain_functions_runs_where_it_is_asked_for(app: PipelineApp) -> None:
    status, answer = ask(app, {"text": "four"})
    assert (status, answer["outputs"]) == (200, {"output": f"4 in {threading.current_thread().name}"})
    assert ask(app, {"text": ""})[1]["outputs"]["output"].startswith("0 in ")


def test_failures_are_problems_there_too(app: PipelineApp) -> None:
    status, problem = ask(app, {"text": 4})
    assert (status, problem["code"]) == (422, "invalid-inputs")
    keyed = PipelineApp(row, auth=AuthKeys({"mobile": "secret-secret-secret"}))
    for started in running(keyed):
        assert ask(started, {"text": "x"})[0] == 401
        assert ask(started, {"text": "x"}, x_api_key="secret-secret-secret")[0] == 200


def test_a_step_that_raises_fails_the_run() -> None:
    @step
    def fails(text: str) -> str:
        raise OSError

    for app in running(PipelineApp(pipeline(name="failing")(lambda text: fails(text)))):
        status, problem = ask(app, {"text": "x"})
        assert (status, problem["code"], problem["step"]) == (500, "step-failed", "fails")


def test_a_run_ends_between_two_steps_when_its_deadline_has_passed() -> None:
    later: list[str] = []

    @step
    def slow(text: str) -> str:
        time.sleep(0.05)
        return text

    @step
    def after(text: str) -> str:
        later.append(text)
        return text

    @pipeline
    def late(text: str) -> Any:
        return after(slow(text))

    for app in running(PipelineApp(late, settings=Settings(request_timeout=0.01))):
        status, problem = ask(app, {"text": "x"})
        assert (status, problem["code"]) == (504, "deadline-exceeded")
        assert later == []


def test_a_run_whose_last_step_passed_the_deadline_is_late_too() -> None:
    @step
    def slow(text: str) -> str:
        time.sleep(0.05)
        return text

    for app in running(
        PipelineApp(pipeline(name="late")(lambda text: slow(text)), settings=Settings(request_timeout=0.01))
    ):
        status, problem = ask(app, {"text": "x"})
        assert (status, problem["code"]) == (504, "deadline-exceeded")


def test_with_no_free_place_a_loop_is_needed() -> None:
    for app in running(PipelineApp(row, settings=Settings(max_concurrency=1))):
        assert app.admission.try_enter()
        with pytest.raises(NotInlineError):
            ask(app, {"text": "x"})
        app.admission.leave(0.1)
        assert ask(app, {"text": "x"})[0] == 200


def test_an_app_that_stopped_meanwhile_needs_a_loop(app: PipelineApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PipelineApp, "answers_inline", lambda app, scope: True)
    app.lifecycle.close()
    with pytest.raises(NotInlineError):
        ask(app, {"text": "x"})


def test_what_needs_a_loop_is_known_beforehand(app: PipelineApp) -> None:
    assert app.answers_inline(scope_of(b""))
    assert not app.answers_inline(scope_of(b"", path="/health/ready"))
    assert not app.answers_inline(scope_of(b"", path="/elsewhere"))
    assert not app.answers_inline(scope_of(b"", query=b"mode=async"))
    assert not app.answers_inline(scope_of(b"", accept="text/event-stream"))
    assert not app.answers_inline({**scope_of(b""), "method": "GET"})
    assert not app.answers_inline({**scope_of(b""), "type": "websocket"})
    assert not PipelineApp(row).answers_inline(scope_of(b""))  # not started


@step(retry=Retry(attempts=2))
def retried(text: str) -> str:
    return text


@step(timeout=5)
def timed(text: str) -> str:
    return text


@step(on_start=lambda: None)
def hooked(text: str) -> str:
    return text


@step
def joined(texts: list[str]) -> str:
    return "".join(texts)


def one(waiting: Any) -> Any:
    return pipeline(name="one")(lambda text: waiting(text))


@pipeline(dynamic=True)
async def dynamic(text: str) -> str:
    return text


@pipeline(on_start=lambda: None)
def watched(text: str) -> Any:
    return count(text)


@pipeline
def side_by_side(text: str) -> Any:
    return {"a": count(text), "b": count(text)}


@pipeline
def mapped(texts: list[str]) -> Any:
    return count.map(texts)


@pytest.mark.parametrize(
    "thing",
    [
        *(one(waiting) for waiting in (on_a_loop, retried, timed, hooked)),
        dynamic,
        watched,
        side_by_side,
        mapped,
    ],
)
def test_pipelines_with_which_something_waits_need_a_loop(thing: Any) -> None:
    for app in running(PipelineApp(thing)):
        assert not app.answers_inline(scope_of(b""))
