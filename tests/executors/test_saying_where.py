"""A step or a map says where it runs: as an option like others, which changes nothing of what the pipeline is."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.executors import sent

import pipemount
from pipemount import pipeline, step
from pipemount.cli.descriptions import print_summary
from pipemount.dask import Dask
from pipemount.errors import ConfigurationError, ExecutorUnavailableError
from pipemount.inprocess import run_compiled
from pipemount.pipelines.executors import StepExecutor
from pipemount.ray import Ray
from pipemount.testing.hosts.process import environment

ANYTHING: Any = "dask"
NUMBER: Any = 5
NOWHERE = Dask("tcp://127.0.0.1:1", timeout=0.1)


@step
def plain(number: int) -> int:
    return number


@pipeline
def here(numbers: list[int]) -> Any:
    return plain.map(numbers)


@pipeline
def there(numbers: list[int]) -> Any:
    return plain.map(numbers, executor=Ray(num_cpus=2, resources={"licence": 1}))


def test_an_executor_is_an_option_of_a_step_and_of_a_map() -> None:
    one = step(executor=Ray(num_cpus=2))(plain.function)
    assert one.spec.executor == Ray(num_cpus=2)
    assert plain.spec.executor is None
    assert plain.with_options(executor=NOWHERE).spec.executor is NOWHERE
    assert one.with_options(executor=None).spec.executor is None
    assert there.compile().nodes[0].step.executor == Ray(num_cpus=2, resources={"licence": 1})
    assert step(executor=Ray)(plain.function).spec.executor == Ray()
    assert one(3) == 3
    assert plain.map([1, 2], executor=NOWHERE) == [1, 2], "outside of a body it is a plain call"


def test_a_parameter_of_that_name_is_the_steps_own() -> None:
    @step
    def with_own(number: int, executor: str) -> str:
        return executor * number

    assert with_own.map([1, 2], executor=["a", "b"]) == ["a", "bb"]


def test_where_a_step_runs_does_not_change_what_it_is() -> None:
    moved = there.with_options(name="here").compile()
    assert moved.nodes[0].step.version == here.compile().nodes[0].step.version
    assert moved.fingerprint == here.compile().fingerprint


def test_two_places_for_one_call_on_two_paths_are_two_calls() -> None:
    @pipeline
    def either(numbers: list[int], far: bool = False) -> Any:
        if far:
            return plain.map(numbers, executor=Ray())
        return plain.map(numbers)

    assert {node.step.executor for node in either.compile().nodes} == {None, Ray()}


def test_it_is_shown_where_the_steps_options_are(capsys: pytest.CaptureFixture[str]) -> None:
    (node,) = pipemount.compile(there).graph.nodes
    assert node.settings["executor"] == {"engine": "ray", "num_cpus": 2, "resources": {"licence": 1}}
    with TestClient(pipemount.PipelineApp(there)) as client:
        told = client.get("/info").json()
    assert told["graph"]["nodes"][0]["settings"]["executor"]["engine"] == "ray"
    print_summary(told)
    assert "on ray" in capsys.readouterr().out
    (node,) = pipemount.compile(here).graph.nodes
    assert "executor" not in node.settings


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: step(executor=ANYTHING)(plain.function), "give an executor"),
        (lambda: step(executor=Ray(), affinity="request")(plain.function), "choose one"),
        (lambda: plain.with_options(affinity="request").with_options(executor=Ray()), "choose one"),
        (lambda: Ray(num_cpus=-1), "not negative"),
        (lambda: Ray(num_cpus=ANYTHING), "are numbers"),
        (lambda: Ray(memory=0), "of memory more than none"),
        (lambda: Ray(resources={"x": 0}), "above 0"),
        (lambda: Ray(grace=-1), "0 or more"),
        (lambda: Dask(workers=ANYTHING), "write a tuple"),
        (lambda: Dask(timeout=0), "above 0"),
        (lambda: Dask(resources={"x": -1}), "above 0"),
        (lambda: Ray(resources=ANYTHING), "give a mapping"),
        (lambda: Ray(runtime_env=ANYTHING), "give a mapping"),
        (lambda: Ray(grace=ANYTHING), "0 or more"),
        (lambda: Ray(address=NUMBER), "'auto', 'host:6379'"),
        (lambda: Dask(NUMBER), "tcp://host:8786"),
        (lambda: Dask(resources=ANYTHING), "give a mapping"),
        (lambda: Dask(priority=ANYTHING), "a whole number"),
        (lambda: Dask(timeout=ANYTHING), "above 0"),
    ],
)
def test_what_cannot_be_is_refused_where_it_is_written(wrong: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        wrong()


def test_ray_and_dask_are_executors_that_can_be_compared() -> None:
    assert isinstance(Ray(), StepExecutor)
    assert isinstance(Dask(), StepExecutor)
    assert Ray(resources={"a": 1}) != Ray(resources={"a": 2})
    assert hash(Ray(resources={"a": 1})) == hash(Ray(resources={"a": 1}))
    assert Dask("tcp://a:1", workers=("w",), priority=3).settings == {"workers": ["w"], "priority": 3}
    assert Ray(runtime_env={"working_dir": "."}, num_gpus=1).demands == {
        "num_cpus": 1,
        "num_gpus": 1,
        "runtime_env": {"working_dir": "."},
    }


async def test_what_a_test_puts_in_its_place_runs_where_the_test_is() -> None:
    @pipeline
    def far(numbers: list[int]) -> Any:
        return plain.map(numbers, executor=NOWHERE)

    app = pipemount.PipelineApp(far)
    with app.override(plain=lambda number: number + 1):
        assert (await app.run("far", numbers=[1, 2])).value == [2, 3]
    await app.lifecycle.aclose()


async def test_an_engine_that_is_not_there_is_a_503_that_names_the_way_out() -> None:
    pytest.importorskip("distributed", reason="needs Dask")

    @pipeline
    def far(numbers: list[int]) -> Any:
        return plain.map(numbers, executor=NOWHERE)

    with pytest.raises(ExecutorUnavailableError, match="dask, cannot be reached; start its") as failed:
        await run_compiled(pipemount.compile(far), {"numbers": [1]})
    assert (failed.value.status, failed.value.step, failed.value.headers) == (503, "plain", {"retry-after": "5"})


@pytest.mark.timeout(60)
async def test_a_scheduler_that_says_nothing_is_one_that_is_not_there() -> None:
    pytest.importorskip("distributed", reason="needs Dask")
    said_nothing = asyncio.Event()

    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await said_nothing.wait()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        place = Dask(f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}", timeout=0.5)

        @pipeline
        def far(numbers: list[int]) -> Any:
            return plain.map(numbers, executor=place)

        with pytest.raises(ExecutorUnavailableError, match="dask, cannot be reached"):
            await run_compiled(pipemount.compile(far), {"numbers": [1]})
        said_nothing.set()


RAY_NOWHERE = """
import asyncio, os, sys
import pipemount
from pipemount import pipeline, step
from pipemount.errors import ExecutorUnavailableError
from pipemount.inprocess import run_compiled
from pipemount.ray import Ray, process

