"""Who is let in, who is told to come back, and what time and a leaving caller do to a run."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from time import monotonic
from typing import Any

import pytest
from tests.support.asgi import Connection, get, post

from pipemount import AuthKeys, Limits, PipelineApp, RateLimit, Settings, step
from pipemount.auth.key import Key
from pipemount.errors import DeadlineExceededError, OverloadedError, RateLimitedError, RunCancelledError
from pipemount.http import reading
from pipemount.http.exchange import Exchange
from pipemount.http.problems import problem
from pipemount.runtime.context import StepContext
from pipemount.types import ASGIApp, Message

JSON = [(b"content-type", b"application/json")]
EMPTY: dict[str, Any] = {"parameters": {}}
BODY = json.dumps(EMPTY).encode()


class Gate:
    """Steps that wait until the test lets them go; and what was seen of them."""

    def __init__(self) -> None:
        self.free, self.let_go = asyncio.Event(), threading.Event()
        self.running, self.returned = threading.Event(), threading.Event()
        self.seen: list[str] = []
        self.deadlines: list[float] = []

    async def wait(self, context: StepContext) -> int:
        self.seen.append("begun")
        self.deadlines.append(context.deadline or 0.0)
        try:
            await self.free.wait()
        except asyncio.CancelledError:
            self.seen.append("cancelled")
            raise
        self.seen.append("ended")
        return 1

    def hold(self, context: StepContext) -> int:
        self.running.set()
        self.let_go.wait(30)
        self.seen.append(f"cancelled: {context.cancelled}")
        self.returned.set()
        return 1

    def after(self, held: int) -> int:
        self.seen.append("after")
        return held


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    gate = Gate()
    yield gate
    gate.let_go.set()
    gate.free.set()


async def until(condition: Any) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


def asked(app: ASGIApp, *, body: bytes = BODY, path: str = "/invoke", key: str | None = None) -> Connection:
    """A request whose body has not come yet."""
    headers = [*JSON, (b"content-length", str(len(body)).encode())]
    if key is not None:
        headers.append((b"x-api-key", key.encode()))
    return Connection(app, "POST", path, headers=headers)


KEYS = {name: f"{name}-{'0' * 40}" for name in ("ann", "bob")}


def keys() -> AuthKeys:
    return AuthKeys([Key(name, secret) for name, secret in KEYS.items()])


# ------------------------------------------------------------------------------------------- places


async def test_a_pipeline_and_a_key_are_refused_by_their_own_limits_before_a_body_is_read(gate: Gate) -> None:
    settings = Settings(pipeline_limits={"slow": Limits(1, 0)}, key_concurrency=2)
    app = PipelineApp({"slow": step(gate.wait), "quick": step(gate.wait)}, auth=keys(), settings=settings)
    async with app.lifespan(None):
        first = asyncio.create_task(post(app, "/slow/invoke", EMPTY, headers={"x-api-key": KEYS["ann"]}))
        await until(lambda: app.admission.active)

        refused = asked(app, path="/slow/invoke", key=KEYS["bob"])
        await refused.run()
        answer = refused.answer
        assert (answer.status, answer.json()["full"], answer.headers["retry-after"]) == (429, "pipeline", "1")
        assert refused.received == 0

        second = asyncio.create_task(post(app, "/quick/invoke", EMPTY, headers={"x-api-key": KEYS["ann"]}))
        await until(lambda: app.admission.active == 2)
        refused = asked(app, path="/quick/invoke", key=KEYS["ann"])
        await refused.run()
        assert (refused.answer.status, refused.answer.json()["full"]) == (429, "key")
        gate.free.set()
        assert (await post(app, "/quick/invoke", EMPTY, headers={"x-api-key": KEYS["bob"]})).status == 200
        assert [(await task).status for task in (first, second)] == [200, 200]
        assert app.admission.active == 0


async def test_case_19_overload_is_told_and_when_to_come_back(gate: Gate) -> None:
    app = PipelineApp(step(gate.wait), settings=Settings(max_concurrency=1, max_queue=1))
    async with app.lifespan(None):
        tasks = [asyncio.create_task(post(app, "/invoke", EMPTY)) for _ in range(2)]
        await until(lambda: app.admission.queued)
        refused = asked(app)
        await refused.run()

        assert (refused.answer.status, refused.received) == (429, 0)
        assert int(refused.answer.headers["retry-after"]) >= 1
        assert refused.answer.json()["code"] == "overloaded"
        gate.free.set()
        assert [(await task).status for task in tasks] == [200, 200]


async def test_d9_the_rate_limit_is_told_and_refuses(gate: Gate) -> None:
    gate.free.set()
    app = PipelineApp(step(gate.wait), auth=keys(), settings=Settings(rate_limit=RateLimit(3, 3600)))
    async with app.lifespan(None):
        answers = [await post(app, "/invoke", EMPTY, headers={"x-api-key": KEYS["ann"]}) for _ in range(3)]
        assert [answer.headers["ratelimit"] for answer in answers] == [
            f'"default";r={left};t=1200' for left in (2, 1, 0)
        ]  # fmt: skip
        assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"default";q=3;w=3600'}
        refused = asked(app, key=KEYS["ann"])
        await refused.run()
        answer = refused.answer

        assert (answer.status, refused.received) == (429, 0)
        assert answer.json()["type"] == "https://iana.org/assignments/http-problem-types#quota-exceeded"
        assert answer.json()["code"] == "quota-exceeded"
        assert answer.json()["violated-policies"] == ["default"]
        assert answer.headers["ratelimit"] == f'"default";r=0;t={answer.headers["retry-after"]}'
        assert (await post(app, "/invoke", EMPTY, headers={"x-api-key": KEYS["bob"]})).status == 200

        items = b"[{}, {}, {}, {}, {}]"
        answer = await post(app, "/batch", items, headers={"x-api-key": KEYS["bob"]})
        assert (answer.status, answer.json()["code"]) == (429, "quota-exceeded"), "each of a batch counts"
        assert (await app.run()).value == 1, "the app's own code has no quota"
        with pytest.raises(RateLimitedError):
            await app.calling(principal=keys().authenticate(None, KEYS["ann"].encode())).run()


async def test_calls_of_our_own_wait_or_raise(gate: Gate) -> None:
    app = PipelineApp(step(gate.wait), settings=Settings(max_concurrency=1))
    async with app.lifespan(None):
        first = asyncio.create_task(app.run())
        await until(lambda: app.admission.active)
        with pytest.raises(OverloadedError):
            await app.calling(wait=False).run()
        with pytest.raises(OverloadedError):
            await asyncio.to_thread(app.calling(wait=False).run_sync)
        second = asyncio.create_task(app.calling(wait=True).run())
        await until(lambda: app.admission.queued)
        gate.free.set()
        assert [(await first).value, (await second).value] == [1, 1]
        assert (await app.calling(wait=False).run()).value == 1


# ------------------------------------------------------------------------------------------- deadlines


async def test_j5_the_wait_for_a_place_counts_and_what_is_left_holds(gate: Gate) -> None:
    app = PipelineApp(step(gate.wait), settings=Settings(max_concurrency=1))
    async with app.lifespan(None):
        first = asyncio.create_task(post(app, "/invoke", {**EMPTY, "timeout": 0.2}))
        await until(lambda: app.admission.active)
        began = monotonic()
        late = asyncio.create_task(post(app, "/invoke", {**EMPTY, "timeout": 0.1}))
        part = asyncio.create_task(post(app, "/invoke", {**EMPTY, "timeout": 0.4}))
        await until(lambda: app.admission.queued == 2)
        came = monotonic()
        answers = [await first, await late, await part]

        assert [answer.status for answer in answers] == [504, 504, 504]
        assert [answer.json()["detail"].split(" s ")[0][-3:] for answer in answers] == ["0.2", "0.1", "0.4"]
        assert began <= gate.deadlines[1] - 0.4 <= came + 0.05, "from when it came, not from when it had its place"
        assert all(answer.json()["run_id"] == answer.headers["x-run-id"] for answer in answers)
        assert gate.seen.count("begun") == 2, "the one that had no time left never began"
        assert app.admission.active == 0


async def test_j5_a_run_that_ran_out_of_time_keeps_its_place_until_its_thread_returns(gate: Gate) -> None:
    app = PipelineApp(step(gate.hold), settings=Settings(max_concurrency=1, max_queue=0))
    async with app.lifespan(None):
        answer = await post(app, "/invoke", {**EMPTY, "timeout": 0.05})
        assert answer.status == 504

        assert app.admission.active == 1
        assert (await post(app, "/invoke", EMPTY)).status == 429
        gate.let_go.set()
        await until(lambda: not app.admission.active)
        assert gate.seen == ["cancelled: True"]
        assert (await post(app, "/invoke", EMPTY)).status == 200


async def test_a_place_is_kept_in_calls_of_our_own_too(gate: Gate) -> None:
    app = PipelineApp(step(gate.hold), settings=Settings(max_concurrency=1))
    async with app.lifespan(None):
        with pytest.raises(DeadlineExceededError):
            await app.calling(timeout=0.05).run()
        assert app.admission.active == 1
        gate.let_go.set()
        await until(lambda: not app.admission.active)


async def test_a_batch_keeps_the_place_of_a_function_that_goes_on(gate: Gate) -> None:
    app = PipelineApp(step(gate.hold), settings=Settings(max_concurrency=1))
    async with app.lifespan(None):
        answer = await post(app, "/batch?timeout=0.05", b"[{}, {}]")
        assert [item["code"] for item in answer.json()] == ["deadline-exceeded"] * 2
        assert app.admission.active == 1
        gate.let_go.set()
        await until(lambda: not app.admission.active)


async def test_a_stop_waits_for_the_functions_that_go_on(gate: Gate) -> None:
    app = PipelineApp(step(gate.hold))
    async with app.lifespan(None):
        with pytest.raises(DeadlineExceededError):
            await app.calling(timeout=0.05).run()
        threading.Timer(0.2, gate.let_go.set).start()
    assert gate.returned.is_set()


# ------------------------------------------------------------------------------------------- cancels


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_h3_a_caller_who_leaves_ends_the_run(gate: Gate, kind: str) -> None:
    @step
    def after(held: int) -> int:
        return gate.after(held)

    from pipemount import pipeline

    work = step(gate.wait if kind == "async" else gate.hold)

    @pipeline
    def both() -> Any:
        return after(work())

    app = PipelineApp(both)
    async with app.lifespan(None):
        connection = asked(app)
        connection.feed(BODY)
        task = asyncio.create_task(connection.run())
        await until(lambda: gate.seen or gate.running.is_set())
        connection.disconnect()
        await task
        assert connection.sent == []
        gate.let_go.set()
        await until(lambda: not app.admission.active)

    assert gate.seen == (["begun", "cancelled"] if kind == "async" else ["cancelled: True"]), "the next never begins"


@pytest.mark.parametrize("how", ["disconnect", "cancel"])
async def test_h3_a_run_may_go_on_without_its_caller(gate: Gate, how: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "pipemount")
    app = PipelineApp(step(gate.wait), settings=Settings(invoke_disconnect="continue"))
    async with app.lifespan(None):
        connection = asked(app)
        connection.feed(BODY)
        task = asyncio.create_task(connection.run())
        await until(lambda: gate.seen)
        if how == "disconnect":
            connection.disconnect()
        else:
            task.cancel()
            await asyncio.wait([task])
        await asyncio.sleep(0.1)
        assert gate.seen == ["begun"]
        assert app.admission.active == 1

        gate.free.set()
        await until(lambda: not app.admission.active)
        await asyncio.wait([task])
    assert gate.seen == ["begun", "ended"]
    assert ("ended without its caller: well" in caplog.text) == (how == "cancel")


async def test_a_run_that_goes_on_may_fail_without_its_caller(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "pipemount")
    free, begun = asyncio.Event(), asyncio.Event()

    @step
    async def fail() -> int:
        begun.set()
        await free.wait()
        raise ValueError("no")

    app = PipelineApp(fail, settings=Settings(invoke_disconnect="continue"))
    async with app.lifespan(None):
        task = asyncio.create_task(post(app, "/invoke", EMPTY))
        await begun.wait()
        task.cancel()
        await asyncio.wait([task])
        free.set()
        await until(lambda: not app.admission.active)
        assert (await post(app, "/invoke", EMPTY)).status == 500
    assert "ended without its caller: \"step 'fail' raised ValueError\"" in caplog.text


async def test_j4_a_thousand_cancels_while_they_wait_run_or_have_ended(gate: Gate) -> None:
    app = PipelineApp(step(gate.wait), settings=Settings(max_concurrency=100, max_queue=2000))
    async with app.lifespan(None):
        tasks = [asyncio.create_task(app.run()) for _ in range(1100)]
        await until(lambda: app.admission.queued == 1000)
        for task in [*tasks[100:], *tasks[:100], *tasks]:  # those that wait, those that run, and all once more
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)

        assert all(isinstance(error, asyncio.CancelledError) for error in ended)
        assert (app.admission.active, app.admission.queued) == (0, 0)
        assert gate.seen.count("begun") == gate.seen.count("cancelled") == 100
        gate.free.set()
        done = [asyncio.create_task(app.run()) for _ in range(1000)]
        await asyncio.wait(done)
        assert not any(task.cancel() for task in done)
        assert app.admission.active == 0


# ------------------------------------------------------------------------------------------- slow bodies


@pytest.mark.parametrize("path", ["/invoke", "/batch"])
async def test_d5_a_body_that_trickles_is_answered_408_and_holds_no_place(gate: Gate, path: str) -> None:
    gate.free.set()
    patient = Settings(max_concurrency=1, max_queue=2000, body_timeout=1.0, request_timeout=1e6)
    app = PipelineApp(step(gate.wait), settings=patient)
    slow = b" " * 1000 + BODY
    async with app.lifespan(None):
        connections = [asked(app, body=slow, path=path) for _ in range(1000)]
        began = monotonic()
        tasks = [asyncio.create_task(connection.run()) for connection in connections]
        await until(lambda: app.admission.reading and not app.admission.queued)  # all have stepped aside
        for _ in range(5):
            for connection in connections:
                connection.feed(b" ", more=True)
            assert (await post(app, "/invoke", EMPTY)).status == 200
            await asyncio.sleep(0.1)
        await asyncio.gather(*tasks)

        answers = [connection.answer for connection in connections]
        assert {(answer.status, answer.json()["code"]) for answer in answers} == {(408, "request-timeout")}
        assert monotonic() - began > 0.9
        assert {answer.headers["connection"] for answer in answers} == {"close"}
        assert (app.admission.active, app.admission.reading) == (0, 0)
        assert (await post(app, "/invoke", EMPTY)).status == 200


async def test_a_body_that_comes_late_waits_for_a_place_again(gate: Gate) -> None:
    app = PipelineApp(step(gate.wait), settings=Settings(max_concurrency=1))
    async with app.lifespan(None):
        slow = asked(app)
        task = asyncio.create_task(slow.run())
        await until(lambda: app.admission.reading)
        assert app.admission.active == 0
        quick = asyncio.create_task(post(app, "/invoke", EMPTY))
        await until(lambda: gate.seen)
        slow.feed(BODY)
        await until(lambda: app.admission.queued)
        gate.free.set()
        assert (await quick).status == 200
        await task
        assert slow.answer.status == 200
        assert app.admission.active == 0


@pytest.mark.parametrize("when", ["at once", "aside", "queued"])
async def test_a_caller_who_leaves_within_its_body_leaves_nothing_behind(gate: Gate, when: str) -> None:
    app = PipelineApp(step(gate.wait), settings=Settings(max_concurrency=1))
    async with app.lifespan(None):
        connection = asked(app)
        task = asyncio.create_task(connection.run())
        await asyncio.sleep(0)
        if when != "at once":
            await until(lambda: app.admission.reading)
        if when == "queued":
            assert app.admission.try_enter()
            connection.feed(BODY)
            await until(lambda: app.admission.queued)
            task.cancel()
        else:
            connection.disconnect()
        await asyncio.wait([task])
        if when == "queued":
            app.admission.leave(0.01)
        assert (app.admission.active, app.admission.queued, app.admission.reading) == (0, 0, 0)
        assert not connection.sent or connection.answer.status == 503


async def test_a_large_body_has_time_in_proportion(monkeypatch: pytest.MonkeyPatch, gate: Gate) -> None:
    monkeypatch.setattr(reading, "PACE", 10)
    gate.free.set()
    app = PipelineApp(step(gate.wait), settings=Settings(body_timeout=0.1))
    async with app.lifespan(None):
        connection = asked(app, body=b" " * 40 + BODY)
        task = asyncio.create_task(connection.run())
        connection.feed(b" " * 40, more=True)
        await asyncio.sleep(0.5)
        connection.feed(BODY)
        await task
        assert connection.answer.status == 200


async def test_a_time_out_of_the_servers_own_is_not_the_callers() -> None:
    async def receive() -> Any:
        await asyncio.sleep(0)
        raise TimeoutError("the server's own")

    app = PipelineApp(step(Gate().wait))
    async with app.lifespan(None):
        connection = asked(app)
        connection._receive = receive  # type: ignore[method-assign]
        await connection.run()
        assert connection.answer.status == 500
        assert app.admission.active == 0


async def test_a_408_says_nothing_of_connections_where_there_are_none_to_close() -> None:
    app = PipelineApp(step(Gate().wait), settings=Settings(body_timeout=0.05))
    async with app.lifespan(None):
        connection = asked(app)
        connection.scope["http_version"] = "2"
        await connection.run()
        assert connection.answer.status == 408
        assert "connection" not in connection.answer.headers


async def test_an_awaitable_of_the_servers_own_is_resumed_as_it_is() -> None:
    """Some servers give ``receive`` as an object of their own, which can be awaited and no more."""

    class Own:
        def __init__(self, message: Any) -> None:
            self._message, self._future = message, asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_later(0.01, self._future.set_result, None)
            self._waiting: Iterator[Any] = self._future.__await__()

        def __await__(self) -> Any:
            return self

        def __iter__(self) -> Any:
            return self

        def __next__(self) -> Any:
            try:
                return next(self._waiting)
            except StopIteration:
                raise StopIteration(self._message) from None

    answered: list[Any] = []

    async def send(message: Any) -> None:
        answered.append(message)

    @step
    async def one() -> int:
        return 1

    app = PipelineApp(one, settings=Settings(body_timeout=5.0))
    async with app.lifespan(None):
        scope = asked(app).scope
        await app(scope, lambda: Own({"type": "http.request", "body": BODY}), send)
        assert answered[0]["status"] == 200

        task = asyncio.create_task(app(scope, lambda: Own({"type": "http.request", "body": BODY}), send))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert app.admission.active == 0


def going_on(hearing: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """A task that waits for what was begun before, and has suspended."""
    begun = hearing.__await__()
    resumed = reading.Resumed(next(begun), begun)

    async def read() -> None:
        await resumed

    return asyncio.create_task(read())


async def test_a_cancellation_that_comes_with_the_body_is_too_late() -> None:
    heard = []

    async def hear() -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            heard.append(BODY)

    task = going_on(hear())
    await asyncio.sleep(0)
    task.cancel()
    await task
    assert heard == [BODY]


async def test_a_cancellation_within_the_waiting_for_a_body_goes_on_there() -> None:
    """As of the task group in which Starlette's ``BaseHTTPMiddleware`` receives: it waits once more behind it."""

    heard = []

    async def hear() -> None:
        for _ in range(2):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(30)
        await asyncio.sleep(0)
        heard.append(BODY)

    task = going_on(hear())
    for _ in range(2):
        await asyncio.sleep(0)
        task.cancel()
    await task
    assert heard == [BODY]


