"""The app that web processes serve in tests: a map of items that compute, on an engine, as a durable job."""

from __future__ import annotations

from typing import Any

from tests.executors.sent import crunched
from tests.executors.served import EXECUTOR, FOLDER

from pipemount import Local, PipelineApp, pipeline, unmapped


@pipeline
def computing(numbers: list[int]) -> Any:
    return crunched.map(unmapped(FOLDER), numbers, executor=EXECUTOR)


pipelines = PipelineApp(computing, jobs=Local(f"sqlite:///{FOLDER}/jobs.db"))
