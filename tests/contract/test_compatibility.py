"""The cases that ZenML deployments set, numbered as in the compatibility list: kept where right, else done better."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from base64 import b64encode
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import FastAPI
from pydantic import BaseModel, Field
from starlette.applications import Starlette
from starlette.routing import Mount
from tests.support.asgi import Answer, get, post, request
from tests.support.servers import Server, serve, wait_until

from pipemount import AuthKeys, PipelineApp, PipelineError, Settings, pipeline, step
from pipemount.types import ASGIApp

KEY = "open-sesame-open-sesame"


@asynccontextmanager
async def started(*pipelines: Any, **options: Any) -> AsyncIterator[PipelineApp]:
    app = PipelineApp({p.name: p for p in pipelines} if len(pipelines) > 1 else pipelines[0], **options)
    async with app.lifespan(None):
        yield app


async def invoke(app: ASGIApp, path: str = "/invoke", /, **parameters: Any) -> Answer:
    return await post(app, path, {"parameters": parameters})


async def outputs(app: ASGIApp, path: str = "/invoke", /, **parameters: Any) -> Any:
    answer = await invoke(app, path, **parameters)
    assert answer.status == 200, answer.body
    return answer.json()["outputs"]


class Executed:
    """How often steps ran."""

    count = 0


@pytest.fixture(autouse=True)
def executed() -> type[Executed]:
    Executed.count = 0
    return Executed


# ------------------------------------------------------------------------------- 1 to 5: values in


@step
def analyse(city: str, temperature: float) -> Annotated[str, "weather_analysis"]:
    Executed.count += 1
    return f"The weather in {city} is {temperature} degrees Celsius."


@pipeline
def weather(city: str = "London", temperature: float = 20.0) -> Any:
    return analyse(city, temperature)


async def test_case_1_the_weather() -> None:
    async with started(weather) as app:
        assert await outputs(app, city="Oslo", temperature=3) == {
            "weather_analysis": "The weather in Oslo is 3.0 degrees Celsius."
        }


async def test_case_2_empty_parameters_take_the_defaults() -> None:
    async with started(weather) as app:
        answer = (await invoke(app)).json()
    assert answer["outputs"] == {"weather_analysis": "The weather in London is 20.0 degrees Celsius."}
    assert answer["metadata"]["parameters_used"] == {"city": "London", "temperature": 20.0}


class Unit(Enum):
    C = "C"
    F = "F"


class Place(BaseModel):
    name: str
    height: Annotated[int, Field(ge=0, le=9000)] = 0


@step
def visit(place: Place, unit: Unit, days: int) -> str:
    Executed.count += 1
    return f"{place.name} {unit.value} {days}"


@pipeline
def trip(place: Place, unit: Unit = Unit.C, days: int = 1) -> Any:
    return visit(place, unit, days)


OSLO = {"name": "Oslo"}
INVALID = {
    "missing": ({}, ["parameters", "place"]),
    "wrong-type": ({"place": "Oslo"}, ["parameters", "place"]),
    "null": ({"place": None}, ["parameters", "place"]),
    "unknown-name": ({"place": OSLO, "plaice": 1}, ["parameters", "plaice"]),
    "bad-enum": ({"place": OSLO, "unit": "K"}, ["parameters", "unit"]),
    "nested-constraint": ({"place": {"name": "Oslo", "height": -1}}, ["parameters", "place", "height"]),
    "nested-missing": ({"place": {}}, ["parameters", "place", "name"]),
}


@pytest.mark.parametrize(("parameters", "path"), INVALID.values(), ids=INVALID)
async def test_case_3_invalid_inputs_are_422_with_their_path_and_execute_nothing(
    parameters: dict[str, Any], path: list[str], executed: type[Executed]
) -> None:
    async with started(trip) as app:
        answer = await invoke(app, **parameters)
        assert answer.status == 422
        assert path in [fault["loc"] for fault in answer.json()["errors"]]
        assert executed.count == 0
        assert (await invoke(app, place=OSLO)).json()["metadata"]["run_index"] == 1


async def test_case_4_coercion_is_lax_where_nothing_is_lost() -> None:
    async with started(trip) as app:
        assert (await outputs(app, place=OSLO, days="2")) == {"output": "Oslo C 2"}
        assert (await invoke(app, place=OSLO, days=2.5)).status == 422
        assert (await invoke(app, place={"name": 5})).status == 422


@pytest.mark.parametrize(
    ("body", "status"), [(b"", 400), (b"{", 400), (b"no", 400), (b"[]", 422), (b"{}", 422), (b'{"parameters":1}', 422)]
)
async def test_case_5_a_body_that_is_none_or_has_no_parameters(
    body: bytes, status: int, executed: type[Executed]
) -> None:
    """ZenML answers 422 to what is no JSON, too; here that is 400, so that the two can be told apart."""
    async with started(weather) as app:
        answer = await post(app, "/invoke", body)
    assert (answer.status, answer.json()["status"]) == (status, status)
    assert executed.count == 0


# ----------------------------------------------------------------------------------- 6: who may call


async def test_case_6_keys() -> None:
    good, wrong = {"authorization": f"Bearer {KEY}"}, {"authorization": f"Bearer {KEY}x"}
    basic = {"authorization": "Basic " + b64encode(f":{KEY}".encode()).decode()}
    bad_basic = {"authorization": "Basic " + b64encode(b"me:no").decode()}
    async with started(weather, auth=AuthKeys([KEY])) as app:
        for headers in ({}, wrong, bad_basic):
            answer = await post(app, "/invoke", {"parameters": {}}, headers=headers)
            assert answer.status == 401
            challenges = [value for name, value in answer.raw_headers if name.lower() == b"www-authenticate"]
            assert b"Basic" in b" ".join(challenges) and b"Bearer" in b" ".join(challenges)
        for headers in (good, basic, {"x-api-key": KEY}):
            assert (await post(app, "/invoke", {"parameters": {}}, headers=headers)).status == 200
        assert (await post(app, "/invoke", b"{")).status == 401
        for path in ("/info", "/openapi.json", "/docs", "/", "/schema", "/pipelines", "/health"):
            assert (await get(app, path)).status == 401
            assert (await get(app, path, headers=good)).status == 200


# ----------------------------------------------------------------- 7 to 9: what reaches which step


@step
def label(location: str, city: str) -> Annotated[str, "label"]:
    return f"{location} in {city}"


@pipeline
def constants(city: str = "Paris") -> Any:
    return label(location=city, city="Rome")


async def test_case_7_values_reach_steps_by_data_flow_never_by_name() -> None:
    async with started(constants) as app:
        assert await outputs(app, city="Oslo") == {"label": "Oslo in Rome"}
        assert await outputs(app) == {"label": "Paris in Rome"}


@step
def warn(city: str) -> Annotated[str, "warning"]:
    return f"hot in {city}"


@pipeline
def branching(city: str = "Oslo", warm: bool = False) -> Any:
    outputs = {"label": label(city, "Rome") if warm else label("Rome", city)}
    if warm:
        outputs["warning"] = warn(city)
    return outputs


async def test_case_8_a_branch_on_a_parameter_is_honoured_in_every_request() -> None:
    """ZenML decides it when the pipeline is compiled, and serves one branch to everyone."""
    async with started(branching) as app:
        assert await outputs(app) == {"label": "Rome in Oslo"}
        assert await outputs(app, warm=True) == {"label": "Oslo in Rome", "warning": "hot in Oslo"}
        assert await outputs(app, city="Paris", warm=False) == {"label": "Rome in Paris"}
        schema = (await get(app, "/schema")).json()["output"]
        assert (list(schema["properties"]), schema["required"]) == (["label", "warning"], ["label"])


@pipeline
def advertised(needed: int, offered: int = 4) -> Any:
    return add(needed, offered)


@step
def add(a: int, b: int) -> int:
    return a + b


async def test_case_9_the_schema_s_defaults_are_those_of_validation() -> None:
    async with started(advertised) as app:
        schema = (await get(app, "/schema")).json()["input"]
        assert schema["required"] == ["needed"]
        assert "default" not in schema["properties"]["needed"]
        assert (await invoke(app)).status == 422
        assert await outputs(app, needed=1) == {"output": 1 + schema["properties"]["offered"]["default"]}


# -------------------------------------------------------------------------------------- 10: failures


class NoSuchCityError(Exception):
    """For callers to read."""


@step(public_errors=(NoSuchCityError,), error_statuses={ConnectionError: 502})
def fail(how: str) -> str:
    raise {
        "plain": RuntimeError("password=hunter2"),
        "public": NoSuchCityError("there is no Olso"),
        "mapped": ConnectionError("db.internal:5432"),
        "chosen": PipelineError("come back tomorrow", status=503),
    }[how]


@pipeline
def failing(how: str) -> Any:
    return fail(how)


@pytest.mark.parametrize(
    ("how", "status", "message"),
    [
        ("plain", 500, "RuntimeError"),
        ("public", 500, "there is no Olso"),
        ("mapped", 502, "ConnectionError"),
        ("chosen", 503, "come back tomorrow"),
    ],
)
async def test_case_10_a_failing_step_is_told_with_its_name_and_no_internals(
    how: str, status: int, message: str
) -> None:
    async with started(failing) as app:
        answer = await invoke(app, how=how)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["success"], problem["outputs"], problem["step"]) == (False, None, "fail")
    assert message in problem["error"]
    assert problem["run_id"] == answer.headers["x-run-id"]
    for inside in (b"hunter2", b"db.internal", b"Traceback", b".py"):
        assert inside not in answer.body


# ----------------------------------------------------------------------- 11, 12, 17: real processes


class Deployment:
    """A server with the pipelines of ``deployed``."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server, self.folder = server, folder

    def notes(self) -> list[str]:
        return (self.folder / "notes").read_text().splitlines()

    def pids(self, what: str) -> Counter[str]:
        return Counter(line.split()[0] for line in self.notes() if line.split(" ", 1)[1].startswith(what))

    def invoke(self, name: str, /, **parameters: Any) -> Any:
        return self.server.post(f"/{name}/invoke", {"parameters": parameters})


