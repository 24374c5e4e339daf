"""``LangGraphPipeline``: a compiled graph, or a workflow of the functional API, as a ``CompiledPipeline``."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from collections.abc import AsyncIterator, Mapping
from importlib.metadata import version
from typing import Any

from langchain_core.runnables.config import var_child_runnable_config
from langgraph.pregel import Pregel
from pydantic_core import to_jsonable_python

from ...errors import ConfigurationError, RunError, RunSuspendedError
from ...pipelines.fingerprint import source_version
from ...pipelines.options import HookTarget, make_hooks
from ...pipelines.specs import Hooks
from ...runtime.call import Call
from ...runtime.context import CURRENT
from ...runtime.events import Event
from ...runtime.failures import is_signal
from ...runtime.feed import Feed, reading
from ...runtime.hooks import call_hook
from ...runtime.recorder import Recorder
from ...runtime.threads import ThreadPool
from ..protocol import GraphView, PipelineInfo, Result
from .config import Decisions, decide
from .context import NodeContext
from .drawing import view_of
from .failures import as_run_error
from .interface import Interface, entry_function, read_interface
from .telling import Teller

__all__ = ["LangGraphPipeline", "compile_graph"]

INTERRUPT = "__interrupt__"
QUIET = ("values",)
HEARD = ("tasks", "custom", "messages", "values")
"""What is asked of LangGraph where nobody listens, and where somebody does."""


def compile_graph(
    graph: Any,
    *,
    name: str | None = None,
    doc: str = "",
    context: Any = None,
    thread: Any = None,
    on_init: HookTarget | None = None,
    on_init_kwargs: Mapping[str, Any] | None = None,
    on_cleanup: HookTarget | None = None,
    on_cleanup_kwargs: Mapping[str, Any] | None = None,
) -> LangGraphPipeline:
    """What the service can run of a compiled graph.

    Args:
        graph: A compiled ``StateGraph``, or what ``@entrypoint`` made of a function.
        name: Instead of the graph's own, or the function's.
        doc: What the graph is for, for callers; without it the docstring of an ``@entrypoint`` function.
        context: The static context of every run, a function of the run (``StepContext``) that returns it, or
            ``"inputs"``: callers send it as the input ``context``, as far as the graph's ``context_schema`` goes.
        thread: Of a graph with a checkpointer: a function of the run that returns the id of its thread, or
            ``"inputs"``: callers send ``thread_id``. Without it every run has a thread of its own.
        on_init: Called once before the first run; its value is ``get_step_context().pipeline_state`` in nodes.
        on_init_kwargs: Keyword arguments for it.
        on_cleanup: Called once at the end; may take the state.
        on_cleanup_kwargs: Keyword arguments for it.

    Raises:
        CompileError: A type of the inputs or outputs has no JSON Schema.
        ConfigurationError: Not a compiled graph, or options that it cannot follow.
    """
    if not isinstance(graph, Pregel):
        raise ConfigurationError(
            f"{type(graph).__name__} cannot run yet; give what its compile() returns, or an @entrypoint function"
        )
    function = entry_function(graph)
    name = name or _own_name(graph)
    decisions = decide(graph, name, context=context, thread=thread)
    hooks = make_hooks(
        {"on_init": on_init, "on_cleanup": on_cleanup},
        {"on_init": on_init_kwargs, "on_cleanup": on_cleanup_kwargs},
    )
    doc = doc or (inspect.getdoc(function) or "" if function else "")
    return LangGraphPipeline(graph, name, doc, decisions, hooks)


def _own_name(graph: Pregel[Any, Any, Any, Any]) -> str:
    """The graph's name as far as it can stand in a path; an entrypoint's is its function's."""
    given = graph.get_name() if entry_function(graph) is None else next(iter(graph.nodes))
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", given).strip("_.-") or "graph"


