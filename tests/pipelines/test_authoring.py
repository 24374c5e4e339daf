"""Options of steps and pipelines, and what a step says of itself."""

from __future__ import annotations

from typing import Any

import pytest

from pipemount.errors import ConfigurationError
from pipemount.pipelines.authoring import PipelineDefinition, Step, step
from pipemount.pipelines.specs import Hook, Hooks, Retry


class Context:
    __pipemount_context__ = True


def body(text: str):  # type: ignore[no-untyped-def]
    """A body."""
    return double(text)


def ended(outputs: Any) -> None:
    """A hook."""


@step(
    name="twice",
    retry=Retry(attempts=2, on=(OSError,)),
    timeout=3,
    on_start="hooks:start",
    on_end=ended,
    public_errors=ValueError,
    error_statuses={KeyError: 404},
)
def double(text: str, context: Context | None = None) -> str:
    """Doubles."""
    return 2 * text


def test_a_step_is_still_its_function() -> None:
    assert double("a") == "aa"
    assert (double.__name__, double.__doc__, repr(double)) == ("double", "Doubles.", "<step twice>")


def test_a_step_as_data() -> None:
    spec = double.spec
    assert (spec.name, spec.kind, spec.generator, spec.timeout, spec.doc) == ("twice", "thread", False, 3, "Doubles.")
    assert spec.retry == Retry(attempts=2, on=(OSError,))
    assert spec.hooks == Hooks(on_start=Hook("hooks:start"), on_end=Hook(ended))
    assert spec.public_errors == (ValueError,)
    assert spec.error_statuses == {KeyError: 404}
    assert [parameter.name for parameter in spec.parameters] == ["text"]
    assert spec.context_parameter == "context"
    assert len(spec.version) == 64
    assert double.spec is spec


def test_with_options_copies() -> None:
    other = double.with_options(name="other", retry=None, timeout=None)
    assert (other.spec.name, other.spec.retry, other.spec.timeout) == ("other", None, None)
    assert (double.spec.name, double.spec.timeout) == ("twice", 3)
    assert other.spec.hooks == double.spec.hooks
    assert other.spec.version == double.spec.version


@pytest.mark.parametrize(
    "options",
    [
        {"attempts": 0},
        {"attempts": 1.5},
        {"delay": -1},
        {"backoff": 0},
        {"max_delay": -1},
        {"jitter": 2},
        {"on": ValueError},
        {"on": ("ValueError",)},
        {"on": (int,)},
    ],
)
def test_retries_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        Retry(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"name": "a/b"},
        {"name": "a\n"},
        {"retry": 3},
        {"timeout": 0},
        {"on_start": "no colon"},
        {"on_start": 3},
        {"public_errors": "ValueError"},
        {"public_errors": (int,)},
        {"error_statuses": {ValueError: 200}},
        {"error_statuses": {"ValueError": 404}},
    ],
)
def test_step_options_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        step(**options)(body)


@pytest.mark.parametrize("thing", [3, int])
def test_what_is_no_step(thing: Any) -> None:
    with pytest.raises(ConfigurationError, match="takes a function"):
        Step(thing)


def test_what_is_no_pipeline() -> None:
    with pytest.raises(ConfigurationError, match="takes a function"):
        PipelineDefinition(double)


def test_hooks_of_a_pipeline() -> None:
    definition = PipelineDefinition(body, on_init="hooks:init", on_init_kwargs={"path": "x"}, on_cleanup=print)
    assert definition.hooks == Hooks(on_init=Hook("hooks:init", {"path": "x"}), on_cleanup=Hook(print))
    assert (definition.name, definition.doc, repr(definition)) == ("body", "A body.", "<pipeline body>")


def test_pipeline_options_that_cannot_be() -> None:
    with pytest.raises(ConfigurationError, match="on_init_kwargs is given without on_init"):
        PipelineDefinition(body, on_init_kwargs={"a": 1})
    with pytest.raises(ConfigurationError, match="module:function"):
        PipelineDefinition(body, on_end="module")
    with pytest.raises(ConfigurationError, match="knows no on_fire, retry"):
        PipelineDefinition(body).with_options(on_fire=print, retry=None)


def test_with_options_copies_a_pipeline() -> None:
    definition = PipelineDefinition(body, on_init="hooks:init", on_init_kwargs={"a": 1}, on_end=print)
    first = definition.compile()
    other = definition.with_options(name="other", on_init_kwargs={"a": 2}, on_end=None)
    assert other.compile().name == "other"
    assert other.hooks == Hooks(on_init=Hook("hooks:init", {"a": 2}))
    assert definition.with_options(on_init="hooks:two").hooks.on_init == Hook("hooks:two")
    assert definition.hooks.on_end == Hook(print)
    assert definition.compile() is first
    assert type(other) is PipelineDefinition


def test_a_pipeline_that_is_inlined_must_not_lose_its_state() -> None:
    inner = PipelineDefinition(body, on_init="hooks:init", name="inner")

    def outer(text: str):  # type: ignore[no-untyped-def]
        return inner(text)

    from pipemount.errors import CompileError

    with pytest.raises(CompileError, match="on_init") as caught:
        PipelineDefinition(outer).compile()
    assert caught.value.detail_code == "inlined-on-init"
    assert PipelineDefinition(outer, on_init="hooks:init").compile().nodes[0].id == "inner/twice"
