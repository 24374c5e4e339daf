"""What a person or a script reads: tables on standard output, remarks on standard error.

Results go to standard output and nothing else does, so that ``pipemount … --json | jq`` works.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..errors import PipemountError
from ..types import JsonObject
from .exits import explain
from .schemas import Member

__all__ = [
    "console",
    "made_table",
    "note",
    "plain",
    "print_error",
    "print_json",
    "print_members",
    "print_outputs",
    "print_table",
]

WIDE = 10_000


def console(*, stderr: bool = False) -> Console:
    """A console for standard output or error; what is not a terminal gets no colour and no line breaks."""
    made = Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    if not made.is_terminal:
        made.width = WIDE
    return made


def note(line: str, style: str = "") -> None:
    """One line on standard error."""
    console(stderr=True).print(Text(line, style=style), soft_wrap=True)


def print_json(value: Any) -> None:
    """``value`` as indented JSON on standard output."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_error(error: PipemountError, *, as_json: bool = False) -> None:
    """The error for a person on standard error and, if asked, as JSON on standard output."""
    lines = [plain(line) for line in explain(error)]
    note(f"error: {lines[0]}", "bold red")
    for line in lines[1:]:
        note(line)
    if as_json:
        print_json(_document(error) if error.problem is None else error.problem)


def _document(error: PipemountError) -> JsonObject:
    """The error in the members that a server's problem document has."""
    code = getattr(error, "detail_code", None) or error.code
    said = {"success": False, "outputs": None, "error": str(error)}
    return {
        "title": error.title,
        "status": error.status,
        "detail": str(error),
        "code": code,
        **said,
        **error.extensions,
    }


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Rows under bold heads, on standard output."""
    console().print(made_table(columns, rows))


def made_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Rows under bold heads, without a frame that a script would have to cut away."""
    table = Table(*columns, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for column in table.columns:
        column.overflow = "fold"
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    return table


def print_members(head: str, found: Sequence[Member], *, outputs: bool = False) -> None:
    """Parameters or outputs with their types; columns that would be empty are left out."""
    third = _presence if outputs else _default
    rows = [(m.name, m.type, third(m), m.description) for m in found]
    used = [n for n in range(4) if n < 2 or any(row[n] for row in rows)]
    heads = (head, "type", "given" if outputs else "default", "description")
    if rows:
        print_table([heads[n] for n in used], ([row[n] for n in used] for row in rows))
        console().print()


def _default(member: Member) -> str:
    return "required" if member.required else member.default


def _presence(member: Member) -> str:
    return "" if member.required else "on some paths"


def print_outputs(outputs: JsonObject) -> None:
    """A run's outputs, one per row."""
    print_table(("output", "value"), ((name, cell(value)) for name, value in outputs.items()))


def cell(value: Any) -> str:
    """A JSON value in a table: text as it is, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def plain(text: str) -> str:
    """``text`` without what a terminal would obey: control characters are shown, not sent."""
    return "".join(c if c.isprintable() or c in "\n\t" else json.dumps(c)[1:-1] for c in text)