class LangGraphPipeline:
    """A graph with its interface. Holds nothing of any run or app, so several apps may serve the same one."""

    capabilities = frozenset({"step-events", "deltas", "cancel:task"})

    def __init__(
        self, graph: Pregel[Any, Any, Any, Any], name: str, doc: str, decisions: Decisions, hooks: Hooks
    ) -> None:
        self.source: Any = graph
        self._decisions, self._hooks = decisions, hooks
        self._interface: Interface = read_interface(graph, name, decisions.extra)
        self.input, self.output = self._interface.input, self._interface.output
        self.graph: GraphView = view_of(graph, functional=entry_function(graph) is not None)
        self.info = PipelineInfo(name, "langgraph", version("langgraph"), self._fingerprint(name), doc)
        # LangGraph tells of breakpoints that were compiled in, unlike interrupt(), in its updates only.
        breaks = ("updates",) if graph.interrupt_before_nodes or graph.interrupt_after_nodes else ()
        self._modes = {heard: [*modes, *breaks] for heard, modes in ((False, QUIET), (True, HEARD))}

    async def start(self, resources: Mapping[str, Any]) -> Any:
        """Call ``on_init`` and return its value; ``resources["threads"]`` is the app's pool."""
        hook = self._hooks.on_init
        return None if hook is None else await call_hook(hook, resources["threads"])

    async def stop(self, state: Any) -> None:
        """Call ``on_cleanup``, with ``state`` if it takes an argument."""
        if self._hooks.on_cleanup is None:
            return
        threads = ThreadPool(1, f"pipemount-{self.info.name}-cleanup")
        try:
            await call_hook(self._hooks.on_cleanup, threads, state)
        finally:
            threads.close()

    async def run(self, call: Call) -> Mapping[str, Any]:
        """Run once where nobody listens; asks LangGraph for as little as it takes."""
        return await self._follow(call, None)

    async def stream(self, call: Call) -> AsyncIterator[Event | Result]:
        """Run once, telling each event; ends with one ``Result``. Closing the iterator cancels the run."""
        feed = Feed()
        recorder = Recorder(call.run_id, (feed,))
        async with reading(feed, self._follow(call, Teller(recorder))) as run:
            async for event in feed:
                yield event
            yield Result(await run)

    # --------------------------------------------------------------------------------------------- a run

    async def _follow(self, call: Call, teller: Teller | None) -> Mapping[str, Any]:
        """One run in this task, its nodes' context set; every failure leaves it as a ``RunError``."""
        run = NodeContext(call, self.info.name, listening=teller is not None)
        shown, inherited = CURRENT.set(run), var_child_runnable_config.set(None)
        try:
            return self._interface.leave(await self._walk(call, run, teller))
        except BaseException as error:
            if is_signal(error):
                raise
            failure = as_run_error(error, self.info.name)
            if teller is not None:
                teller.failed(failure)
            if failure is error:
                raise
            raise failure from error
        finally:
            call.cancelled = True  # whatever is still in a thread works for nobody
            var_child_runnable_config.reset(inherited)
            CURRENT.reset(shown)

    async def _walk(self, call: Call, run: NodeContext, teller: Teller | None) -> Any:
        """The graph's value. Raises ``RunSuspendedError`` where it waits for an answer."""
        graph, values = self.source, self._interface.values(call.inputs)
        config = self._decisions.config(values, run, call)
        context = self._decisions.context(values, run)
        heard = teller is not None
        latest, waits_for = None, None
        async for chunk in graph.astream(
            self._interface.enter(values),
            config,
            context=context,
            stream_mode=self._modes[heard],
            output_keys=graph.output_channels,
            subgraphs=heard,
        ):
            namespace, mode, payload = chunk if heard else ((), *chunk)
            if teller is not None:
                teller.tell(namespace, mode, payload)
                if teller.crowded:
                    await teller.give_way()
            if namespace or mode not in ("values", "updates"):
                continue
            if isinstance(payload, dict) and INTERRUPT in payload:
                waits_for = payload[INTERRUPT]
            elif mode == "values":
                latest = payload
        if waits_for is not None:
            raise await self._suspended(config, waits_for)
        return latest

    async def _suspended(self, config: Any, interrupts: Any) -> RunError:
        """What a caller is told of a run that waits, and for what: the value of ``interrupt(…)`` is meant for them."""
        waiting = []
        if "configurable" in config:
            state = await self.source.aget_state(config)
            waiting = [task.name for task in state.tasks if task.interrupts] or list(state.next)
        asked = [{"id": i.id, "value": to_jsonable_python(i.value, fallback=repr)} for i in interrupts]
        return RunSuspendedError(step=waiting[0] if waiting else None, interrupts=asked)

    def _fingerprint(self, name: str) -> str:
        parts = {
            "name": name,
            "graph": self.graph.as_json(),
            "schemas": [self.input.json_schema(), self.output.json_schema()],
            "code": sorted(_versions(self.source)),
        }
        text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _versions(graph: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Versions of the functions behind nodes and branches, those of subgraphs included."""
    found = []
    for name, node in graph.nodes.items():
        function = getattr(node.bound, "func", None) or getattr(node.bound, "afunc", None)
        if isinstance(node.bound, Pregel):
            found += _versions(node.bound, f"{prefix}{name}/")
        elif callable(function):
            found.append((f"{prefix}{name}", source_version(function)))
    for name, branches in getattr(getattr(graph, "builder", None), "branches", {}).items():
        for branch, spec in branches.items():
            if callable(function := getattr(spec.path, "func", None) or getattr(spec.path, "afunc", None)):
                found.append((f"{prefix}{name}?{branch}", source_version(function)))
    return found
