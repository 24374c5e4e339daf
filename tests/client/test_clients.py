"""Both clients, over transports that answer in this process: what they open, close, translate and wait for."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import date, timedelta
from typing import Any, ClassVar

import httpx
import pytest

from pipemount import AuthKeys, PipelineApp, Settings, errors, pipeline, step
from pipemount.auth.key import Key
from pipemount.client import AsyncClient, Client, Result, Retries
from pipemount.runtime.events import Event
from pipemount.types import VERSION

from .scripted import frame, job

AT_ONCE = Retries(first=0)
Handler = Callable[[httpx.Request], httpx.Response]


@step
def add(a: int, b: int) -> int:
    return a + b


@pipeline
def adding(a: int, b: int = 2) -> Any:
    return add(a, b)


def double(number: int) -> int:
    return 2 * number


class Both:
    """One client of each kind, asked the same."""

    def __init__(self, handler: Handler, pipeline: Any = None, **options: Any) -> None:
        self._handler, self._pipeline = handler, pipeline
        self._options: dict[str, Any] = {"retries": AT_ONCE, **options}

    def sync(self, verb: Callable[[Any], Any]) -> Any:
        with Client("http://a/ai", self._pipeline, transport=Transport(self._handler), **self._options) as client:
            found = verb(client)
            return list(found) if isinstance(found, Iterator) else found

    async def awaited(self, verb: Callable[[Any], Any]) -> Any:
        transport = Transport(self._handler)
        async with AsyncClient("http://a/ai", self._pipeline, transport=transport, **self._options) as client:
            found = verb(client)
            return [item async for item in found] if isinstance(found, AsyncIterator) else await found


class Stream(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body in pieces; an error among them is raised."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self._pieces, self.closed = pieces, 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece

    def close(self) -> None:
        self.closed += 1

    async def aclose(self) -> None:
        self.close()


class Transport(httpx.MockTransport):
    """httpx's own, which lets bodies of streams be streamed."""


def answering(*answers: Any) -> tuple[Handler, list[httpx.Request]]:
    """A handler that gives one after the other: responses, or errors to raise."""
    rest, asked = list(answers), []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        found: Any = rest.pop(0)
        if isinstance(found, Exception):
            raise found
        response: httpx.Response = found
        return response

    return handler, asked


def events(*pieces: bytes | Exception) -> httpx.Response:
    return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Stream(*pieces))


def repeated(make: Callable[[], tuple[Any, ...]], verb: Callable[[Any], Any], **options: Any) -> list[Any]:
    """What both clients give for the same answers."""
    handler, _ = answering(*make())
    found = [Both(handler, **options).sync(verb)]
    handler, _ = answering(*make())
    return [*found, asyncio.run(Both(handler, **options).awaited(verb))]


DONE = {"outputs": {"output": 7}, "execution_time": 0.5, "metadata": {"run_id": "r", "run_name": "n"}}
VERBS: list[tuple[Callable[[Any], Any], Any, Any]] = [
    (lambda c: c.invoke(3, b=4), DONE, lambda r: r.value == 7),
    (lambda c: c.batch([{"a": 1}]), [DONE], lambda r: r[0].value == 7),
    (lambda c: c.submit(a=1), job("queued"), lambda j: j.id == "j-1"),
    (lambda c: c.result("j-1"), job("succeeded", outputs={"output": 7}), lambda r: r.value == 7),
    (lambda c: c.job("j-1"), job(), lambda j: j.status == "running"),
    (lambda c: c.jobs("running"), {"jobs": [job()]}, lambda j: [each.id for each in j] == ["j-1"]),
    (lambda c: c.cancel("j-1"), job("cancelled"), lambda j: j.ended),
    (lambda c: c.resume("j-1", {"ok": True}), job("queued"), lambda j: not j.ended),
    (lambda c: c.retry("j-1"), job("queued"), lambda j: not j.ended),
    (lambda c: c.delete("j-1"), None, lambda n: n is None),
    (lambda c: c.pipelines(), {"pipelines": [{"name": "adding"}]}, lambda p: p == [{"name": "adding"}]),
    (lambda c: c.info(), {"name": "adding"}, lambda i: i == {"name": "adding"}),
    (lambda c: c.status(), {"up": 1}, lambda s: s == {"up": 1}),
]


