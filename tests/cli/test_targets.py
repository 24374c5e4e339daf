"""What ``module:name`` stands for."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipemount.cli.exits import CommandError, ExitCode
from pipemount.cli.targets import is_url, load


def test_the_current_directory_is_searched(project: Path) -> None:
    (project / "inner").mkdir()
    (project / "inner" / "shop.py").write_text("class Holder:\n    value = 3\n")
    assert load("inner.shop:Holder.value") == 3


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nowhere:x", "no module named 'nowhere' in "),
        ("json.nowhere:x", "no module named 'json.nowhere'"),
        ("json:nowhere", "module 'json' has no 'nowhere'; it has json:pipeline"),
        ("json", "'json' names no pipeline; write json:pipeline"),
        ("json:", "'json:' names no pipeline"),
        ("shop.py:weather", "'shop.py' is a file; write 'shop:weather'"),
        ("./inner/shop.py", "is a file; write 'inner.shop:pipeline'"),
        ("--city", "name the pipeline first"),
        ("a b:c", "is not of the form module:pipeline"),
        (":c", "is not of the form module:pipeline"),
        ("http://127.0.0.1:8000", "is an address; this command takes module:pipeline"),
    ],
)
def test_what_names_nothing_is_a_usage_error(project: Path, target: str, message: str) -> None:
    with pytest.raises(CommandError, match=message) as caught:
        load(target)
    assert caught.value.exit == ExitCode.USAGE


def test_the_pipelines_of_a_module_are_suggested(project: Path) -> None:
    (project / "shop.py").write_text(
        "class Pipeline: ...\nclass PipelineApp: ...\nb, a, _c = Pipeline(), PipelineApp(), Pipeline()\n"
    )
    with pytest.raises(CommandError, match=r"write shop:a or shop:b$"):
        load("shop")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1\ny = 1 / 0\n", r"importing 'shop' raised ZeroDivisionError: .*shop\.py:2\)"),
        ("import nowhere_at_all\n", r"importing 'shop' raised ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("x x\n", r"importing 'shop' raised SyntaxError: .*shop\.py, line 1\)"),
    ],
)
def test_a_module_that_raises_is_the_authors_fault(project: Path, source: str, message: str) -> None:
    (project / "shop.py").write_text(source)
    with pytest.raises(CommandError, match=message) as caught:
        load("shop:weather")
    assert caught.value.exit == ExitCode.FAILED


def test_our_own_errors_pass_through_an_import(project: Path) -> None:
    from pipemount.errors import ConfigurationError

    (project / "shop.py").write_text("from pipemount.errors import ConfigurationError as E\nraise E('no key')\n")
    with pytest.raises(ConfigurationError, match="no key"):
        load("shop:weather")


def test_addresses_are_told_from_targets() -> None:
    assert is_url("https://example.org/ai")
    assert not is_url("shop:weather")
