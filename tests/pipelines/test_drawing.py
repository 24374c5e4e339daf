"""Mermaid text of a snapshot."""

from __future__ import annotations

from typing import Any

from pipemount.pipelines.authoring import PipelineDefinition, step
from pipemount.pipelines.drawing import to_mermaid


@step
def use(value: Any) -> str:
    return str(value)


def test_a_drawing() -> None:
    def inner(text: str):  # type: ignore[no-untyped-def]
        return use(text)

    sub = PipelineDefinition(inner, name='sub "quoted" <b>')

    def outer(text: str, other: int = 1):  # type: ignore[no-untyped-def]
        first = sub(text)
        last = use(other, id="last", after=first)
        return {"end": last}

    assert to_mermaid(PipelineDefinition(outer).compile()).splitlines() == [
        "flowchart TD",
        '    inputs(["text, other"])',
        '    step_0["sub #34;quoted#34; #60;b#62;/use"]',
        '    step_1["last: use"]',
        '    outputs(["end"])',
        '    inputs -->|"value"| step_0',
        '    inputs -->|"value"| step_1',
        "    step_0 -.-> step_1",
        '    step_1 -->|"end"| outputs',
    ]


def test_a_drawing_without_inputs_and_outputs() -> None:
    def body():  # type: ignore[no-untyped-def]
        use(1)

    assert to_mermaid(PipelineDefinition(body).compile()) == 'flowchart TD\n    step_0["use"]'