@pytest.mark.parametrize(("verb", "document", "is_right"), VERBS)
def test_every_verb_waited_for_and_awaited(verb: Any, document: Any, is_right: Callable[[Any], bool]) -> None:
    def response() -> tuple[httpx.Response]:
        return (httpx.Response(204) if document is None else httpx.Response(200, json=document),)

    assert [is_right(found) for found in repeated(response, verb, pipeline=adding)] == [True, True]


def test_what_every_request_carries() -> None:
    handler, asked = answering(httpx.Response(200, json=DONE))
    Both(handler, key="sesame", headers={"x-request-id": "7"}).sync(lambda client: client.invoke())
    sent = asked[0].headers
    assert sent["authorization"] == "Bearer sesame"
    assert sent["x-request-id"] == "7"
    assert sent["user-agent"] == f"pipemount/{VERSION}"
    assert sent["content-type"] == "application/json"


@pytest.mark.parametrize("key", ["", " ", "a\nb", "schlüssel"])
def test_a_key_that_no_header_can_carry(key: str) -> None:
    with pytest.raises(errors.ConfigurationError, match="no header can carry"):
        Client("http://a", key=key)


def test_an_option_that_is_none() -> None:
    options: dict[str, Any] = {"timeout": 5}
    with pytest.raises(TypeError, match="timeout"):
        Client("http://a", None, **options)


def test_a_stream_through_drops() -> None:
    def answers() -> tuple[Any, ...]:
        return (
            httpx.Response(202, json=job("queued")),
            events(frame(1), b"", frame(2)[:9], httpx.ReadError("reset")),
            httpx.ConnectError("refused"),
            events(frame(2), frame(3, "run_completed", outputs={"output": 7})),
        )

    for found in repeated(answers, lambda client: client.stream(a=1), pipeline=adding):
        assert [event.sequence for event in found] == [1, 2, 3]


def test_events_of_a_job() -> None:
    def answers() -> tuple[Any, ...]:
        return (events(frame(5), frame(6, "run_failed", error="x")),)

    for found in repeated(answers, lambda client: client.events("j-1", after=4)):
        assert [event.sequence for event in found] == [5, 6]


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (httpx.ReadTimeout("slow"), errors.NoAnswerError),
        (httpx.WriteTimeout("slow"), errors.NoAnswerError),
        (httpx.ConnectTimeout("slow"), errors.UnreachableError),
        (httpx.ConnectError("refused"), errors.UnreachableError),
        (httpx.RemoteProtocolError("closed"), errors.UnreachableError),
        (httpx.LocalProtocolError("odd header"), errors.ConfigurationError),
        (httpx.DecodingError("no gzip"), errors.ForeignAnswerError),
    ],
)
def test_errors_of_httpx_are_told_as_ours(raised: Exception, kind: type[Exception]) -> None:
    handler, _ = answering(raised, raised)
    both = Both(handler, retries=Retries(attempts=0))
    with pytest.raises(kind) as caught:
        both.sync(lambda client: client.invoke())
    assert caught.value.__cause__ is raised
    with pytest.raises(kind):
        asyncio.run(both.awaited(lambda client: client.invoke()))


def test_an_address_that_httpx_refuses() -> None:
    with Client("http://127.0.0.1:port") as client, pytest.raises(errors.ConfigurationError, match="cannot be asked"):
        client.info()


