"""What an author writes: ``@step`` functions, and pipelines that call them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Self

from ..errors import ConfigurationError, DefinitionError, InvalidInputsError
from .bodies import check_body
from .compiler import Definition, compile_definition
from .dynamic import dynamic_snapshot
from .inlining import check_on_init, inline, static_items
from .mapping import FanKind, map_body, opened
from .options import HookTarget, checked_count, make_hooks
from .rewriting import listening, source_lines
from .snapshot import Snapshot
from .specs import Hook, Hooks
from .static import Key, StaticSnapshots, compile_with, static_key, static_snapshots
from .steps import KEEP, Called, Step, call_options, map_options, step
from .taking import Taker, current, current_trace
from .tracing import Trace, bind

__all__ = ["PipelineDefinition", "Step", "compile_function", "step"]

# ----------------------------------------------------------------------------------------- pipelines


class PipelineDefinition(Called):
    """A function that calls steps, and its hooks; compiled on demand.

    Args:
        function: The body. It runs at compile, with references for values.
        name: Instead of the function's own.
        on_init: Called once before the first run; what it returns is ``pipeline_state``.
        on_init_kwargs: Keyword arguments for it; every hook has such.
        on_cleanup: Called once at the end; may take the state.
        on_start: Called before each run.
        on_success: Called after a run that completed.
        on_failure: Called after a run that failed.
        on_end: Called after every run.
        max_paths: How many ways through the body are explored, one per combination of its decisions.
        dynamic: The body is an ``async def`` that runs for each request, and awaits the steps it calls.
    """

    what = "pipeline"
    hook_names = tuple(Hooks.__dataclass_fields__)

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        on_init: HookTarget | None = None,
        on_init_kwargs: Mapping[str, Any] | None = None,
        on_cleanup: HookTarget | None = None,
        on_cleanup_kwargs: Mapping[str, Any] | None = None,
        on_start: HookTarget | None = None,
        on_start_kwargs: Mapping[str, Any] | None = None,
        on_success: HookTarget | None = None,
        on_success_kwargs: Mapping[str, Any] | None = None,
        on_failure: HookTarget | None = None,
        on_failure_kwargs: Mapping[str, Any] | None = None,
        on_end: HookTarget | None = None,
        on_end_kwargs: Mapping[str, Any] | None = None,
        max_paths: int = 64,
        dynamic: bool = False,
    ) -> None:
        if not inspect.isroutine(function):
            raise ConfigurationError(f"@pipeline takes a function, not {function!r}")
        given = locals()
        super().__init__(function, name)
        self.doc = inspect.getdoc(function) or ""
        self.hooks = make_hooks(
            {hook: given[hook] for hook in self.hook_names},
            {hook: given[f"{hook}_kwargs"] for hook in self.hook_names},
        )
        self.max_paths = checked_count(max_paths, "max_paths")
        self.dynamic = dynamic
        self._source = source_lines(function)
        self._snapshot: Snapshot | None = None
        self._bodies: list[tuple[Hook | None, Key, Snapshot]] = []

    @property
    def __pipemount_body__(self) -> Callable[..., Any]:
        return self.function

    @functools.cached_property
    def body(self) -> Callable[..., Any]:
        """The function as it is traced. Raises ``CompileError``."""
        check_body(self.function, self.name)
        return listening(self.function, self._source, self.name)

    def compile(self) -> Snapshot:
        """The immutable, checked form; made once. Raises ``CompileError``.

        Of a pipeline with ``Static`` parameters it is that of the defaults, with the outputs of all that are known.
        """
        if self._snapshot is None:
            self._snapshot = self._compiled()
        return self._snapshot

    def _compiled(self) -> Snapshot:
        if self.dynamic:
            return dynamic_snapshot(self._definition())
        return self.statics.drawn if self.statics else compile_definition(self._definition())

    @functools.cached_property
    def statics(self) -> StaticSnapshots | None:
        """The snapshots by value, where there are ``Static`` parameters. Raises ``CompileError``."""
        return None if self.dynamic else static_snapshots(self._definition())

    def _definition(self) -> Definition:
        body = self.function if self.dynamic else self.body
        return Definition(
            name=self.name,
            doc=self.doc,
            function=self.function,
            signature=self.signature,
            call=lambda values: body(**values),
            hooks=self.hooks,
            max_paths=self.max_paths,
        )

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """In another pipeline's body: the steps of this one, under ``name/``; returns what its body returns."""
        taker = self._taker()
        options = call_options(self.signature, kwargs, self._id, self._after)
        if not isinstance(taker, Trace):
            return taker.take("call", self, args, kwargs, options)
        self._check_within(taker)
        values = bind(taker, self.signature, self.name, args, kwargs)
        order = taker.order(options.after)
        return inline(
            taker, self.function, self.body, self.signature, values, name=self.name, id=options.id, after=order
        )

    def _taker(self) -> Trace | Taker:
        taker = current()
        if taker is None:
            raise DefinitionError(f"{self!r} is a definition; only another pipeline's body can call it")
        return taker

    def _check_within(self, trace: Trace) -> None:
        check_on_init(trace, self.name, self.hooks.on_init)
        if self.dynamic:
            raise trace.error(
                "dynamic-in-pipeline",
                f"the dynamic pipeline {self.name!r} is called",
                "its body runs in requests only, so there are no steps to take over into this graph",
                "Make this pipeline dynamic, too, or call its steps here",
            )

    def map(self, /, *args: Any, **kwargs: Any) -> Any:
        """In another pipeline's body: one run of this one per item; as ``Step.map``.

        What it returns has the form of this pipeline's return, with lists in it; what exists on some paths only is
        ``None`` in the items of the others.
        """
        return self._fan("map", args, kwargs)

    def product(self, /, *args: Any, **kwargs: Any) -> Any:
        """As ``map``, with one run for every combination of items; the last list varies fastest."""
        return self._fan("product", args, kwargs)

    def _fan(self, kind: FanKind, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        taker, options = self._taker(), map_options(self.signature, kwargs, self._id, self._after)
        if not isinstance(taker, Trace):
            return taker.take(kind, self, args, kwargs, options)
        self._check_within(taker)
        values = bind(taker, self.signature, self.name, args, kwargs)
        with opened(taker, self.function, self.name):
            body = self._body(taker.on_init, static_items(taker, self.signature, self.name, values))
        return map_body(taker, body, kind, values, options)

    def _body(self, on_init: Hook | None, static: Mapping[str, Any]) -> Snapshot:
        """The snapshot as a body in a pipeline with this ``on_init``, which makes the state for both."""
        if on_init == self.hooks.on_init and not static:
            return self.compile()
        key = static_key(static.values())
        for known, values, body in self._bodies:
            if (known, values) == (on_init, key):
                return body
        definition = replace(self._definition(), hooks=replace(self.hooks, on_init=on_init))
        body = compile_with(definition, static)
        self._bodies.append((on_init, key, body))
        return body

    def bind(self, /, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The arguments of a call by parameter name, not validated. Raises ``InvalidInputsError``."""
        names = list(self.signature.call.parameters)
        keywords = [p.name for p in self.signature.call.parameters.values() if p.kind is p.KEYWORD_ONLY]
        positions = names[: len(names) - len(keywords)]
        given = dict(zip(positions, args, strict=False))
        faults = [
            {"loc": [index], "msg": "Unexpected positional argument", "type": "unexpected_positional_argument"}
            for index in range(len(positions), len(args))
        ]
        faults += [
            {"loc": [name], "msg": "Got multiple values for argument", "type": "multiple_argument_values"}
            for name in given.keys() & kwargs.keys()
        ]
        if faults:
            raise InvalidInputsError(errors=faults)
        return {**given, **kwargs}

    def with_options(self, *, id: str | None = KEEP, after: Any = KEEP, name: str = KEEP, **hooks: Any) -> Self:
        """A copy with other options: ``name``, hooks and their ``*_kwargs``; ``id``, ``after`` for calls in a body."""
        made = self._copied(id, after, name, hooks)
        made._snapshot, made._bodies = None, []
        vars(made).pop("statics", None)
        return made


def compile_function(function: Callable[..., Any]) -> Snapshot:
    """A plain function as a pipeline of one step, its parameters the inputs. Raises ``CompileError``."""
    made = function if isinstance(function, Step) else Step(function)
    return compile_definition(
        Definition(
            name=made.name,
            doc=made.spec.doc,
            function=made.function,
            signature=made.signature,
            call=lambda values: _record(made, values),
            hooks=Hooks(),
        )
    )


def _record(made: Step, values: Mapping[str, Any]) -> Any:
    return current_trace().call(made.spec, values, id=None, after=())
