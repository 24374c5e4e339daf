"""The app that web processes serve in tests: a map whose items run on an engine, as a run and as a durable job."""

from __future__ import annotations

import os
from typing import Any

from tests.executors.sent import gated

from pipemount import Local, PipelineApp, pipeline, unmapped
from pipemount.dask import Dask
from pipemount.pipelines.executors import StepExecutor
from pipemount.ray import Ray

FOLDER = os.environ["SERVED_FOLDER"]
SCHEDULER = os.environ.get("SERVED_SCHEDULER")
EXECUTOR: StepExecutor = Dask(SCHEDULER, timeout=2) if SCHEDULER else Ray()


@pipeline
def mapping(folder: str, numbers: list[int], first: int = 0) -> Any:
    return gated.map(unmapped(folder), numbers, unmapped(first), max_concurrency=2, executor=EXECUTOR)


pipelines = PipelineApp(mapping, jobs=Local(f"sqlite:///{FOLDER}/jobs.db"))
