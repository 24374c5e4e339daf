"""``manage.py pipemount``: the commands on what the URLconf has."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import call_command
from django.urls import include, path
from tests.django.site.pipelines import keyed, pipelines, several

from pipemount.django.mounts import find_mounts, mounted_pipelines


def manage(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    with pytest.raises(SystemExit) as ended:
        call_command("pipemount", *words)
    captured = capsys.readouterr()
    assert (ended.value.code or 0) == code, captured
    return captured.out + captured.err


def test_the_mounts_of_the_project() -> None:
    assert mounted_pipelines() == {"wrapped": pipelines, "several": several, "keyed": keyed}
    assert [mount.path for mount in find_mounts()][:3] == ["wrapped/", "ai/", "several/"]


def test_apps_that_include_tells_apart(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    patterns = [
        path("a/", include(pipelines.django_urls(), namespace="one")),
        path("b/", include(several.django_urls(), namespace="two")),
        path("c/", include(keyed.django_urls(), namespace="two")),
    ]
    monkeypatch.setitem(sys.modules, "told_apart", SimpleNamespace(urlpatterns=patterns))
    settings.ROOT_URLCONF = "told_apart"
    assert mounted_pipelines() == {"one": pipelines, "two": several, "c": keyed}


def test_a_project_without_urls(settings: Any, capsys: pytest.CaptureFixture[str]) -> None:
    settings.ROOT_URLCONF = None
    assert find_mounts() == ()
    del settings.ROOT_URLCONF
    assert "mounted here: nothing" in manage(capsys, "run", code=2)


def test_run(capsys: pytest.CaptureFixture[str]) -> None:
    told: dict[str, Any] = json.loads(manage(capsys, "run", "wrapped.weather", "--city", "Bergen", "--json", "-q"))
    assert list(told["outputs"].values()) == ["The weather in Bergen is 3.0 degrees Celsius."]


@pytest.mark.django_db(transaction=True)
def test_run_with_the_database(capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(manage(capsys, "run", "several.counting", "--json", "-q"))
    assert list(told["outputs"].values()) == [0]


def test_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert "whoami: compiles" in manage(capsys, "check", "several.whoami")
    compiled = json.loads(manage(capsys, "check", "--json"))
    assert len(compiled) == sum(len(app.pipelines) for app in (pipelines, several, keyed))


def test_draw_describe_and_diff(capsys: pytest.CaptureFixture[str]) -> None:
    assert "flowchart" in manage(capsys, "draw", "wrapped.weather")
    assert "temperature" in manage(capsys, "describe", "wrapped.weather")
    assert manage(capsys, "diff", "wrapped.weather", "several.weather")
    assert "counting" in manage(capsys, "diff", "several.counting", "several.weather", code=7)


def test_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert "pm_" in manage(capsys, "keys", "generate")


def test_a_name_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert "several.whoami" in manage(capsys, "run", "nothing", code=2)


def test_without_a_command_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert "draw" in manage(capsys)
    assert "manage.py pipemount run" in manage(capsys, "run", "--help")
    assert "temperature" in manage(capsys, "run", "wrapped.weather", "--help")
