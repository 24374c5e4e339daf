"""What can be served: found without importing anything, by adapters that are really installed."""

from __future__ import annotations

import functools
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from pipemount import compile as compile_pipeline
from pipemount import pipeline, step
from pipemount.adapters.native import NativePipeline
from pipemount.adapters.registry import BUILT_IN, GROUP
from pipemount.errors import CompileError, ConfigurationError
from pipemount.inprocess import run_compiled

ADAPTER = """
from typing_extensions import TypedDict
from pydantic import BaseModel, TypeAdapter
from pipemount.adapters.protocol import GraphView, PipelineInfo, Result
from pipemount.pipelines.schema import Schema


class Inputs(BaseModel):
    x: int


class Outputs(TypedDict):
    y: int


class Adapted:
    info = PipelineInfo("adapted", "soup", "1.0", "0" * 64)
    graph = GraphView((), (), "opaque")
    input = Schema(Inputs, TypeAdapter(Inputs))
    output = Schema(Outputs, TypeAdapter(Outputs), "serialization")
    capabilities = frozenset()

    def __init__(self, thing):
        self.factor = thing.factor

    async def start(self, resources):
        return self.factor

    async def stop(self, state):
        pass

    async def stream(self, call):
        yield Result({"y": call.state * call.inputs.x})


def adapt_nearer(thing):
    adapted = Adapted(thing)
    adapted.factor = 100
    return adapted
"""
LIBRARY = """
class Soup:
    factor = 3

class Stew(Soup):
    pass

class Salad:
    factor = 1
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package as an installer leaves it: modules, and a ``.dist-info`` folder that names the entry points."""
    (tmp_path / "soup_kitchen.py").write_text(LIBRARY)
    (tmp_path / "soup_adapter.py").write_text(ADAPTER)
    info = tmp_path / "soup_adapter-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: soup-adapter\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[pipemount.adapters]\nsoup_kitchen = soup_adapter:Adapted\nsoup_kitchen.Stew = soup_adapter:adapt_nearer\n"
        "broken_kitchen = no_such_module:adapt\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in ("soup_kitchen", "soup_adapter"):
        sys.modules.pop(name, None)


async def test_an_installed_adapter_is_found_by_the_library_of_the_class(installed: Path) -> None:
    from soup_kitchen import Soup  # type: ignore[import-not-found]  # written by the fixture

    assert "soup_adapter" not in sys.modules
    compiled = compile_pipeline(Soup())
    assert (compiled.info.framework, compiled.graph.fidelity) == ("soup", "opaque")
    assert (await run_compiled(compiled, {"x": 2})).value == {"y": 6}


async def test_the_nearest_class_that_an_adapter_names_decides(installed: Path) -> None:
    from soup_kitchen import Stew

    assert (await run_compiled(compile_pipeline(Stew()), {"x": 2})).value == {"y": 200}


async def test_a_subclass_of_the_teams_own_is_known_by_its_base(installed: Path) -> None:
    from soup_kitchen import Soup

    class Own(Soup):  # type: ignore[misc]  # its base is Any
        factor = 5

    assert (await run_compiled(compile_pipeline(Own()), {"x": 2})).value == {"y": 10}


def test_an_adapter_that_cannot_be_loaded_is_explained(installed: Path) -> None:
    broken = type("Pot", (), {"__module__": "broken_kitchen.pots"})

    with pytest.raises(ConfigurationError, match=r"'broken_kitchen' \(no_such_module:adapt\) cannot be loaded"):
        compile_pipeline(broken())


def test_what_nothing_knows_is_refused_with_the_adapters_that_there_are(installed: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"builtins\.int cannot .* \(broken_kitchen, .*sklearn, soup_kitchen, soup_"
    ):
        compile_pipeline(3)


@pytest.mark.parametrize("thing", [3, "text", functools.partial(int, base=2), object()])
def test_a_refusal_names_the_adapters_that_we_bring(thing: Any) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(f"has an adapter ({', '.join(sorted(BUILT_IN))})")):
        compile_pipeline(thing)


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_adapters_that_we_bring_can_be_loaded_and_are_entry_points_too(name: str) -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["entry-points"][GROUP] == BUILT_IN
    assert callable(EntryPoint(name, BUILT_IN[name], GROUP).load())


# ------------------------------------------------------------------------------------ our own kinds


@step
def double(x: int) -> int:
    return 2 * x


@pipeline
def doubled(x: int) -> Any:
    return double(x)


async def awaited(x: int) -> int:
    return 2 * x


def generated(x: int) -> Iterator[int]:
    yield x
    yield x


async def generated_async(x: int) -> Any:
    yield x
    yield x


@pytest.mark.parametrize(
    ("thing", "output"),
    [(doubled, 4), (double, 4), (awaited, 4), (lambda x: x, 2), (generated, [2, 2]), (generated_async, [2, 2])],
)
async def test_pipelines_steps_and_plain_functions_come_through_the_same_seam(thing: Any, output: Any) -> None:
    compiled = compile_pipeline(thing)
    assert (await run_compiled(compiled, {"x": 2})).outputs == {"output": output}


def test_two_apps_that_are_given_one_compiled_pipeline_share_nothing() -> None:
    compiled = compile_pipeline(doubled)
    other = compile_pipeline(compiled)
    assert isinstance(compiled, NativePipeline)
    assert isinstance(other, NativePipeline)
    assert other is not compiled
    assert other.snapshot is compiled.snapshot


def named(thing: Any, **options: Any) -> str:
    return compile_pipeline(thing, name="other", **options).info.name


def test_pipelines_steps_and_functions_take_another_name_and_their_hooks() -> None:
    assert [named(doubled), named(double), named(awaited), named(doubled, on_init=int)] == ["other"] * 4
    assert doubled.name == "doubled"
    with pytest.raises(ConfigurationError, match="knows no colour"):
        compile_pipeline(doubled, colour="red")


def test_what_is_compiled_takes_no_further_options() -> None:
    with pytest.raises(ConfigurationError, match="'doubled' is compiled already; say name where it is compiled first"):
        named(compile_pipeline(doubled))


def test_a_function_with_open_parameters_cannot_be_served() -> None:
    def anything(*args: int) -> int:
        return sum(args)

    with pytest.raises(CompileError, match="Name each parameter"):
        compile_pipeline(anything)
