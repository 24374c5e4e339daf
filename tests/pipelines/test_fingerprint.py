"""Fingerprints: the same in every process, another for another pipeline."""

from __future__ import annotations

import os
import subprocess
import sys
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel

import pipemount
from pipemount.pipelines.authoring import PipelineDefinition, Step, step
from pipemount.pipelines.constants import canonical
from pipemount.pipelines.fingerprint import source_version

PROGRAM = """
from pipemount.pipelines.authoring import PipelineDefinition, step

@step
def use(value: object, words: frozenset[str] = frozenset({"x"})) -> str:
    return "a" if value in {"one", "two", "three"} else "b"

def body(text: str = "x", flag: bool = False):
    if text in {"one", "two", "three"} and flag is not True:
        text = use({"five", "six"})
    return use({"one", "two", "three", "four"}), use({"a": [text, frozenset({"p", "q", "r"})]})

print(PipelineDefinition(body).compile().fingerprint)
"""


def ran(program: Path, **environment: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(Path(pipemount.__file__).parent.parent), **environment}
    answer = subprocess.run([sys.executable, program], env=environment, capture_output=True, text=True, check=True)
    return answer.stdout.strip()


def test_the_same_in_every_process(tmp_path: Path) -> None:
    found = set()
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    for seed in map(str, range(10)):
        found.add(ran(program, PYTHONHASHSEED=seed))
    (fingerprint,) = found
    assert len(fingerprint) == 64
    assert set(fingerprint) <= set("0123456789abcdef")


PURE = """
import sys
from dataclasses import dataclass
from pipemount import pipeline, step

@dataclass
class Weather:
    city: str
    temperature: float

@step
def fetch(city: str) -> Weather:
    raise AssertionError("a step ran")

@step
async def alert(weather: Weather) -> str:
    raise AssertionError("a step ran")

@pipeline
def inner(weather: Weather):
    return alert(weather)

@pipeline(on_init="nowhere:nothing")
def weather(city: str, note: str | None = None):
    found = fetch(city)
    if note is not None and found.temperature > 35:
        return {"alert": inner(found), "weather": found}
    return {"weather": found}

told = []
watched = ("open", "socket.", "os.", "subprocess.", "urllib.", "sqlite3.", "shutil.", "tempfile.", "glob.")
def listen(event, arguments):
    if event.startswith(watched):
        told.append((event, arguments))
sys.addaudithook(listen)
snapshot = weather.compile()
found = list(told)
open(__file__).close()
assert len(told) > len(found)  # the hook hears
assert "asyncio" not in sys.modules or not __import__("asyncio").events._get_running_loop()
print(found, len(snapshot.branches))
"""


def test_compiling_opens_no_file_socket_or_loop(tmp_path: Path) -> None:
    program = tmp_path / "pure.py"
    program.write_text(PURE)
    assert ran(program) == "[] 2"


@step
def use(value: Any, style: str = "a") -> str:
    return str(value)


def make(constant: Any = 1, *, name: str | None = None, on_init: Any = None, used: Step = use) -> str:
    def body(text: str = "x"):  # type: ignore[no-untyped-def]
        return used([text, constant])

    return PipelineDefinition(body, name=name, on_init=on_init).compile().fingerprint


def test_another_for_another_pipeline() -> None:
    other = step(lambda value: value).with_options(name="use")
    found = [
        make(),
        make(2),
        make("1"),
        make([1]),
        make(name="other"),
        make(on_init="module:function"),
        make(on_init=use.function),
        make(used=use.with_options(timeout=3)),
        make(used=other),
    ]
    assert len(set(found)) == len(found)
    assert make() == make()


def test_comments_and_lines_are_no_version() -> None:
    names: list[dict[str, Any]] = [{}, {}]
    exec("def f(x):\n    return x + 1", names[0])
    exec("\n\ndef f(x):\n    # adds\n    return x + 1", names[1])
    assert source_version(names[0]["f"]) == source_version(names[1]["f"])


def test_versions_of_bytecode() -> None:
    namespace: dict[str, Any] = {}
    exec("def f(x):\n    def g(y):\n        return y in {'a', 'b'}\n    return g", namespace)
    exec("def h(x):\n    def g(y):\n        return y in {'a', 'c'}\n    return g", namespace)
    assert source_version(namespace["f"]) == source_version(namespace["f"])
    assert source_version(namespace["f"]) != source_version(namespace["h"])
    assert source_version(len) != source_version(print)


def test_canonical_values() -> None:
    class Model(BaseModel):
        tags: set[str]

    class Color(Enum):
        RED = "red"

    assert canonical({"a": {3, 1, 2}}) == [["a", [1, 2, 3]]]
    assert canonical((b"a", Color.RED, None)) == ["YQ==", "red", None]
    assert canonical(Model(tags={"b", "a"})) == ["test_canonical_values.<locals>.Model", [["tags", ["a", "b"]]]]
    assert canonical(object()) == canonical(object()) != canonical(object)
