"""schemathesis, all checks, against real servers: the app does what its document says, at every mount, for everyone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pytest
from tests.contract.catalogue import KEY, WSGI
from tests.support.servers import Server, serve

pytestmark = pytest.mark.server

WITH_KEY = {"X-API-Key": KEY}
# schemathesis would make up an Authorization header and an X-API-Key for the same request; two credentials are 400.
CONFIGURATION = """
hooks = "tests.contract.hooks"
[generation]
with-security-parameters = false
"""
ALL, FEW = ("weather", "order", "mixed", "limits"), ("weather", "limits")
PHASES = "examples,coverage,fuzzing,stateful"


class Case(NamedTuple):
    host: str
    mount: str
    identity: str  # "open": no keys; "key": one is sent; "no-key": none is sent; "reader": one that may only read
    examples: int
    seed: int = 1
    phases: str = "fuzzing"
    pipelines: tuple[str, ...] = FEW

    def __str__(self) -> str:
        return "-".join((self.host, self.mount, self.identity, str(self.examples)))

    @property
    def env(self) -> dict[str, str]:
        keys = {} if self.identity == "open" else {"LOCKED": "1"}
        return {"HOST": self.host, "MOUNT": self.mount, "PIPELINES": ",".join(self.pipelines)} | keys

    @property
    def document_base(self) -> str:
        """An included router's routes are in the document of the host."""
        return "" if self.host == "included" else self.mount

    @property
    def headers(self) -> dict[str, str]:
        return {"open": {}, "no-key": {}, "key": WITH_KEY, "reader": {"Authorization": f"Bearer {KEY}-reader"}}[
            self.identity
        ]


# What a mount can spoil shows in few requests; what the app takes and answers is looked into where it stands alone.
OFTEN = [
    Case("alone", "", "open", 5, 1, "examples,fuzzing", ALL),
    Case("alone", "", "key", 6, 1, "coverage"),
    Case("alone", "", "open", 6, 2, "stateful"),
    Case("fastapi", "/a/b c", "no-key", 2),
    Case("flask", "/p", "key", 2),
    Case("django-asgi", "/p", "key", 2),
    Case("django-wsgi", "/a/b c", "key", 2),
]
MOUNTS = [
    ("flask", "/a/b c"),
    ("django-asgi", "/a/b c"),
    ("django-wsgi", "/p"),
    ("alone", ""),
    ("starlette", "/p"),
    ("fastapi", "/a/b c"),
    ("included", "/p"),
    ("starlette", "/a/b c"),
]
FULL = [
    Case(host, mount, identity, 100, seed, PHASES, ALL)
    for host, mount in MOUNTS
    for seed, identity in enumerate(("open", "key", "no-key", "reader"), start=2)
]
CASES = [*OFTEN, *(pytest.param(case, marks=[pytest.mark.full, pytest.mark.timeout(900)]) for case in FULL)]


UVICORN = ["uvicorn", "--factory", "tests.contract.catalogue:create", "--port", "{port}", "--log-level", "warning"]
GTHREAD = ["gunicorn", "tests.contract.catalogue:create()", "--bind", "127.0.0.1:{port}", "--threads", "4"]


def serving(case: Case, folder: Path) -> AbstractContextManager[Server]:
    return serve(GTHREAD if case.host in WSGI else UVICORN, folder=folder, env=case.env)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_app_does_what_its_document_says(case: Case, tmp_path: Path) -> None:
    with serving(case, tmp_path) as server:
        base = quote(case.document_base)
        document = server.get(f"{base}/openapi.json", headers=WITH_KEY)
        assert document.status == 200
        operations = sum(map(len, document.json()["paths"].values()))
        (tmp_path / "openapi.json").write_bytes(document.body)
        (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
        done = run_schemathesis(case, server.url + base, tmp_path)
        report = done.stdout + done.stderr

        assert done.returncode == 0, report
        assert "No issues found" in report
        generated = re.search(r"(\d+) generated, (\d+) passed", report)
        assert generated and int(generated[1]) == int(generated[2]) > 30, report
        assert f"Tested: {operations}" in report or case.phases == "stateful"
        assert "an unexpected error" not in server.log
        ran = server.post(f"{quote(case.mount)}/weather/invoke", {"parameters": {}}, WITH_KEY).json()
        executed = ran["metadata"]["run_index"] - 1
        assert executed > 0 if case.identity in ("open", "key") else executed == 0


def run_schemathesis(case: Case, url: str, folder: Path) -> subprocess.CompletedProcess[str]:
    headers = [f"--header={name}:{value}" for name, value in case.headers.items()]
    options = ["--checks=all", "--continue-on-failure", "--no-color", "--mode=all", "--warnings=off"]
    limits = [f"--phases={case.phases}", f"--max-examples={case.examples}", f"--seed={case.seed}"]
    return subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "run", "openapi.json", f"--url={url}", *options, *limits, *headers],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