async def test_the_mapping_of_refusals_both_ways() -> None:
    from pipemount.errors.problems import from_problem

    for error in (
        OverloadedError(retry_after=3, full="key"),
        RateLimitedError(quota=3, window=60, retry_after=4.2),
        RunCancelledError("left"),
    ):
        status, headers, body = problem(error, instance="/invoke")
        found = from_problem(json.loads(body), status=status)
        assert type(found) is type(error)
        assert str(found) == str(error)
        assert dict(headers).get(b"retry-after") == {429: str(getattr(error, "retry_after", None)).encode()}.get(status)


async def test_metrics_and_status_tell_what_was_refused(gate: Gate) -> None:
    app = PipelineApp(step(gate.wait), settings=Settings(max_concurrency=1, max_queue=0, rate_limit=RateLimit(9)))
    async with app.lifespan(None):
        first = asyncio.create_task(post(app, "/invoke", EMPTY))
        await until(lambda: app.admission.active)
        assert (await post(app, "/invoke", EMPTY)).status == 429
        gate.free.set()
        assert (await first).status == 200
        text = (await get(app, "/metrics", headers={"accept": "text/plain"})).body.decode()
        assert 'pipemount_rejected_total{reason="app"} 1' in text
        status = (await get(app, "/status")).json()
        assert status["concurrency"]["rejected"] == 1
        assert status["settings"]["rate_limit"] == {"quota": 9, "window": 60.0}


async def test_a_body_that_was_read_is_not_kept_for_as_long_as_its_answer_takes() -> None:
    async def receive() -> Message:
        return {"type": "http.request", "body": BODY}

    async def send(message: Message) -> None:
        raise AssertionError(message)

    exchange = Exchange({}, receive, send, ("", "/"), {})
    await exchange.hear()
    assert await exchange.read(len(BODY), None) == BODY
    assert "body" not in exchange.message