@contextmanager
def deployed(folder: Path, *options: str, wait: bool = True) -> Iterator[Deployment]:
    command = ["uvicorn", "tests.contract.deployed:app", "--port", "{port}", "--log-level", "warning", *options]
    with serve(command, folder=folder, env={"DEPLOYED_FOLDER": str(folder)}, wait=wait) as server:
        yield Deployment(server, folder)


@pytest.mark.server
def test_case_11_init_once_state_shared_cleanup_once(tmp_path: Path) -> None:
    with deployed(tmp_path) as deployment:
        replies = deployment.server.at_once(16, lambda: deployment.invoke("counted"))
        assert sorted(reply.json()["outputs"]["number"] for reply in replies) == list(range(1, 17))
        deployment.server.terminate()
        pid = deployment.server.process.pid
        assert deployment.notes() == [f"{pid} init", f"{pid} cleanup after 16"]


@pytest.mark.server
@pytest.mark.parametrize("lifespan", ["auto", pytest.param("off", marks=pytest.mark.full)])
def test_case_11_cleanup_with_several_workers(tmp_path: Path, lifespan: str) -> None:
    with deployed(tmp_path, "--workers", "2", "--lifespan", lifespan) as deployment:
        replies = deployment.server.at_once(16, lambda: deployment.invoke("counted"))
        numbers = Counter(reply.json()["outputs"]["number"] for reply in replies)
        deployment.server.terminate()
        started = deployment.pids("init")
        assert max(numbers.values()) <= len(started) <= 2
        assert set(started.values()) == {1}
        assert deployment.pids("cleanup") == started
        assert sum(int(line.split()[-1]) for line in deployment.notes() if "cleanup" in line) == 16


