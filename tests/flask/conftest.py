"""A Flask application with pipelines in it, and the end of what the test started."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

from pipemount import PipelineApp, StepContext, pipeline, step

Make = Callable[..., PipelineApp]


@step
def who(context: StepContext) -> str:
    principal = context.principal
    return f"{principal.source}:{principal.name}" if principal else "nobody"


@pipeline
def caller() -> Any:
    return who()


@pytest.fixture
def make() -> Iterator[Make]:
    """``PipelineApp``, stopped after the test."""
    made: list[PipelineApp] = []

    def make(*args: Any, **options: Any) -> PipelineApp:
        made.append(PipelineApp(*args, **options))
        return made[-1]

    yield make
    for pipelines in made:
        pipelines.lifecycle.close()


@pytest.fixture
def app() -> Flask:
    """A host with sessions."""
    host = Flask("shop")
    host.config.update(SECRET_KEY="not much of a secret", TESTING=True)
    return host


@pytest.fixture
def pipelines(make: Make) -> PipelineApp:
    """One pipeline, which answers who called it."""
    return make(caller)
