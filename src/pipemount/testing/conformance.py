"""``check_adapter``: one examination for every compiled pipeline, ours or anybody's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..adapters.protocol import CompiledPipeline
from ..errors import ConfigurationError
from .findings import ConformanceError
from .running import (
    check_batch,
    check_blocking,
    check_closing,
    check_concurrency,
    check_failures,
    check_restart,
    check_runs,
)
from .subject import Subject
from .surface import check_graph, check_info, check_inputs, check_members, validator

__all__ = ["check_adapter"]


async def check_adapter(
    make: Callable[[], CompiledPipeline],
    good: Sequence[Mapping[str, Any]],
    bad: Sequence[Any] = (),
    *,
    expected: Sequence[Any] | None = None,
    failing: Sequence[Mapping[str, Any]] = (),
    slow: Mapping[str, Any] | None = None,
    patience: float = 5.0,
    longest_block: float = 0.1,
) -> None:
    """Whether what an adapter makes keeps the protocol of ``CompiledPipeline``, in what it says and in what it does.

    On a running event loop; takes a few dozen runs. The pipeline must give equal outputs for equal inputs: put a
    stand-in where a language model would be.

    Args:
        make: Compiles anew, e.g. ``lambda: compile(model)``.
        good: Inputs whose runs succeed, as JSON values; at least one, two that differ in their outputs find more.
        bad: Inputs that must be refused.
        expected: The outputs for each of ``good``, as JSON values.
        failing: Inputs that are accepted and whose runs fail.
        slow: Inputs whose run takes long; who closes it must not have to wait. The first of ``good`` by default.
        patience: Seconds for any single run, and for what a closed run leaves to come to rest.
        longest_block: Seconds for which a run may keep the loop from its other work.

    Raises:
        ConformanceError: Naming everything that was found, each with a way out.
        ConfigurationError: ``jsonschema`` is missing, or there are no good inputs.
    """
    if not good or (expected is not None and len(expected) != len(good)):
        raise ConfigurationError("check_adapter needs good inputs, and as many expected outputs if any")
    subject = Subject(make, good, bad, expected, failing, slow, patience, longest_block)
    pipeline = _check_surface(subject)
    if not subject.findings:
        try:
            await _check_runs(subject)
        except Exception as error:  # of the adapter's code, where a check did not look for it
            subject.find(f"raises {error!r}", "Let the pipeline start, run and stop without it")
    if subject.findings:
        raise ConformanceError(str(getattr(getattr(pipeline, "info", None), "name", pipeline)), subject.findings)


def _check_surface(subject: Subject) -> CompiledPipeline:
    subject.check = "members"
    pipeline = subject.make()
    check_members(subject, pipeline)
    if not subject.findings:  # what is not there cannot be looked at
        subject.check = "info"
        check_info(subject, pipeline, subject.make())
        subject.check = "graph"
        check_graph(subject, pipeline.graph)
        subject.check = "inputs"
        check_inputs(subject, pipeline)
        subject.check = "outputs"
        validator(subject, pipeline.output, "output")
    return pipeline


async def _check_runs(subject: Subject) -> None:
    subject.check = "runs"
    async with subject.started() as started:
        alone = await check_runs(subject, started)
        if any(told.outputs is None for told in alone):
            return  # all else compares with these
        subject.check = "runs at once"
        await check_concurrency(subject, started, alone)
        subject.check = "failures"
        await check_failures(subject, started, alone)
        subject.check = "blocking"
        await check_blocking(subject, started)
        subject.check = "batch"
        await check_batch(subject, started)
        subject.check = "start and stop"
    subject.check = "closing"
    await check_closing(subject)
    subject.check = "start and stop"
    await check_restart(subject, alone)