@pytest.mark.server
def test_case_12_a_failing_on_init_is_reported_at_once_with_its_cause(tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    with deployed(tmp_path, wait=False) as deployment:
        assert deployment.server.wait_for_end() != 0
        assert "OSError: the model is not there" in deployment.server.log
        assert "Application startup failed" in deployment.server.log
        assert set(deployment.pids("init").values()) == {1}
        assert not deployment.pids("cleanup")


@pytest.mark.server
def test_case_17_a_request_in_flight_completes_on_sigterm(tmp_path: Path) -> None:
    with deployed(tmp_path) as deployment:
        with ThreadPoolExecutor(1) as thread:
            reply = thread.submit(deployment.invoke, "held", name="a")
            wait_until((tmp_path / "a.entered").exists)
            deployment.server.process.terminate()
            wait_until(lambda: not deployment.server.is_up())
            (tmp_path / "a.go").touch()
            answer = reply.result()
        assert (answer.status, answer.json()["outputs"]) == (200, {"name": "a"})
        deployment.server.wait_for_end()
        assert set(deployment.pids("cleanup").values()) == {1}


async def test_case_17_an_accepted_job_has_an_end_that_says_why(executed: type[Executed]) -> None:
    app = PipelineApp(weather)
    async with app.lifespan(None):
        answer = await post(app, "/invoke?mode=async", {"parameters": {}})
        job = await app.jobs.until_ended(answer.json()["job_id"], None)
    assert (answer.status, job.status, executed.count) == (202, "succeeded", 1)


# ------------------------------------------------------------------------------------ 13, 14: outputs


@step
def s_num(number: int) -> Annotated[int, "value"]:
    return number


@step
def split(number: int) -> tuple[Annotated[int, "tens"], Annotated[int, "ones"]]:
    return divmod(number, 10)


@pipeline
def naming(number: int = 42) -> Any:
    first, second = s_num(number), s_num(7)
    tens, ones = split(number)
    return first, second, tens, ones


async def test_case_13_several_outputs_and_outputs_of_one_name() -> None:
    async with started(naming) as app:
        assert await outputs(app) == {"s_num.value": 42, "s_num_2.value": 7, "tens": 4, "ones": 2}


NOTED: list[str] = []


@step
def give(what: str) -> Annotated[Any, "any"]:
    values = {"nan": float("nan"), "inf": [float("inf")], "set": {1}, "object": object(), "lambda": [lambda: 1]}
    return values[what]


@step
def encode(text: str) -> Annotated[bytes, "raw"]:
    return text.encode() + b"\xff"


@pipeline(on_success=lambda: NOTED.append("success"), on_failure=lambda: NOTED.append("failure"))
def giving(what: str = "nan") -> Any:
    return give(what), encode("a")


@pytest.mark.parametrize(("what", "value"), [("nan", None), ("inf", [None]), ("set", [1])])
async def test_case_14_what_json_has_no_word_for_is_defined(what: str, value: Any) -> None:
    async with started(giving) as app:
        assert await outputs(app, what=what) == {"any": value, "raw": "Yf8="}


@pytest.mark.parametrize("what", ["object", "lambda"])
async def test_case_14_what_cannot_be_serialised_fails_the_run_before_it_completes(what: str) -> None:
    NOTED.clear()
    async with started(giving) as app:
        answer = await invoke(app, what=what)
    assert (answer.status, answer.json()["code"]) == (500, "output-invalid")
    assert NOTED == ["failure"]


# ------------------------------------------------------------------------------- 15, 16: side by side


@pytest.mark.server
def test_case_15_sixteen_requests_to_a_blocking_step_overlap_and_do_not_mix(tmp_path: Path) -> None:
    texts = iter(range(16))
    with deployed(tmp_path) as deployment:

        def ask() -> Any:
            text = f"text {next(texts)}"
            return deployment.invoke("together", text=text)._replace(headers={"text": text})

        for reply in deployment.server.at_once(16, ask):
            assert (reply.status, reply.json()["outputs"]) == (200, {"text": reply.headers["text"]})


async def test_case_15_three_independent_blocking_steps_overlap() -> None:
    meeting = threading.Barrier(3, timeout=30)

    @step
    def meet(number: int) -> int:
        meeting.wait()
        return number

    @step
    def total(a: int, b: int, c: int) -> Annotated[int, "total"]:
        return a + b + c

    @pipeline
    def fan() -> Any:
        return total(meet(1), meet(2), meet(3))

    async with started(fan) as app:
        assert await outputs(app) == {"total": 6}


async def test_case_15_blocking_steps_leave_the_host_its_threads() -> None:
    """ZenML's steps and the host's own endpoints share forty threads."""
    gate, entered = threading.Event(), threading.Semaphore(0)

    @step
    def block(number: int) -> int:
        entered.release()
        gate.wait(60)
        return number

    @pipeline
    def blocking(number: int) -> Any:
        return block(number)

    host = FastAPI()

    @host.get("/page")
    def page() -> str:
        return "the host"

    async with started(blocking, settings=Settings(threads=120)) as app:
        host.mount("/ai", app)
        requests = [asyncio.create_task(outputs(host, "/ai/invoke", number=number)) for number in range(120)]
        try:
            for _ in requests:
                while not entered.acquire(blocking=False):
                    await asyncio.sleep(0.01)
            assert (await get(host, "/page")).json() == "the host"
            assert not any(task.done() for task in requests)
        finally:
            gate.set()
        assert await asyncio.gather(*requests) == [{"output": number} for number in range(120)]


async def test_case_16_the_environment_stays_as_it_is_for_every_step() -> None:
    meeting = threading.Barrier(16, timeout=30)
    mark = contextvars.ContextVar("mark", default="unset")

    @step
    def tell(number: int) -> Annotated[dict[str, str], "environment"]:
        before = mark.get()
        mark.set(str(number))
        meeting.wait()
        return {**os.environ, "before": before, "after": mark.get()}

    @pipeline
    def telling(number: int) -> Any:
        return tell(number)

    environment = dict(os.environ)
    async with started(telling) as app:
        answers = await asyncio.gather(*(outputs(app, number=number) for number in range(16)))
    for number, answer in enumerate(answers):
        assert answer["environment"] == {**environment, "before": "unset", "after": str(number)}
    assert (dict(os.environ), mark.get()) == (environment, "unset")


# --------------------------------------------------------------------------------------- 21: in a host


def in_starlette(first: PipelineApp, second: PipelineApp) -> ASGIApp:
    return Starlette(routes=[Mount("/one", first), Mount("/two", second)])


def in_fastapi(first: PipelineApp, second: PipelineApp) -> ASGIApp:
    host = FastAPI()
    host.mount("/one", first)
    host.include_router(second.router(), prefix="/two")
    return host


@pytest.mark.parametrize("lifespan", [True, False], ids=["lifespan", "no-lifespan"])
@pytest.mark.parametrize("make_host", [in_starlette, in_fastapi])
async def test_case_21_two_pipelines_mounted_in_one_host(make_host: Any, lifespan: bool) -> None:
    first, second = PipelineApp(weather), PipelineApp(constants)
    host = make_host(first, second)
    try:
        if lifespan:
            async with first.lifespan(None), second.lifespan(None):
                await check_both(host)
        else:
            await check_both(host)
    finally:
        first.lifecycle.close()
        second.lifecycle.close()


async def check_both(host: ASGIApp) -> None:
    assert await outputs(host, "/one/invoke", city="Oslo", temperature=3) == {
        "weather_analysis": "The weather in Oslo is 3.0 degrees Celsius."
    }
    assert await outputs(host, "/two/invoke", city="Oslo") == {"label": "Oslo in Rome"}
    for base, name in (("/one", "weather"), ("/two", "constants")):
        page = await request(host, "GET", f"{base}/docs", headers={"accept": "text/html"})
        assert page.status == 200
        assert f"{base}/openapi.json" in page.body.decode()
        document = (await get(host, f"{base}/openapi.json")).json()
        assert list(document["tags"]) == [{"name": name}]
        assert document["servers"] == [{"url": base}]
