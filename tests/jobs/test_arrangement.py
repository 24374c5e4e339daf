"""Where jobs are kept, as an app's author says it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipemount import Local, PipelineApp, Settings, pipeline, step
from pipemount.errors import ConfigurationError
from pipemount.jobs.alone import find_target
from pipemount.jobs.sqlite import SQLiteStore
from pipemount.testing.hosts.process import environment


@step
def echo(a: int) -> int:
    return a


@pipeline
def echoing(a: int) -> Any:
    return echo(a)


APP = PipelineApp(echoing)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///jobs.db", "jobs.db"),
        ("sqlite:///var/jobs.db", "var/jobs.db"),
        ("sqlite:////var/lib/a%20b.db", "/var/lib/a b.db"),
    ],
)
def test_a_file_is_named_as_others_name_it(url: str, path: str) -> None:
    store = Local(url).make_store(Settings())
    assert isinstance(store, SQLiteStore)
    assert store.path == Path(path).absolute()


@pytest.mark.parametrize(
    "options",
    [
        {"url": "jobs.db"},
        {"url": "sqlite://"},
        {"url": "sqlite:jobs.db"},
        {"url": "sqlite:/var/lib/jobs.db"},
        {"url": Path("jobs.db")},
        {"url": None},
        {"url": "sqlite:///"},
        {"url": "sqlite://host/jobs.db"},
        {"url": "sqlite:///jobs.db?mode=ro"},
        {"url": "mysql://jobs"},
        {"url": "sqlite:///jobs.db", "runner": "outside"},
        {"url": "sqlite:///jobs.db", "concurrency": 0},
        {"url": "sqlite:///jobs.db", "queues": ("slow",)},
        {"url": "sqlite:///jobs.db", "queues": {"slow": 0}},
        {"url": "sqlite:///jobs.db", "queues": {"": 1}},
        {"url": "sqlite:///jobs.db", "app": "shop"},
        {"url": "sqlite:///jobs.db", "app": 5},
        {"url": "sqlite:///:memory:"},
        *({"url": "sqlite:///jobs.db", "concurrency": wrong} for wrong in ("4", 2.5, True)),
        *({"url": "sqlite:///jobs.db", "queues": {"slow": wrong}} for wrong in ("1", 1.5, True)),
        {"url": "sqlite:///jobs.db", "queues": {5: 1}},
        {"url": "sqlite:///jobs.db", "values": 5},
        {"url": "sqlite:///jobs%00.db"},
    ],
)
def test_what_cannot_be_arranged(options: Any) -> None:
    with pytest.raises(ConfigurationError):
        Local(**options)


def test_a_password_that_no_url_can_hold_is_told_of_and_not_told() -> None:
    with pytest.raises(ConfigurationError, match=r"in a password write \[ as %5B and \] as %5D") as refused:
        Local("postgresql://jobs:sec[ret@db/jobs")
    assert "ret" not in str(refused.value)


@pytest.mark.parametrize("jobs", ["postgresql://jobs:secret@db/jobs", Path("jobs.db"), Local, object()])
def test_what_is_no_arrangement(jobs: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"jobs= was given a \w+; write jobs=Local\('sqlite:///jobs.db'\)"):
        PipelineApp(echoing, jobs=jobs)


def test_a_password_is_not_told() -> None:
    with pytest.raises(ConfigurationError) as raised:
        Local("mysql://jobs:secret@db/jobs")
    assert "secret" not in str(raised.value)
    assert "secret" not in repr(Local("postgresql://jobs:secret@db/jobs"))


def test_an_app_is_found_where_it_is() -> None:
    assert find_target(APP) == f"{__name__}:APP"
    assert find_target(PipelineApp(echoing)) is None


UNARRANGED = """
import sys, threading
from pipemount import PipelineApp, pipeline, step
@step
def echo(a: int) -> int:
    return a
@pipeline
def echoing(a: int):
    return echo(a)
app = PipelineApp(echoing)
found = {"sqlite3", "psycopg", "celery", "kombu", "taskiq", "django_tasks", "pipemount.jobs.sqlite"} & set(sys.modules)
assert not found, found
assert threading.active_count() == 1
"""


def test_an_app_whose_jobs_end_with_it_imports_no_database(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", UNARRANGED], cwd=tmp_path, env=environment(), check=True, timeout=60)
    assert list(tmp_path.iterdir()) == []
