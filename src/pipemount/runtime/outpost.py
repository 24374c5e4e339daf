"""In a worker of an engine: one call of a step that an app has sent there. The other end is ``elsewhere``."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from ..errors import ExecutorError
from ..pipelines.specs import StepSpec
from .call import Call
from .context import StepContext
from .parcels import BEGUN, Head, Item, pack, packed_error, packed_value, unpacked
from .recorder import Recorder
from .run import Run
from .steps import call_in_thread, call_on_loop
from .turn import Turn

__all__ = ["perform"]

KEPT = 2
"""Heads that a worker keeps unpacked: of a map, all items but the first find it there."""

LOOK = 0.2
"""Seconds between two looks whether an ``async`` step is still wanted."""


def perform(
    key: str, fetch: Callable[[], bytes], item: bytes, say: Callable[[bytes], None], unwanted: Callable[[], bool]
) -> bytes:
    """Perform one call; its outcome, for ``parcels.opened``.

    Args:
        key: Of the head.
        fetch: Gets the head, if this worker does not have it yet.
        item: The call.
        say: Tells the app something; from any thread of the step.
        unwanted: Whether nobody waits for the outcome any more.
    """
    try:
        say(BEGUN)
        step, common = _heads.get(key, fetch)
        call: Item = _item(item)
        arguments = {**common, **call.arguments}
        run = _FarRun(call, say, unwanted)
        context = StepContext(run, call.name, call.attempt)
        turn = Turn(call.name, step, lambda run, name: dict(arguments))
        try:
            value = contextvars.copy_context().run(_called, run, turn, context)
        finally:
            context._abandon()
        return packed_value(call.name, value)
    except BaseException as error:  # raised again at home, whatever it is
        return packed_error(error)


def _item(content: bytes) -> Item:
    try:
        item: Item = unpacked(content)
    except Exception as error:
        raise ExecutorError(
            f"a worker cannot read what a step is called with ({type(error).__name__}: {error}); "
            "install what the app has where the workers run"
        ) from error
    return item


def _called(run: Run, turn: Turn, context: StepContext) -> Any:
    if turn.step.kind == "async":
        return asyncio.run(_awaited(run, turn, context))
    return call_in_thread(run, turn, context)


async def _awaited(run: Run, turn: Turn, context: StepContext) -> Any:
    """An ``async`` step, on a loop of its own, which is cancelled once nobody wants it."""
    task = asyncio.get_running_loop().create_task(call_on_loop(run, turn, context))
    while not (await asyncio.wait({task}, timeout=LOOK))[0]:
        if run.cancelled:
            task.cancel()
    return task.result()


class _Heads:
    """The heads that this worker has had last, unpacked."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[StepSpec, Mapping[str, Any]]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str, fetch: Callable[[], bytes]) -> tuple[StepSpec, Mapping[str, Any]]:
        with self._lock:  # whoever comes second finds it
            if key not in self._known:
                try:
                    head: Head = unpacked(fetch())
                except ImportError as error:
                    raise ExecutorError(
                        f"a worker cannot read what a step is called with ({error}); "
                        "install what the app has where the workers run"
                    ) from error
                self._known[key] = head.step(), head.common
            self._known.move_to_end(key)
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
            return self._known[key]


_heads = _Heads()


# ------------------------------------------------------------------------- what a step's context asks


class _FarCall(Call):
    """What a context can know here of what was asked for."""

    __slots__ = ()

    def __init__(self, item: Item) -> None:
        super().__init__(None, item.run_id, item.run_name, principal=item.principal, trace=item.trace)
        self.checkpoints = _NoAnswers(item.name)
        self.deadline = None if item.remaining is None else time.monotonic() + item.remaining

    @property
    def state(self) -> Any:
        raise ExecutorError(
            "context.pipeline_state stays in the app's process, and this step runs in a worker; "
            "hand the step what it needs, or make it in a module that the worker imports"
        )

    @state.setter
    def state(self, value: Any) -> None:
        """There is none."""


class _NoAnswers:
    """Stands for checkpoints, of which a step asks only for answers to its questions."""

    under_way: Any = None

    def __init__(self, step: str) -> None:
        self._step = step

    def found(self, key: str) -> NoReturn:
        raise ExecutorError(
            f"context.suspend() was called in {self._step!r}, which runs in a worker; ask in a step without executor=, "
            "and hand the answer to this one"
        )

    def note(self, key: str, value: bytes) -> None:
        """Nothing is kept here."""

    async def settle(self) -> None:
        """Nothing is kept here."""


class _Teller(Recorder):
    """Sends what a step says home, where it is recorded."""

    __slots__ = ("_say",)

    def __init__(self, say: Callable[[bytes], None]) -> None:
        self._say = say

    def record(self, kind: Any, step: str | None, attempt: int | None, data: Mapping[str, Any]) -> None:
        self._say(pack((kind, data)))

    @property
    def crowded(self) -> bool:
        return False


class _FarRun(Run):
    """The run that a context here belongs to: it walks no plan, and has no values."""

    __slots__ = ("_unwanted",)

    def __init__(self, item: Item, say: Callable[[bytes], None], unwanted: Callable[[], bool]) -> None:
        self.call, self.pipeline_name, self._unwanted = _FarCall(item), item.pipeline, unwanted
        self.recorder = _Teller(say) if item.heard else None
        self.inputs, self.overrides, self.values, self.prefix = {}, None, [], ""
        self.outer, self.stopped = None, False

    @property
    def cancelled(self) -> bool:
        return self._unwanted()
