"""What each wrong program is told; ``python -m tests.pipelines.explained`` writes ``wrong_programs.txt`` again.

Read what it changed: the file is what the tests hold the messages to.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from pathlib import Path

from pipemount import CompileError
from pipemount.pipelines.authoring import PipelineDefinition
from tests.pipelines import wrong_programs

FILE = Path(__file__).with_suffix("").with_name("wrong_programs.txt")
PROGRAMS = {
    name: value
    for name, value in vars(wrong_programs).items()
    if isinstance(value, PipelineDefinition) and not name.startswith("_")
}


def told(name: str) -> CompileError:
    """The error of a program. Raises whatever else comes out of it."""
    try:
        PROGRAMS[name].compile()
    except CompileError as error:
        return error
    raise AssertionError(f"{name} compiles")


def marked_line(name: str) -> int:
    """The line of a program that is marked as the wrong one."""
    lines, first = inspect.getsourcelines(inspect.unwrap(PROGRAMS[name].function))
    (index,) = (index for index, line in enumerate(lines) if re.search(r"# wrong$", line))
    return first + index


def expected() -> dict[str, str]:
    """The messages by program; ``{here}`` stands for file and line."""
    entries = re.split(r"\n(?=\S)", FILE.read_text().strip())
    return {name: textwrap.dedent(message).strip() for name, _, message in (e.partition("\n") for e in entries)}


def written() -> str:
    """The file as it ought to be."""
    entries = []
    for name in PROGRAMS:
        error = told(name)
        message = str(error).replace(f"{error.file}:{error.line}", "{here}")
        entries.append(f"{name}\n{textwrap.indent(message, '    ')}\n")
    return "\n".join(entries)


if __name__ == "__main__":
    FILE.write_text(written())
