"""The pages keep pace with the code, and need no network."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipemount import errors
from pipemount.pipelines.refusals import REFUSED

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
CLASSES = [value for value in vars(errors).values() if inspect.isclass(value)]
CODES = sorted({value.code for value in CLASSES if issubclass(value, errors.PipemountError)})
KEBAB = re.compile(r"[a-z]+(?:-[a-z]+)+")
FETCHED = re.compile(r"""<(?:script|img|iframe|source|link)\b[^>]*?\b(?:src|href)=["']?(?:https?:)?//""")


@pytest.mark.parametrize("code", CODES)
def test_every_error_has_a_page(code: str) -> None:
    page = DOCS / "errors" / f"{code}.md"
    assert page.is_file(), f"write {page.relative_to(ROOT)}"
    assert f"`{code}`" in page.read_text()


def test_no_error_page_is_left_over() -> None:
    pages = {page.stem for page in (DOCS / "errors").glob("*.md")} - {"index"}
    assert sorted(pages) == CODES


def detail_codes(folder: Path = ROOT / "src") -> Iterator[str]:
    """Every finer code in the sources: ``code="starting"`` anywhere, and what the compiler hands to its errors."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "code":
                yield from texts(node.value)
            elif "pipelines" in path.parts and isinstance(node, ast.Call | ast.Tuple):
                found = node.args if isinstance(node, ast.Call) else node.elts
                yield from (text for argument in found[:1] for text in texts(argument) if KEBAB.fullmatch(text))


def texts(node: ast.expr) -> Iterator[str]:
    """The texts that an expression can be, of its branches too."""
    if isinstance(node, ast.IfExp):
        yield from (*texts(node.body), *texts(node.orelse))
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


def test_every_finer_code_is_explained_on_a_page() -> None:
    pages = "\n".join(page.read_text() for page in (DOCS / "errors").glob("*.md"))
    assert sorted({code for code in detail_codes() if f"`{code}`" not in pages}) == []


def test_every_code_of_the_compiler_has_a_section_that_its_message_can_lead_to() -> None:
    sections = set(re.findall(r"^### `([a-z-]+)`$", (DOCS / "errors" / "compile.md").read_text(), re.MULTILINE))
    assert sorted({refusal.code for refusal in REFUSED.values()} - sections) == []
    assert sorted({code for code in detail_codes(ROOT / "src/pipemount/pipelines") if code not in sections}) == []


def test_the_built_pages_fetch_nothing_from_elsewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {page: page.read_text() for page in tmp_path.rglob("*.html")}
    assert pages
    assert [page.name for page, text in pages.items() if FETCHED.search(text)] == []
