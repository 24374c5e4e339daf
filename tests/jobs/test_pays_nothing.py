"""An app without durable jobs pays nothing for them: no file, no thread, no import, served or only made."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from pipemount.testing.hosts.process import environment

ENGINES = re.compile(
    r"(_?sqlite3|psycopg|celery|kombu|redis|ray|dask|distributed|taskiq|django"
    r"|pipemount\.(jobs\.(sqlite|postgres)|celery|ray|dask|taskiq|django))(\.|$)"
)

APP = """
import asyncio, threading
from pipemount import PipelineApp, pipeline, step

@step
async def add(a: int) -> int:
    return a + 1

@pipeline
def adding(a: int):
    return add(a)

app = PipelineApp(adding)
assert threading.active_count() == 1
"""

SERVED = """
async def serve():
    async with app.lifespan(None):
        assert (await app.run(a=1)).outputs == {"output": 2}
        before = {thread.name for thread in threading.enumerate()}
        assert not [name for name in before if "jobs" in name], before
        job = await app.submit(a=1)
        assert (await app.jobs.until_ended(job.id, None)).outputs == {"output": 2}
        assert {thread.name for thread in threading.enumerate()} == before

asyncio.run(serve())
"""


def imported(program: str, folder: Path) -> list[str]:
    """What an interpreter imports, with all that is imported when it is needed."""
    command = [sys.executable, "-X", "importtime", "-c", program]
    done = subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    lines = done.stderr.splitlines()
    assert done.returncode == 0, "\n".join(line for line in lines if not line.startswith("import time:"))
    return [line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")]


def test_an_app_that_serves_imports_no_store_and_no_engine(tmp_path: Path) -> None:
    found = imported(APP + SERVED, tmp_path)
    assert "pipemount.http.application" in found
    assert [name for name in found if ENGINES.match(name)] == []
    assert list(tmp_path.iterdir()) == [], "nor does it write anything"


def test_a_store_is_imported_where_an_app_is_started_with_one(tmp_path: Path) -> None:
    arranged = APP.replace("PipelineApp(adding)", "PipelineApp(adding, jobs=Local('sqlite:///jobs.db'))")
    arranged = arranged.replace("import PipelineApp", "import Local, PipelineApp")
    found = imported(arranged + SERVED.replace("== before", ">= before").replace('"jobs" in', '"none" in'), tmp_path)
    assert {name for name in found if ENGINES.match(name)} >= {"sqlite3", "pipemount.jobs.sqlite"}
    assert (tmp_path / "jobs.db").exists()
