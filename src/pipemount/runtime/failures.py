"""Who is to blame for an exception, and what the run's caller is told of it."""

from __future__ import annotations

import asyncio

from ..errors import RunError, RunSuspendedError, StepFailedError
from ..pipelines.specs import StepSpec
from .suspending import Suspension

__all__ = ["SIGNALS", "as_run_error", "blame", "is_signal", "suspends"]

SIGNALS = (asyncio.CancelledError, KeyboardInterrupt, GeneratorExit)
"""What ends work from outside. An author's code may raise them, too: then they are failures like any other."""


def is_signal(error: BaseException) -> bool:
    """Whether ``error``, caught on the loop, came from outside and must pass through.

    A cancellation that nobody asked this task for is a failure of the step that let it out. Left alone it would look
    as if the run had been cancelled, and a task group would take its task for ended well.
    """
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0
    return isinstance(error, KeyboardInterrupt | GeneratorExit)


def as_run_error(error: BaseException, node: str, step: StepSpec) -> RunError:
    """What the run fails with because ``step`` raised ``error``."""
    if isinstance(error, Suspension):
        error = error.error
    if isinstance(error, RunError):
        error.step = error.step or node
        return error
    public = isinstance(error, step.public_errors)
    status = next((status for kind, status in step.error_statuses.items() if isinstance(error, kind)), 500)
    return StepFailedError(step=node, cause=error, public=public, status=status)


def suspends(error: BaseException) -> bool:
    """Whether a run that ends with ``error`` has not failed, but goes on once it has its answer."""
    return isinstance(error, RunSuspendedError) and error.question is not None


def blame(error: BaseException) -> BaseException:
    """What a failure hook is shown: the step's own exception."""
    return error.cause if isinstance(error, StepFailedError) else error
