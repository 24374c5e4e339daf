"""A fitted estimator as a compiled pipeline: its steps walked in one of the app's threads."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Any

import sklearn
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from ...errors import ConfigurationError, RunCancelledError, RunError, StepFailedError
from ...runtime.call import Call
from ...runtime.events import Event
from ...runtime.feed import Feed, reading
from ...runtime.recorder import Recorder
from ...runtime.threads import ThreadPool
from ..protocol import GraphEdge, GraphNode, GraphView, PipelineInfo, Result
from .columns import classes_of
from .identity import fingerprint
from .inputs import Inputs
from .outputs import Outputs

__all__ = ["EstimatorPipeline", "compile_estimator"]


def compile_estimator(
    estimator: Any,
    *,
    name: str | None = None,
    batch: bool = False,
    method: str | None = None,
    columns: Mapping[str, Any] | None = None,
    example: Mapping[str, Any] | None = None,
) -> EstimatorPipeline:
    """What the service can run of a fitted estimator, with types from what it has learnt.

    Args:
        estimator: A ``Pipeline``, ``ColumnTransformer``, ``FeatureUnion``, classifier, regressor, transformer, search.
        name: Of the pipeline; by default that of the last step's class, in small letters.
        batch: Take a list ``rows`` and give a list ``rows``, in place of one row and its answer.
        method: ``"predict"`` or ``"transform"``; the first that the estimator has by default.
        columns: Types of single inputs, where what was learnt does not tell them or you know better.
        example: One row of inputs that the estimator can judge: it is asked once, to learn the types of its answers.

    Raises:
        ConfigurationError: The estimator is not fitted, or cannot judge new rows.
    """
    _check_fitted(estimator)
    model = getattr(estimator, "best_estimator_", estimator)
    steps = _steps(model)
    name = name or type(steps[-1][1]).__name__.lower()
    inputs, outputs = Inputs(model, columns or {}), Outputs(steps[-1][1], method)
    compiled = EstimatorPipeline(name, model, steps, inputs, outputs, batch=batch)
    compiled.learn(inputs.example | dict(example or {}))
    return compiled


def _check_fitted(estimator: Any) -> None:
    kind = type(estimator).__name__
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        raise ConfigurationError(f"{kind} is not fitted yet; call its fit(…) first, or load one that is") from None
    except TypeError:
        raise ConfigurationError(f"{kind} is no estimator that can judge new rows; give one that is fitted") from None


def _steps(model: Any) -> list[tuple[str, Any]]:
    """The steps of a pipeline that do something with new rows, or the one that an estimator is itself."""
    if "Pipeline" not in classes_of(model):
        return [(type(model).__name__.lower(), model)]
    steps = [(name, step) for name, step in model.steps if not _passes(step)]
    if not steps:
        raise ConfigurationError("a pipeline of 'passthrough' alone has no answers; give it a step")
    return steps


def _passes(step: Any) -> bool:
    """Whether a step lets new rows through as they are; samplers work on those that are learnt from only."""
    return step is None or isinstance(step, str) or hasattr(step, "fit_resample")


class EstimatorPipeline:
    """A fitted estimator, behind the seam. Keeps nothing of an app or a run; see ``compile_estimator``."""

    def __init__(
        self, name: str, model: Any, steps: Sequence[tuple[str, Any]], inputs: Inputs, outputs: Outputs, *, batch: bool
    ) -> None:
        self.batch = batch
        self.capabilities = frozenset({"step-events", "cancel:between-steps"} | ({"batch"} if batch else set()))
        names = [step for step, _ in steps]
        self.graph = GraphView(
            tuple(GraphNode(step, type(made).__name__, "thread") for step, made in steps),
            tuple(GraphEdge(source, target) for source, target in zip(["", *names], [*names, ""], strict=True)),
        )
        self.input = inputs.schema(batch=batch)
        self._steps, self._inputs, self._outputs = steps, inputs, outputs
        doc = f"A fitted {type(model).__name__}" + (f" of {', '.join(names)}." if len(names) > 1 else ".")
        digest = fingerprint(sklearn.__version__, model, outputs.method, batch, self.input.json_schema())
        self.info = PipelineInfo(name, "scikit-learn", sklearn.__version__, digest, doc)

    def learn(self, example: Mapping[str, Any]) -> None:
        """Ask once, for the types of the answers."""
        step, place = self._steps[0][0], 0
        try:
            table = self._inputs.make([example])
            while place < len(self._steps) - 1:
                table = self._steps[place][1].transform(table)
                place += 1
                step = self._steps[place][0]
            self._outputs.learn(self._steps[-1][1], table, passes=self._inputs.passes)
        except Exception as error:
            raise ConfigurationError(
                f"step {step!r} cannot judge the row {dict(example)!r} ({type(error).__name__}: {error}); "
                "give one that it can: compile(model, example={…}), or the types: columns={…}"
            ) from error
        self.output = self._outputs.schema(batch=self.batch)

    async def start(self, resources: Mapping[str, Any]) -> ThreadPool:
        """The app's threads are all that runs need."""
        threads: ThreadPool = resources["threads"]
        return threads

    async def stop(self, state: ThreadPool) -> None:
        """Nothing is held."""

    async def run(self, call: Call) -> Mapping[str, Any]:
        """Judge, without a word on the way."""
        return await self._judged(call, None)

    async def stream(self, call: Call) -> AsyncIterator[Event | Result]:
        """Judge, telling each step. Closing the iterator stops after the step that is under way."""
        feed = Feed()
        async with reading(feed, self._judged(call, Recorder(call.run_id, (feed,)))) as run:
            async for event in feed:
                yield event
            yield Result(await run)

    async def run_batch(self, calls: Sequence[Call]) -> Sequence[Mapping[str, Any]]:
        """Judge the rows of all calls at once, which costs an estimator hardly more than judging one."""
        rows = [self._rows(call) for call in calls]
        answers = iter(await self._in_thread(calls, [row for of_one in rows for row in of_one], None))
        return [self._outputs_of([next(answers) for _ in of_one]) for of_one in rows]

    async def _judged(self, call: Call, recorder: Recorder | None) -> Mapping[str, Any]:
        return self._outputs_of(await self._in_thread([call], self._rows(call), recorder))

    def _rows(self, call: Call) -> Sequence[Mapping[str, Any]]:
        rows: Sequence[Mapping[str, Any]] = call.inputs["rows"] if self.batch else [call.inputs]
        return rows

    def _outputs_of(self, answers: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        return {"rows": answers} if self.batch else answers[0]

    async def _in_thread(
        self, calls: Sequence[Call], rows: Sequence[Mapping[str, Any]], recorder: Recorder | None
    ) -> Sequence[Mapping[str, Any]]:
        threads: ThreadPool = calls[0].state
        try:
            return await threads.run(partial(self._judge, calls[0], rows, recorder))
        finally:
            for call in calls:
                call.cancelled = True  # a thread that is still at it works for nobody

    # ------------------------------------------------------------------------------------ in a thread

    def _judge(
        self, call: Call, rows: Sequence[Mapping[str, Any]], recorder: Recorder | None
    ) -> Sequence[Mapping[str, Any]]:
        value: Any = rows
        for place, (step, estimator) in enumerate(self._steps):
            if call.cancelled:
                raise RunCancelledError("the run was cancelled before this step", step=step)
            began = _tell_started(recorder, step)
            try:
                value = self._inputs.make(value) if place == 0 and rows else value
                value = self._do(place, estimator, value) if rows else []
            except Exception as error:
                raise _failed(recorder, step, error) from error
            _tell_completed(recorder, step, began)
        answers: Sequence[Mapping[str, Any]] = value
        return answers

    def _do(self, place: int, estimator: Any, table: Any) -> Any:
        return self._outputs.judge(table) if place == len(self._steps) - 1 else estimator.transform(table)


def _failed(recorder: Recorder | None, step: str, error: Exception) -> RunError:
    failure = StepFailedError(step=step, cause=error)
    if recorder is not None:
        recorder.emit("step_failed", step, 1, error=str(failure))
    return failure


def _tell_started(recorder: Recorder | None, step: str) -> float:
    if recorder is None:
        return 0.0
    recorder.emit("step_started", step, 1)
    return time.perf_counter()


def _tell_completed(recorder: Recorder | None, step: str, began: float) -> None:
    if recorder is not None:
        recorder.emit("step_completed", step, 1, duration=time.perf_counter() - began)
