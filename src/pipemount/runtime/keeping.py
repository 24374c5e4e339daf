"""Performing the steps of runs that have checkpoints: what each gave is kept, and what was kept is not done again."""

from __future__ import annotations

import logging
from collections.abc import Coroutine, Sequence
from typing import Any

from ..errors import RunSuspendedError
from ..pipelines.specs import OutputField, StepSpec
from .checkpoints import UnderWay
from .elsewhere import Connections
from .failures import suspends
from .performer import Performer, tell
from .run import Run
from .threads import ThreadPool
from .turn import Turn
from .written import Form

__all__ = ["Keeper"]

logger = logging.getLogger("pipemount")


class Keeper(Performer):
    """As a ``Performer``. Each step comes back to the loop, which has what it gave kept before any other step begins.

    What the last one gave need not be waited for: who asked for the run writes down what came of it, or that it failed,
    and has it kept then if it is to be begun again.
    """

    keeps = True

    def __init__(self, threads: ThreadPool, connections: Connections | None = None) -> None:
        super().__init__(threads, connections)
        self._forms: dict[int, tuple[tuple[OutputField, ...], Form]] = {}
        self._warned: set[str] = set()

    def perform(self, run: Run, turn: Turn) -> Coroutine[Any, Any, Any]:
        """As any performer, unless an earlier attempt has kept what the step gave."""
        return self._found_or_performed(run, turn)

    async def perform_chain(self, run: Run, turns: Sequence[Turn], slots: Sequence[int]) -> None:
        """One by one: each is kept before the next begins."""
        for turn, slot in zip(turns, slots, strict=True):
            run.values[slot] = await self._found_or_performed(run, turn)

    def keep(self, run: Run, turn: Turn, value: Any) -> bool:
        """What a step gave is to be kept; whether it can be written down."""
        if (checkpoints := run.call.checkpoints) is None:
            return True
        if (written := self._form(turn.step).write(value)) is None:
            self._warn(turn)
            return False
        checkpoints.note(turn.name, written)
        return True

    async def settle(self, run: Run) -> None:
        """Return when all is kept that steps have given."""
        if (checkpoints := run.call.checkpoints) is not None:
            await checkpoints.settle()

    async def _found_or_performed(self, run: Run, turn: Turn) -> Any:
        checkpoints = run.call.checkpoints
        if checkpoints is not None and (kept := checkpoints.found(turn.name)) is not None:
            try:
                value = self._form(turn.step).read(kept)
            except ValueError:
                logger.warning("what step %r has kept is no value of it any more; it runs again", turn.name)
            else:
                tell(run, "step_completed", turn.name, None, duration=0.0, recovered=True)
                return value
        if checkpoints is None:
            return await super().perform(run, turn)
        await checkpoints.settle()  # what led here: values, and decisions
        return await self._performed(run, turn, checkpoints.under_way)

    async def _performed(self, run: Run, turn: Turn, under_way: UnderWay) -> Any:
        await under_way.begin()
        try:
            value = await super().perform(run, turn)
        except RunSuspendedError as error:
            question = error
        else:
            return value
        finally:
            under_way.end()
        if suspends(question):
            await under_way.asks(question)
        raise question

    def _form(self, step: StepSpec) -> Form:
        outputs = step.outputs
        known = self._forms.get(id(outputs))
        if known is None:  # with what it is of: ids are given anew
            known = self._forms[id(outputs)] = outputs, Form(outputs)
        return known[1]

    def _warn(self, turn: Turn) -> None:
        if turn.step.name not in self._warned:
            self._warned.add(turn.step.name)
            logger.warning(
                "what step %r gave cannot be written down and read again as it is: should its job be recovered, "
                "the step runs again; annotate what it returns with a type that JSON can say, or register a codec",
                turn.name,
            )