@pytest.mark.parametrize("raised", [httpx.ReadTimeout("slow"), httpx.ConnectError("refused"), httpx.DecodingError("?")])
def test_no_error_tells_a_password_or_a_token(raised: Exception) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.params["token"] == "T0K3N"
        raise raised

    options: dict[str, Any] = {"token": "T0K3N", "retries": Retries(attempts=0), "transport": Transport(answer)}
    with Client("http://me:PASSW0RD@a/ai", **options) as client, pytest.raises(errors.PipemountError) as caught:
        client.job("j-1")
    assert "http://a/ai/jobs/j-1" in str(caught.value)
    assert not any(secret in f"{caught.value} {vars(caught.value)}" for secret in ("PASSW0RD", "T0K3N"))
    foreign = httpx.Response(200, text="a page")
    told = pytest.raises(errors.ForeignAnswerError, match="http://a/ai/jobs/j-1 answered text/plain")
    with Client("http://a/ai", token="T0K3N", transport=Transport(answering(foreign)[0])) as client, told:
        client.job("j-1")


def test_connecting_and_sending_take_as_long_as_the_http_client_says() -> None:
    def patience(**options: Any) -> Any:
        handler, asked = answering(httpx.Response(200, json=DONE))
        if "timeout" in options:
            options = {"http": httpx.Client(transport=Transport(handler), **options)}
        else:
            options = {"transport": Transport(handler)}
        Client("http://a/ai", **options).calling(timeout=20).invoke()
        return asked[0].extensions["timeout"]

    ours, given = patience(), patience(timeout=httpx.Timeout(1, connect=2, write=3, pool=4))
    assert (given["connect"], given["write"], given["pool"]) == (2, 3, 4)
    assert (ours["connect"], ours["write"], ours["pool"]) == (10, 60, None)
    assert 20 < min(ours["read"], given["read"]) < 30, "the answer may take as long as the call says"


