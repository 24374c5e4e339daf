"""``diff``: what changed between two pipelines, for callers and inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .descriptions import description_of
from .exits import ExitCode
from .options import AsJson, Described, Key
from .printing import console, note, plain, print_json, print_table

if TYPE_CHECKING:
    from ..comparing.difference import Difference

__all__ = ["register"]

VERDICTS = {
    "none": ("nothing changed", "green"),
    "compatible": ("compatible: callers can go on as they do", "green"),
    "breaking": ("breaking: callers have to change", "bold red"),
}
MARKS = {"added": "+", "removed": "-", "changed": "~"}


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(epilog="Example: pipemount diff released.json shop:weather")(diff)


def diff(
    old: Described,
    new: Described = None,
    as_json: AsJson = False,
    key: Key = None,
    new_key: Annotated[str | None, typer.Option("--new-key", help="The key for NEW, if it has another.")] = None,
) -> None:
    """Tell what changed from one pipeline to another; the second may be left out where the first command says which.

    Ends with code 7 if callers of the old one would notice, otherwise with 0.
    """
    from ..comparing.difference import compare

    found = compare(description_of(old, key), description_of(new, new_key or key))
    if as_json:
        print_json(found.as_json())
    else:
        print_difference(found)
    if found.verdict == "breaking":
        raise typer.Exit(ExitCode.BREAKING)


def print_difference(found: Difference) -> None:
    """Tables of what changed, and the verdict as a remark."""
    for head, changes in (("input", found.inputs), ("output", found.outputs)):
        if changes:
            ordered = sorted(changes, key=lambda change: change.effect != "breaking")
            print_table(
                (head, "effect", "change"), [(each.path or "(all)", each.effect, each.text) for each in ordered]
            )
            console().print()
    if found.inside:
        rows = [(f"{MARKS[each.what]} {each.kind}", each.name, each.text) for each in found.inside]
        print_table(("inside", "name", "change"), rows)
        console().print()
    text, style = VERDICTS[found.verdict]
    note(plain(text), style)
