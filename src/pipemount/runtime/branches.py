"""Decisions at run time: a branch is answered on the loop, as soon as all that it waits for has ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from ..errors import BranchFailedError, RunError
from .failures import is_signal
from .planned import PlannedBranch
from .run import Run
from .scheduler import Scheduler

__all__ = ["decide", "without_branches"]

YES, NO = b"true", b"false"
RECOVERED = {"recovered": True}


def decide(run: Run, planned: PlannedBranch) -> bool:
    """The answer to a branch; the paths that it rules out are no longer alive.

    Raises:
        RunError: The condition raised it, or another exception, or was answered as the types rule out.
    """
    recorded = None if run.call.checkpoints is None else run.call.checkpoints.found(run.prefix + planned.id)
    answer = _asked(run, planned) if recorded is None else recorded == YES
    run.alive &= planned.if_true if answer else planned.if_false
    if run.recorder is not None:
        branch = planned.branch
        told = {"branch": run.prefix + branch.id, "condition": branch.text, "answer": answer}
        run.recorder.emit("branch", **told if recorded is None else told | RECOVERED)
    if not run.alive:
        raise BranchFailedError(condition=planned.branch.text, answer=answer)
    return answer


def _asked(run: Run, planned: PlannedBranch) -> bool:
    """What is answered now; where there are checkpoints it is answered the same ever after."""
    try:
        answer = planned.ask(run)
    except BaseException as error:
        if isinstance(error, RunError) or is_signal(error):
            raise
        raise BranchFailedError(condition=planned.branch.text, cause=error) from error
    if run.call.checkpoints is not None:
        run.call.checkpoints.note(run.prefix + planned.id, YES if answer else NO)
    return answer


def without_branches(run: Run, scheduler: Scheduler, ready: Iterable[int]) -> list[int]:
    """The segments that are ready, once every branch among the units is answered, and those that follow from it."""
    segments: list[int] = []
    units = deque(ready)
    while units:
        index = units.popleft()
        branch = run.plan.units[index].branch
        if branch is None:
            segments.append(index)
        else:
            decide(run, branch)
            units += scheduler.completed(index, run.alive)
    return segments