class Proxy(http.server.BaseHTTPRequestHandler):
    """Answers in the place of every host."""

    seen: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        self.seen.append(self.path)
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps(DONE).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quietly."""


@pytest.fixture
def proxy() -> Iterator[str]:
    Proxy.seen.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_proxy_is_httpxs_business(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with httpx.Client(proxy=proxy) as through:
        Client("http://shop.example/ai", http=through).invoke(number=1)
    for name in ("NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", proxy)
    with Client("http://shop.example/ai") as client:
        client.invoke(number=1)
    assert Proxy.seen == ["http://shop.example/ai/invoke"] * 2


def test_pauses_are_slept() -> None:
    busy = httpx.Response(429, headers={"retry-after": "2"}, json={"code": "overloaded", "detail": "full"})
    handler, _ = answering(busy, httpx.Response(200, json=DONE))
    slept: list[float] = []
    Both(handler, sleep=slept.append).sync(lambda client: client.invoke())
    assert slept == [2.0]


async def test_pauses_are_awaited() -> None:
    busy = httpx.Response(429, headers={"retry-after": "2"}, json={"code": "overloaded", "detail": "full"})
    handler, _ = answering(busy, httpx.Response(200, json=DONE))
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    await Both(handler, sleep=sleep).awaited(lambda client: client.invoke())
    assert slept == [2.0]


# ----------------------------------------------------------------------------------- leaving, and closing


def leaving() -> tuple[Handler, list[httpx.Request], Stream]:
    stream = Stream(frame(1), frame(2), frame(3))
    opened = httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=stream)
    handler, asked = answering(httpx.Response(202, json=job()), opened, httpx.Response(200, json=job("cancelling")))
    return handler, asked, stream


def test_leaving_a_stream_cancels_its_run() -> None:
    handler, asked, stream = leaving()
    with Client("http://a", transport=Transport(handler)) as client:
        with contextlib.closing(client.stream()) as told:
            assert next(told).sequence == 1
        assert stream.closed
        assert [request.url.path for request in asked] == ["/submit", "/jobs/j-1/events", "/jobs/j-1/cancel"]


async def test_leaving_a_stream_of_an_async_client_cancels_its_run() -> None:
    handler, asked, stream = leaving()
    async with AsyncClient("http://a", transport=Transport(handler)) as client:
        async with contextlib.aclosing(client.stream()) as told:
            assert (await anext(told)).sequence == 1
        assert stream.closed
        assert asked[-1].url.path == "/jobs/j-1/cancel"


async def test_a_task_that_is_cancelled_while_it_reads_cancels_its_run() -> None:
    handler, asked, _ = leaving()
    reading = asyncio.Event()

    class Standing(Stream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield frame(1)
            reading.set()
            await asyncio.Event().wait()

    opened = httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Standing())
    handler, asked = answering(httpx.Response(202, json=job()), opened, httpx.Response(200, json=job("cancelling")))
    async with AsyncClient("http://a", transport=Transport(handler)) as client:

        async def read() -> None:
            async for _ in client.stream():
                pass

        task = asyncio.create_task(read())
        await reading.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert asked[-1].url.path == "/jobs/j-1/cancel"


def test_what_was_given_stays_open_and_what_was_opened_is_closed() -> None:
    handler, _ = answering()
    with httpx.Client(transport=Transport(handler)) as http:
        with Client("http://a", http=http):
            pass
        assert not http.is_closed
    client = Client("http://a", transport=Transport(handler))
    client.calling(timeout=5).close()
    assert not client._driver.http.is_closed
    client.close()
    assert client._driver.http.is_closed


async def test_the_same_of_an_async_client() -> None:
    handler, _ = answering()
    async with httpx.AsyncClient(transport=Transport(handler)) as http:
        async with AsyncClient("http://a", http=http):
            pass
        assert not http.is_closed
    client = AsyncClient("http://a", transport=Transport(handler))
    await client.calling(timeout=5).close()
    assert not client._driver.http.is_closed
    await client.close()
    assert client._driver.http.is_closed


# ------------------------------------------------------------------------------------------- our own apps


async def test_an_app_without_a_network() -> None:
    app = PipelineApp({"adding": adding, "double": double})
    async with app.lifespan(None), app.client() as http:
        sums: AsyncClient[..., Any] = AsyncClient("", adding, http=http)
        assert (await sums.invoke(3)).value == 5
        doubles = AsyncClient("", double, http=http)
        assert (await doubles.invoke(number=4)).value == 8
        assert (await AsyncClient("/pipelines/double", http=http).invoke(number=4)).value == {"output": 8}
        assert [each["name"] for each in await doubles.pipelines()] == ["adding", "double"]
        with pytest.raises(errors.InvalidInputsError) as caught:
            await AsyncClient("", "adding", http=http).invoke(a="x", c=1)
        assert sorted(fault["loc"] for fault in caught.value.errors) == [["parameters", "a"], ["parameters", "c"]]


def test_a_token_is_good_for_its_job_and_what_it_permits() -> None:
    app = PipelineApp(adding, auth=AuthKeys([Key("ci", "the-key-of-a-test-1234567")]))
    with app.client_sync(root_path="/ai") as http:
        client: Client[..., Any] = Client("", adding, http=http, key="the-key-of-a-test-1234567")
        job, other = client.submit(3), client.submit(4)
        client.result(job)
        reader: Client[..., Any] = Client("", adding, http=http, token=app.sign(job.id, "read").token)
        assert reader.result(job).value == 5
        assert [event.kind for event in reader.events(job)][-1] == "run_completed"
        for refused in (
            lambda: reader.cancel(job),
            lambda: reader.delete(job),
            lambda: reader.invoke(1),
            lambda: next(reader.jobs()),
        ):
            with pytest.raises((errors.UnauthenticatedError, errors.ForbiddenError)):
                refused()
        with pytest.raises(errors.NotFoundError):
            reader.job(other)
        canceller: Client[..., Any] = Client("", http=http, token=app.sign(job.id, "cancel").token)
        with pytest.raises(errors.JobEndedError):
            canceller.cancel(job)
    app.lifecycle.close()


def test_the_same_in_a_thread_that_waits() -> None:
    app = PipelineApp(adding, auth=AuthKeys([Key("reader", "read-only-key-of-a-test", permissions=("read",))]))
    with app.client_sync(root_path="/ai") as http:
        client: Client[..., Any] = Client("", adding, http=http, key="read-only-key-of-a-test")
        assert client.info()["name"] == "adding"
        with pytest.raises(errors.ForbiddenError) as caught:
            client.invoke(1)
        assert caught.value.permission == "invoke"
        assert "'reader' lacks" in str(caught.value)
        with pytest.raises(errors.UnauthenticatedError):
            Client("", http=http).invoke(a=1)
    app.lifecycle.close()


def shown(event: Event) -> tuple[Any, ...]:
    """What two runs of the same inputs have in common."""
    data = {name: value for name, value in event.data.items() if name not in ("duration", "run_name")}
    return event.kind, event.sequence, event.step, event.attempt, data


@step
async def spell(word: str, day: date) -> AsyncIterator[str]:
    for letter in word:
        yield letter


@step
def after(day: date, letters: list[str]) -> date:
    return day + timedelta(days=len(letters))


@pipeline
def spelling(word: str, day: date) -> Any:
    letters = spell(word, day)
    return {"letters": letters, "day": after(day, letters)}


async def test_a_stream_tells_what_it_tells_in_the_process() -> None:
    app, inputs = PipelineApp(spelling), {"word": "rain", "day": date(2026, 1, 30)}
    async with app.lifespan(None), app.client() as http:
        client: AsyncClient[..., Any] = AsyncClient("", spelling, http=http)
        here = [shown(event) async for event in app.stream(**inputs)]
        assert [shown(event) async for event in client.stream(**inputs)] == here
        assert here[-1][-1]["outputs"] == {"letters": list("rain"), "day": date(2026, 2, 3)}
        job = await client.submit(**inputs)
        found = await client.result(job)
        assert found.value == {"letters": list("rain"), "day": date(2026, 2, 3)}
        assert [shown(event) async for event in client.events(job)] == here
        assert job.id in [each.id async for each in client.jobs(limit=1)]
        record = await client.job(job)
        assert record.created is not None
        assert record.finished is not None
        assert record.created <= record.finished
        async with contextlib.aclosing(client.stream(**inputs)) as events:
            run_id = (await anext(events)).run_id
        assert (await client.job(run_id)).status in ("cancelling", "cancelled", "succeeded")
        good, bad = await client.batch([inputs, {"word": 1}])
        assert isinstance(good, Result)
        assert good.value["day"] == date(2026, 2, 3)
        assert isinstance(bad, errors.InvalidInputsError)


def test_a_client_may_be_used_by_several_threads() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        number = json.loads(request.content)["parameters"]["number"]
        return httpx.Response(200, json={"outputs": {"output": number}, "metadata": {"run_id": "r"}})

    found: list[int] = []
    with Client("http://a", double, transport=Transport(handler)) as client:
        threads = [
            threading.Thread(target=lambda n=n: found.append(client.invoke(n).value), name=f"n{n}") for n in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(found) == list(range(8))


def test_an_app_that_has_its_routes_at_other_paths() -> None:
    settings = Settings(paths={"/invoke": "/predict", "/submit": "/later", "/jobs": "/work", "/info": "/about"})
    app = PipelineApp({"adding": adding, "double": double}, settings=settings)
    with app.client_sync() as http, contextlib.closing(app.lifecycle):
        client = Client("", adding, http=http, paths=settings.paths)
        assert client.invoke(a=1).value == 3
        assert [event.kind for event in client.stream(a=1)][-1] == "run_completed"
        job = client.submit(a=2)
        assert client.result(job).value == 4
        assert next(client.jobs("succeeded")).id == job.id
        assert client.info()["name"] == "adding"
        client.delete(job)
