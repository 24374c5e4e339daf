"""What a type checker sees of the public names; checked, never run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping
from typing import Any, assert_type

import httpx

from pipemount import (
    AuthKeys,
    CompileError,
    PipelineApp,
    PipelineError,
    PipelineMiddleware,
    PipemountError,
    Principal,
    Retry,
    Settings,
    StepContext,
    acting_as,
    compile,
    get_step_context,
    pipeline,
    step,
)
from pipemount.adapters.native import NativePipeline
from pipemount.adapters.protocol import CompiledPipeline
from pipemount.inprocess import Pipeline, RunResult
from pipemount.job_verbs import Calls
from pipemount.jobs.models import Job, Page
from pipemount.pipelines.authoring import Step
from pipemount.pipelines.snapshot import Snapshot
from pipemount.runtime.events import Event
from pipemount.types import ASGIApp, Receive, Scope, Send


@step
def plain(number: int) -> int:
    return number


@step(retry=Retry(attempts=2, on=(OSError,)), timeout=5, public_errors=(ValueError,))
async def patient(number: int, context: StepContext) -> int:
    return number


@pipeline
def bare(number: int) -> Any:
    return plain(number)


@pipeline(on_init=dict, on_cleanup="module:function", on_init_kwargs={"a": 1})
def configured(number: int) -> Any:
    return patient(number)


assert_type(plain, Step)
assert_type(patient, Step)
assert_type(bare, Pipeline)
assert_type(configured, Pipeline)
assert_type(bare.compile(), Snapshot)
assert_type(bare.with_options(name="other"), Pipeline)
assert_type(compile(bare), CompiledPipeline)
assert_type(get_step_context(), StepContext)


async def host(scope: Scope, receive: Receive, send: Send) -> None:
    pipelines = PipelineApp({"bare": bare}, auth=AuthKeys(["key"]), settings=Settings(threads=4))
    assert_type(await pipelines.run("bare", number=1), RunResult)
    assert_type(await bare.run(number=1), RunResult)
    assert_type(pipelines.wrap(pipelines, "/ai"), PipelineMiddleware)
    assert_type(pipelines.stream("bare", number=1), AsyncGenerator[Event, None])
    assert_type(pipelines.client(root_path="/ai"), httpx.AsyncClient)
    served: ASGIApp = pipelines
    await served(scope, receive, send)


def view(pipelines: PipelineApp) -> None:
    assert_type(pipelines.run_sync("bare", number=1), RunResult)
    assert_type(pipelines.stream_sync("bare", number=1), Generator[Event, None, None])
    assert_type(pipelines.submit_sync("bare", number=1), Job)
    assert_type(pipelines.list_sync("failed", pipeline="bare"), Page)
    assert_type(pipelines.events_sync("a job", after=3), Generator[Event, None, None])
    pipelines.list_sync("fail")  # type: ignore[arg-type]  # no status
    assert_type(pipelines.calling(timeout=5, principal="ada", run_name="x"), Calls)
    assert_type(pipelines.calling().run_sync("bare"), RunResult)
    assert_type(pipelines.client_sync(), httpx.Client)
    with pipelines.override(plain=lambda number: number, state=None), acting_as("ada") as principal:
        assert_type(principal, Principal | None)
    with pipelines.override({plain: lambda number: number, "bare/plain": int}):
        pass
    pipelines.users.append(lambda: None)
    pipelines.calling(seconds=5)  # type: ignore[call-arg]  # terms have names


def failures(error: CompileError | PipelineError) -> Mapping[str, Any]:
    root: PipemountError = error
    return root.extensions


def adapters(native: NativePipeline) -> CompiledPipeline:
    return native


Settings(10)  # type: ignore[call-arg]  # settings are given by name
Retry(attempts="three")  # type: ignore[arg-type]  # a number of attempts
