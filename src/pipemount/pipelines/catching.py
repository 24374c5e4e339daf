"""``try … except`` around a step call: the body runs once, at compile, where no step raises, and nothing is caught."""

from __future__ import annotations

import dis
import functools
from types import CodeType, FrameType

from .places import is_library

__all__ = ["catches"]


def catches(root: FrameType | None, frame: FrameType | None) -> bool:
    """Whether an author's function on the way from ``root`` to ``frame`` would catch what is raised here."""
    while frame is not None and frame is not root:
        code = frame.f_code
        if code.co_exceptiontable and not is_library(code.co_filename) and _caught(code, frame.f_lasti):
            return True
        frame = frame.f_back
    return False


@functools.lru_cache(maxsize=256)
def _caught(code: CodeType, position: int) -> bool:
    entries = dis.Bytecode(code).exception_entries  # type: ignore[attr-defined]  # typeshed does not know it
    seen: set[int] = set()
    waiting = [position]
    while waiting:  # what a `with` or a `finally` lets through goes on to the next handler around it
        position = waiting.pop()
        targets = {entry.target for entry in entries if entry.start <= position < entry.end} - seen
        if any(_is_except(code, target) for target in targets):
            return True
        seen |= targets
        waiting += targets
    return False


def _is_except(code: CodeType, target: int) -> bool:
    """Whether a handler is an ``except``, which looks at the exception or drops it; no ``finally``, no ``with``."""
    begun = False
    for instruction in dis.get_instructions(code):
        if instruction.offset < target:
            continue
        name = instruction.opname
        if name.startswith("CHECK_E") or (begun and name == "POP_TOP"):
            return True
        if name != "PUSH_EXC_INFO" and not name.startswith(("LOAD_", "BUILD_", "NOP", "CACHE", "COPY", "SWAP")):
            return False
        begun = name == "PUSH_EXC_INFO"
    return False
