"""The wheel that users install: what is in it, what it says of itself, and that it works on its own."""

from __future__ import annotations

import email.message
import email.parser
import os
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

import pipemount

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGE = [path for path in (ROOT / "src").rglob("*") if path.suffix in {".html", ".py", ".typed"}]
SOURCES = {str(path.relative_to(ROOT / "src")) for path in PACKAGE}

USE_IT = """
import asyncio, pathlib, sys

import pipemount

assert pathlib.Path(pipemount.__file__).is_relative_to(sys.prefix), pipemount.__file__

@pipemount.step
def greet(name: str) -> str:
    return f"Hello {name}"

@pipemount.pipeline
def greeting(name: str) -> str:
    return greet(name)

async def main():
    sent, body = [], b'{"parameters": {"name": "Ada"}}'
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
             "path": "/invoke", "raw_path": b"/invoke", "query_string": b"", "root_path": "", "headers": headers,
             "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80)}
    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}
    async def send(message):
        sent.append(message)
    await pipemount.PipelineApp(greeting)(scope, receive, send)
    print(sent[0]["status"], b"".join(message.get("body", b"") for message in sent).decode())

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    return next(built.glob("*.whl"))


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> email.message.Message:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return email.parser.Parser().parsestr(archive.read(name).decode())


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        licenses = [name for name in archive.namelist() if name.endswith("licenses/LICENSE")]
    assert names == SOURCES
    assert "pipemount/py.typed" in names
    assert len(licenses) == 1


def test_the_source_archive_can_be_built_from(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"src/{name}" for name in SOURCES} <= names
    assert {"LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml"} <= names
    assert not [name for name in names if name.startswith(("tests/", "docs/", "scripts/", "requirements/"))]


def test_the_metadata_says_what_pyproject_says(metadata: email.message.Message) -> None:
    assert metadata["Name"] == PROJECT["name"]
    assert metadata["Version"] == pipemount.__version__
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert set(metadata.get_all("Provides-Extra", [])) == {
        "celery",
        "cli",
        "dask",
        "django",
        "django-tasks",
        "docs",
        "fastapi",
        "flask",
        "fsspec",
        "langgraph",
        "postgres",
        "ray",
        "server",
        "sklearn",
        "taskiq",
        "testing",
    }


def test_every_dependency_has_a_lower_bound_and_the_core_has_few(metadata: email.message.Message) -> None:
    required = metadata.get_all("Requires-Dist", [])
    assert [entry for entry in required if ">=" not in entry] == []
    assert [entry.partition(">")[0] for entry in required if "extra ==" not in entry] == [
        "httpx",
        "itsdangerous",
        "pydantic",
        "starlette",
    ]


def test_the_installed_wheel_answers_a_request(wheel: Path, tmp_path: Path) -> None:
    python = install(wheel, tmp_path / "venv")
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # the wheel, not the sources
    done = subprocess.run(
        [python, "-W", "error", "-c", USE_IT], capture_output=True, text=True, cwd=tmp_path, env=env, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith('200 {"success":true,"outputs":{"output":"Hello Ada"}')


def test_the_installed_wheel_brings_the_command(wheel: Path, tmp_path: Path) -> None:
    python = install(wheel, tmp_path / "venv")
    command = Path(python).with_name("pipemount")
    done = subprocess.run([command, "--help"], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert "serve" in done.stdout


def install(wheel: Path, folder: Path) -> str:
    """A fresh environment with the wheel, which borrows the dependencies of this one but not the checkout."""
    venv.create(folder, with_pip=False)
    python = str(folder / "bin" / "python")
    # A folder added by a .pth file has its own .pth files left unread, among them that of the editable checkout.
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    command = [sys.executable, "-m", "pip", "--python", python, "install", "--no-index", "--no-deps", "--quiet"]
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    subprocess.run([*command, "--ignore-installed", str(wheel)], check=True, env=environment)
    return python
