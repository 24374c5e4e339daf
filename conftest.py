"""Executes the code blocks of README.md and docs/, and the examples of docstrings, as tests.

The ``python`` blocks of a page share one namespace and run in a folder of the page's own. A block with a title,
```` ```python title="weather.py" ````, is written to that folder as well, so that later blocks can import it and the
``console`` blocks can name it. A ``console`` block runs each line behind ``$``; what the block shows of the output
must be there, ``...`` standing for anything. A block that cannot be executed says why:
``<!-- skip: next "the reason" -->``.
"""

from __future__ import annotations

import doctest
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sybil import Document, Example, Region, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import SkipParser
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer
from sybil.parsers.rest import DocTestParser

# The pages use it as their readers do. That of the oldest releases warns where it is imported first: here, not there.
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import starlette.testclient  # noqa: F401

# A shell that starts the tests in the background has them ignore Ctrl-C, and they hand that on to the programs that
# they start: tests of what Ctrl-C does would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

INFO = re.compile(r'(?P<language>\w+)(?: title="(?P<title>[^"]+)")?[^\n]*$\n', re.MULTILINE)
RUN_PYTHON = PythonEvaluator()


def parse_blocks(document: Document) -> Iterable[Region]:
    """Every fenced block in a language that is executed."""
    for region in RawFencedCodeBlockLexer(INFO)(document):
        evaluate = {"python": run_python, "json": check_json, "console": run_console}.get(region.lexemes["language"])
        if evaluate is None and region.lexemes["language"] in {"bash", "sh", "shell", "py"}:
            raise ValueError(f"{document.path}: call this block 'python' or 'console', so that it is executed")
        if evaluate is not None:
            region.parsed, region.evaluator = region.lexemes["source"], evaluate
            yield region


def run_python(example: Example) -> str | None:
    """Runs a block in the page's namespace; one with a title becomes a file as well. The answer is what it raised."""
    title = example.region.lexemes["title"]
    if title:
        Path(title).write_text(example.parsed)
    try:
        RUN_PYTHON(example)
    except Exception:
        return traceback.format_exc()
    return None


def check_json(example: Example) -> None:
    """A ``json`` block is JSON."""
    json.loads(example.parsed)


def run_console(example: Example) -> str | None:
    """Runs the commands of a block; the answer is what differs from what the page shows."""
    for command, expected in split_console(example.parsed):
        done = subprocess.run(
            ["bash", "-c", command], capture_output=True, text=True, timeout=60, env=console_environment(), check=False
        )
        printed = done.stdout + done.stderr
        if done.returncode:
            return f"$ {command}\nended with status {done.returncode}:\n{printed}"
        if expected.strip() and not doctest.OutputChecker().check_output(expected, printed, doctest.ELLIPSIS):
            return f"$ {command}\nexpected:\n{expected}\ngot:\n{printed}"
    return None


def split_console(block: str) -> Iterable[tuple[str, str]]:
    """The commands of a block, each with the output that the block shows."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, expected = part.replace("\\\n", "").partition("\n")
        yield command, expected


def console_environment() -> dict[str, str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path, "PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "120", "NO_COLOR": "1"}


def enter_folder(namespace: dict[str, Any]) -> None:
    """Gives a page a folder of its own, from which its blocks can import."""
    folder = tempfile.TemporaryDirectory()
    namespace.update({"__name__": "page", "_page": (folder, Path.cwd(), set(sys.modules), dict(os.environ))})
    os.chdir(folder.name)
    sys.path.insert(0, folder.name)


def leave_folder(namespace: dict[str, Any]) -> None:
    """Leaves nothing of a page to what is tested after it: no module, no variable of the environment."""
    folder, before, modules, environment = namespace["_page"]
    os.chdir(before)
    os.environ.clear()
    os.environ.update(environment)
    sys.path.remove(folder.name)
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(folder.name):
            del sys.modules[name]
    folder.cleanup()


pages = Sybil(
    parsers=[parse_blocks, SkipParser()],
    patterns=["README.md", "docs/*.md", "docs/**/*.md"],
    setup=enter_folder,
    teardown=leave_folder,
    name="page",
)
docstrings = Sybil(
    parsers=[DocTestParser(optionflags=doctest.ELLIPSIS)], patterns=["src/pipemount/**/*.py", "src/pipemount/*.py"]
)

pytest_collect_file = (pages + docstrings).pytest()