process.PATIENCE = 1.0

@step(executor=Ray(address="127.0.0.1:1"))
def far(number: int) -> int:
    return number

@pipeline
def farther(number: int):
    return far(number)

for _ in range(2):
    try:
        asyncio.run(run_compiled(pipemount.compile(farther), {"number": 1}))
    except ExecutorUnavailableError as error:
        print(error, flush=True)
os._exit(0)  # Ray tries on
"""


@pytest.mark.full
def test_a_ray_cluster_that_is_not_there_is_a_503_in_a_minute() -> None:
    pytest.importorskip("ray", reason="needs Ray")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RAY_NOWHERE],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=100,
        check=False,
    )
    assert done.stdout.count("ray, cannot be reached; start it with") == 2, done.stderr


def test_saying_where_imports_no_engine() -> None:
    program = """
import sys
from pipemount import PipelineApp, pipeline, step
from pipemount.dask import Dask
from pipemount.ray import Ray
@step(executor=Ray)
def one(number: int) -> int: return number
@step(executor=Dask("tcp://127.0.0.1:1"))
def two(number: int) -> int: return number
@pipeline
def both(number: int): return two(one(number))
PipelineApp(both)
print([name for name in ("ray", "dask", "distributed", "cloudpickle") if name in sys.modules])
"""
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment()
    )
    assert found.stdout.strip() == "[]"


def test_a_step_is_sent_by_its_name_where_it_has_one() -> None:
    from pipemount.pipelines.portable import Named, found, portable

    named = portable(sent.square.function)
    assert named == Named("tests.executors.sent", "square")
    assert found(named) is sent.square.function
    local = sent.closure(1).function
    assert portable(local) is local
    assert found(local) is local
    with pytest.raises(AttributeError, match="no function 'gone'"):
        found(Named("tests.executors.sent", "gone"))
