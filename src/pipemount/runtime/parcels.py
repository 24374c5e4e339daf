"""What goes to a worker of an engine, and what comes back: as bytes, made and opened by the same version of pipemount.

Everything is packed with cloudpickle, which the engines use themselves: functions of modules go by name, all others as
they are. Bytes are opened only where they were sent for: by a worker that an app's engine runs, and by that app.
"""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..errors import ExecutorError
from ..pipelines.portable import Named, found, portable
from ..pipelines.specs import OutputField, StepSpec
from ..types import Principal, Trace

__all__ = ["BEGUN", "Head", "Item", "opened", "pack", "packed_error", "packed_value", "unpacked"]


BEGUN = b""
"""What a worker says first: from now on it is at work."""


@dataclass(frozen=True, slots=True)
class Head:
    """A step, and the arguments that all items of a map have in common.

    Attributes:
        function: By name, where it has one that other processes find.
        outputs: How many there are.
        common: The arguments.
    """

    function: Callable[..., Any] | Named
    name: str
    kind: Any
    generator: bool
    collects: bool
    outputs: int
    context_parameter: str | None
    common: Mapping[str, Any]

    @classmethod
    def of(cls, step: StepSpec, common: Mapping[str, Any]) -> Head:
        """What is sent of ``step``."""
        return cls(
            portable(step.function),
            *(step.name, step.kind, step.generator, step.collects, len(step.outputs), step.context_parameter),
            common,
        )

    def step(self) -> StepSpec:
        """As much of the step as it takes to call it once. Raises ``ExecutorError``."""
        try:
            function = found(self.function)
        except (ImportError, AttributeError) as error:
            raise ExecutorError(
                f"a worker does not find the function of step {self.name!r} ({error}); "
                "install the product's code where the workers run, in the version that the app has",
                step=self.name,
            ) from error
        return StepSpec(
            function=function,
            name=self.name,
            kind=self.kind,
            generator=self.generator,
            parameters=(),
            outputs=tuple(OutputField(str(index), Any) for index in range(self.outputs)),
            context_parameter=self.context_parameter,
            collects=self.collects,
        )


@dataclass(frozen=True, slots=True)
class Item:
    """One call: its arguments, and what its context knows of the run.

    Attributes:
        remaining: Seconds until the run's deadline; clocks differ from machine to machine.
        heard: Whether anybody listens to the run.
    """

    name: str
    attempt: int
    arguments: Mapping[str, Any]
    pipeline: str
    run_id: str
    run_name: str
    remaining: float | None
    heard: bool
    principal: Principal | None
    trace: Trace | None


class Raised(NamedTuple):
    """An exception: itself if it can be sent, else its class and what it holds; and where it was raised, for logs."""

    error: Any
    kind: type[BaseException] | None
    arguments: tuple[Any, ...]
    state: Mapping[str, Any]
    text: str


def pack(value: object) -> bytes:
    """``value`` as bytes. Raises whatever its parts raise when they are asked for theirs."""
    import cloudpickle

    packed: bytes = cloudpickle.dumps(value)
    return packed


def unpacked(content: bytes) -> Any:
    """What was packed. Raises what its parts raise, ``ImportError`` among it."""
    return pickle.loads(content)  # noqa: S301 - between an app and the workers of its own engine


# ------------------------------------------------------------------------------------------ outcomes


def packed_value(step: str, value: object) -> bytes:
    """In a worker: what a step gave. Raises ``ExecutorError``."""
    try:
        return pack((value, None))
    except Exception as error:
        raise ExecutorError(
            f"what step {step!r} gave cannot be sent back from its worker, a {type(value).__name__}; "
            "return what can be pickled",
            step=step,
        ) from error


def packed_error(error: BaseException) -> bytes:
    """In a worker: what a step raised."""
    text = "".join(traceback.format_exception(error))
    whole = Raised(error, None, (), {}, text)
    for raised in (whole, Raised(None, type(error), error.args, vars(error), text)):
        try:
            packed = pack((None, raised))
            unpacked(packed)
        except Exception:  # noqa: S112 - its class has a constructor, or holds things, that pickle cannot know
            continue
        return packed
    return pack((None, Raised(None, None, (type(error).__name__,), {}, text)))


def opened(outcome: bytes, step: str) -> Any:
    """At home: the value of a step. Raises what it raised, with a note on where that was."""
    try:
        value, raised = unpacked(outcome)
    except Exception as error:
        raise ExecutorError(
            f"what step {step!r} gave or raised cannot be read here ({type(error).__name__}: {error}); "
            "the app needs what the workers have installed",
            step=step,
        ) from error
    if raised is None:
        return value
    raise _restored(raised, step)


def _restored(raised: Raised, step: str) -> BaseException:
    error: BaseException
    if raised.error is not None:
        error = raised.error
    elif raised.kind is not None:
        error = raised.kind.__new__(raised.kind, *raised.arguments)
        error.args = raised.arguments
        vars(error).update(raised.state)
    else:
        name = raised.arguments[0]
        error = ExecutorError(f"step {step!r} raised {name} in a worker, which cannot be sent from there", step=step)
    error.add_note(f"in a worker:\n{raised.text}")
    return error
