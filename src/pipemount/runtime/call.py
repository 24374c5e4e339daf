"""What one run is asked to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Lock
from time import monotonic
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ..types import Principal, Trace
from .stragglers import Stragglers

if TYPE_CHECKING:
    from ..drawing.graph import GraphView
    from ..pipelines.specs import Affinity
    from .admission import Admission
    from .checkpoints import Checkpoints
    from .environment import StepEnvironment
    from .lending import RequestThread
    from .threads import Errand

__all__ = ["Call"]

_MAKING = Lock()
NOTHING: Mapping[str, Any] = MappingProxyType({})


class Call:
    """One request for a run, its inputs already validated.

    Made by whoever asks, completed by the service, then only read, or cancelled. Not a dataclass: one is made per
    request, and a frozen one takes ten times as long.

    Attributes:
        inputs: What the input schema validated to (for native pipelines the generated model).
        run_id: A UUID.
        run_name: For people; may hold ``{date}``, ``{time}``, ``{run_id}`` until the service has filled them in.
        timeout: Seconds that were asked for; ``None`` until the service has set it.
        deadline: When the run is cancelled, as a point on ``time.monotonic()``: ``timeout`` after it was asked for,
            the wait for its place included. ``None`` until the service has set it.
        overrides: ``{node id: {"parameters": {name: value}}}``, or ``None``.
        principal: Who asked.
        trace: The caller's trace.
        state: The ``pipeline_state`` that ``start`` returned.
        places: Where it, and the runs around it, have their places, once it runs.
        outer: The run around it, if there is one: its place may do for both.
        stragglers: Its functions that no thread could be stopped in, once there was one.
        run_index: The how-manieth run of its pipeline in this process it is, from 1.
        completed: Whether the run has ended well.
        seconds: What it took, from when it was made to its end; 0 until then.
        dump: Validates outputs into JSON; for ``seal``.
        sealed: The outputs as values, and as JSON, once it has ended well.
        cancelled: Whether nobody waits for the run any more; set on the home loop, read from threads, too.
        began: When it was made, on ``time.monotonic()``.
        asked: The thread that asked, if it lends itself to the run.
        affinity: Where sync steps run that do not say so themselves.
        environment: What surrounds each sync step in its thread, if anything does.
        graph: What a dynamic pipeline did in it, once it has run.
        checkpoints: What earlier attempts at it have kept, and where this one does; of a durable job.
    """

    __slots__ = (
        "affinity",
        "asked",
        "began",
        "cancelled",
        "checkpoints",
        "completed",
        "deadline",
        "dump",
        "environment",
        "graph",
        "inputs",
        "outer",
        "overrides",
        "places",
        "principal",
        "run_id",
        "run_index",
        "run_name",
        "sealed",
        "seconds",
        "state",
        "stragglers",
        "timeout",
        "trace",
    )

    def __init__(
        self,
        inputs: Any,
        run_id: str,
        run_name: str | None = None,
        timeout: float | None = None,
        overrides: Mapping[str, Any] | None = None,
        principal: Principal | None = None,
        trace: Trace | None = None,
    ) -> None:
        self.inputs, self.run_id, self.run_name, self.timeout = inputs, run_id, run_name, timeout
        self.overrides, self.principal, self.trace = overrides, principal, trace
        self.state: Any = None
        self.places: tuple[Admission, ...] = ()
        self.asked: RequestThread | None = None
        self.affinity: Affinity = "any"
        self.environment: StepEnvironment | None = None
        self.run_index = 0
        self.cancelled = self.completed = False
        self.began = monotonic()
        self.seconds = 0.0
        self.deadline: float | None = None
        self.graph: GraphView | None = None
        self.checkpoints: Checkpoints | None = None
        self.outer: Call | None = None
        self.stragglers: Stragglers | None = None
        self.dump: Callable[[object], bytes]
        self.sealed: tuple[Mapping[str, Any], bytes]

    def seal(self, outputs: Mapping[str, Any]) -> None:
        """The run ends with these. Raises ``InvalidOutputsError``."""
        self.sealed = outputs, self.dump(outputs)

    @property
    def late(self) -> bool:
        """Whether it has passed its deadline and no loop watches that: the thread that asked performs it."""
        asked, deadline = self.asked, self.deadline
        return asked is not None and asked.takes_all and deadline is not None and monotonic() > deadline

    def cancel(self) -> None:
        """Nobody waits for the run any more: its steps may stop."""
        self.cancelled = True

    def keep(self, errand: Errand) -> None:
        """A function of the run goes on in its thread though nobody waits for it. From any loop."""
        with _MAKING:
            if self.stragglers is None:  # one without stragglers is falsy
                self.stragglers = Stragglers()
        self.stragglers.add(errand)
        errand.tell(self.stragglers.ended)
        if self.outer is not None:
            self.outer.keep(errand)

    @property
    def cancelling(self) -> bool:
        """Whether a function that was given up still runs in its thread; the run keeps its place until it returns."""
        return bool(self.stragglers)

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What else the service knows of the run."""
        return NOTHING
