"""Draws the pipelines of this folder again: ``python -m tests.pipelines.examples.draw``."""

from __future__ import annotations

import importlib
from pathlib import Path

from pipemount.drawing.mermaid import to_mermaid
from pipemount.pipelines.viewing import view_of

HERE = Path(__file__).parent


def drawing(name: str) -> str:
    module = importlib.import_module(f"tests.pipelines.examples.{name}")
    return to_mermaid(view_of(getattr(module, name).compile())) + "\n"


def path(name: str) -> Path:
    return HERE / "drawings" / f"{name}.mmd"


if __name__ == "__main__":
    for module in HERE.glob("*.py"):
        if module.stem != "draw":
            path(module.stem).write_text(drawing(module.stem))
