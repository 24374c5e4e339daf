"""What each wrong program is told; ``python -m tests.pipelines.explained`` writes ``wrong_programs.txt`` again.

Read what it changed: the file is what the tests hold the messages to.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from pathlib import Path

from tests.pipelines import wrong_programs

from pipemount import CompileError
from pipemount.pipelines.authoring import PipelineDefinition

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


def message(name: str) -> str:
    """What an author reads, with ``{here}`` for the marked line and other lines counted from there."""
    here = marked_line(name)
    text = str(told(name)).replace(f"{wrong_programs.__file__}:{here}: ", "{here}: ")
    return re.sub(r"\(line (\d+)", lambda found: f"(line {int(found[1]) - here:+}", text)


def marked_line(name: str) -> int:
    """The line of a program that is marked as the wrong one."""
    lines, first = inspect.getsourcelines(inspect.unwrap(PROGRAMS[name].function))
    (index,) = (index for index, line in enumerate(lines) if re.search(r"# wrong$", line))
    return first + index


def expected() -> dict[str, str]:
    """The messages by program."""
    entries = re.split(r"\n(?=\S)", FILE.read_text().strip())
    return {name: textwrap.dedent(message).strip() for name, _, message in (e.partition("\n") for e in entries)}


def written() -> str:
    """The file as it ought to be."""
    return "\n".join(f"{name}\n{textwrap.indent(message(name), '    ')}\n" for name in PROGRAMS)


if __name__ == "__main__":
    FILE.write_text(written())
